"""Launch the CUDA kernels. Preparation computes all that depends on sizes and strides; a call only passes pointers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from package.cuda_launch import Launch
    from package.cuda_modules import choose_binary, load_program

    from ..sm80 import geometry
else:
    from . import geometry
    from .cuda_launch import Launch
    from .cuda_modules import choose_binary, load_program
from .call import ALIGNMENT, Call, Sizes, align, pack, reorder_output

Run = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
# The entry of sm80.cu takes q, k, v, out and workspace first.
POINTERS = 5
# The build that takes strides as arguments (`forms` in variant.py), and the limits of its 32-bit arithmetic.
STRIDED = "strided"
STRIDE_LIMIT, HEADS_LIMIT = 2**31, 2**32
# torch.empty_strided costs the host 1.1 to 1.3 us more a call, measured side by side (H200, 2026-11-30).
_empty_strided_cuda: Any = getattr(torch._C._dynamo.guards, "_empty_strided_cuda", None)


def can_run(manifest: Mapping[str, Any], kernel: str, call: Call) -> bool:
    """Return True if the package has a binary for the GPU of the call."""
    capability = torch.cuda.get_device_capability(call.device)
    return choose_binary(manifest["kernels"][kernel]["binaries"], capability) is not None


def prepare(folder: Path, manifest: Mapping[str, Any], kernel: str, call: Call) -> Run:
    """Return a function of q, k and v, for the sizes and strides of `call`, that launches on torch's current stream.

    Its first call on a stream raises RuntimeError if the kernel does not load. Packed tensors go to the build that was
    measured. Others go to the build that takes strides, after a copy of those that it cannot read in place.
    """
    if call.is_packed:
        return _launcher(folder, manifest, kernel, "", call, ())
    copy_q, copy_k, copy_v = (
        not _is_readable(strides, call) for strides in (call.q_strides, call.k_strides, call.v_strides)
    )
    readable = call.contiguous((copy_q, copy_k, copy_v))
    if not _fits_32_bits(readable):
        run = prepare(folder, manifest, kernel, call.packed())
        return lambda q, k, v: reorder_output(run(*pack(q, k, v)), call.out_is_bshd)
    launch = _launcher(folder, manifest, kernel, STRIDED, readable, _stride_arguments(readable))
    if readable == call:
        return launch
    return lambda q, k, v: launch(align(q) if copy_q else q, align(k) if copy_k else k, align(v) if copy_v else v)


def _launcher(
    folder: Path,
    manifest: Mapping[str, Any],
    kernel: str,
    form: str,
    call: Call,
    stride_arguments: tuple[np.generic, ...],
) -> Run:
    configuration = manifest["kernels"][kernel]["configuration"]
    workspace_bytes = geometry.workspace_bytes(configuration, _shape(call))
    index = call.device.index or 0
    # With one GPU, no other can be current: 0.6 to 1 us a call less (H200's host, 2026-11-30).
    current_device: Callable[[], int] | None = torch.cuda.current_device if torch.cuda.device_count() > 1 else None
    # torch.cuda.current_stream creates an object: 3.6 us a call instead of 0.2 us (H200's host, 2026-11-30).
    current_stream = torch._C._cuda_getCurrentRawStream
    new_launch = _launch_factory(folder, manifest, kernel, form, call, stride_arguments)
    # Unused launches by stream. A call takes one out while it uses it, so that no other thread uses it too.
    unused: dict[int, list[Launch]] = defaultdict(list)
    new_output = _output_factory(call)

    @cache
    def run_on_copies() -> Run:
        return prepare(folder, manifest, kernel, call.contiguous())

    def run(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        if current_device is not None and current_device() != index:
            with torch.cuda.device(index):
                return run(q, k, v)
        q_address, k_address, v_address = q.data_ptr(), k.data_ptr(), v.data_ptr()
        if (q_address | k_address | v_address) % ALIGNMENT:
            return run_on_copies()(align(q), align(k), align(v))
        out = new_output()
        workspace = torch.empty(workspace_bytes, dtype=torch.uint8, device=q.device) if workspace_bytes else None
        stream = current_stream(index)
        launches = unused[stream]
        try:
            launch = launches.pop()
        except IndexError:
            launch = new_launch(stream)
        slots = launch.slots
        slots[0], slots[1], slots[2], slots[3] = q_address, k_address, v_address, out.data_ptr()
        if workspace is not None:
            slots[4] = workspace.data_ptr()
        (status,) = launch.queue()
        if status:
            launch.retry(status)
        launches.append(launch)
        return out

    return run


def _launch_factory(
    folder: Path,
    manifest: Mapping[str, Any],
    kernel: str,
    form: str,
    call: Call,
    stride_arguments: tuple[np.generic, ...],
) -> Callable[[int], Launch]:
    """Return a function that makes a launch for a stream, complete except for the pointers."""
    configuration, shape = manifest["kernels"][kernel]["configuration"], _shape(call)
    threads = geometry.threads(configuration)
    shared_bytes = geometry.shared_memory(configuration, call.head_dim)
    exclusive = geometry.merges_through_workspace(configuration)  # such calls must not overlap in time: sm80.cu
    index = call.device.index or 0
    sizes = (np.int64(call.batch_heads), np.int64(call.queries), np.int64(call.keys))
    scalars: tuple[np.generic, ...] = (*sizes, np.float32(call.scale), np.int32(call.causal), *stride_arguments)

    def new_launch(stream: int) -> Launch:
        program = load_program(folder, manifest, kernel, form, index, stream, threads, shared_bytes, exclusive)
        grid = geometry.grid(configuration, shape, program.resident_blocks)
        return Launch(program, grid, threads, shared_bytes, POINTERS, scalars)

    return new_launch


def _shape(call: Call) -> geometry.Shape:
    return geometry.Shape(call.batch_heads, call.queries, call.keys, call.head_dim)


def _is_readable(strides: Sizes, call: Call) -> bool:
    """Return True if features are adjacent and rows start at 16-byte boundaries, as 16-byte copies require."""
    *others, last = strides
    return last == 1 and all(stride * call.dtype.itemsize % ALIGNMENT == 0 for stride in others)


def _fits_32_bits(call: Call) -> bool:
    """Return True if the kernel's 32-bit arithmetic on strides and heads cannot overflow."""
    return max(_strides(call)) < STRIDE_LIMIT and call.batch_heads * call.shape[1] < HEADS_LIMIT


def _stride_arguments(call: Call) -> tuple[np.generic, ...]:
    """Return the last arguments of the strided entry: heads, two reciprocals, and three strides of each tensor."""
    heads = call.shape[1]
    return np.int32(heads), _reciprocal(heads), _reciprocal(call.group_size), *map(np.int32, _strides(call))


def _strides(call: Call) -> tuple[int, ...]:
    """Return the strides of batches (0 where there is one batch), heads and rows, for q, k, v and out."""
    has_batches = call.shape[0] > 1
    tensors = (call.q_strides, call.k_strides, call.v_strides, call.out_strides)
    return tuple(stride for batch, head, row, _ in tensors for stride in (batch if has_batches else 0, head, row))


def _reciprocal(divisor: int) -> np.uint32:
    """Return the low 32 bits of 2^32 / divisor rounded up, as fast_divide of tensors.cuh expects."""
    return np.uint32(-(-(2**32) // divisor) % 2**32)


def _output_factory(call: Call) -> Callable[[], torch.Tensor]:
    """Return a function that allocates the output on the current device, as the code that torch compiles does."""
    if _empty_strided_cuda is not None:
        return partial(_empty_strided_cuda, call.shape, call.out_strides, call.dtype)
    return partial(torch.empty_strided, call.shape, call.out_strides, dtype=call.dtype, device=call.device)
