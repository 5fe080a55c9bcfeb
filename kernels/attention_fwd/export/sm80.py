"""Launching the CUDA kernels: what sizes and strides decide is worked out once, a call passes pointers."""

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
from .call import ALIGNMENT, Call, Sizes, aligned, laid_out, packed

Run = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
# Of sm80.cu's entry: q, k, v, out, workspace.
POINTERS = 5
# The build that takes strides as arguments (variant.py: forms), and what these, and its products of heads, are below.
STRIDED = "strided"
STRIDE_LIMIT, HEADS_LIMIT = 2**31, 2**32
# torch.empty_strided instead makes a call 1.4 us slower on the host: 5.1 us beyond the bare launch (H200, 2026-11-30).
_empty_strided_cuda: Any = getattr(torch._C._dynamo.guards, "_empty_strided_cuda", None)


def can_run(manifest: Mapping[str, Any], kernel: str, call: Call) -> bool:
    """Only a GPU that there is a binary for runs it."""
    capability = torch.cuda.get_device_capability(call.device)
    return choose_binary(manifest["kernels"][kernel]["binaries"], capability) is not None


def prepare(folder: Path, manifest: Mapping[str, Any], kernel: str, call: Call) -> Run:
    """A function of q, k and v, of the sizes and strides of `call`, that queues the kernel on torch's current stream.

    It raises RuntimeError, when first called on a stream, if the kernel does not load. Packed tensors go to the very
    build that was measured, others to the one that takes strides; which of them that cannot read is copied first.
    """
    if call.is_packed:
        return _launcher(folder, manifest, kernel, "", call, ())
    copy_q, copy_k, copy_v = (not _is_readable(each, call) for each in (call.q_strides, call.k_strides, call.v_strides))
    read = call.contiguous((copy_q, copy_k, copy_v))
    if not _fits(read):
        run = prepare(folder, manifest, kernel, call.packed())
        return lambda q, k, v: laid_out(run(*packed(q, k, v)), call.heads_inside)
    launch = _launcher(folder, manifest, kernel, STRIDED, read, _places(read))
    if read == call:
        return launch
    return lambda q, k, v: launch(aligned(q) if copy_q else q, aligned(k) if copy_k else k, aligned(v) if copy_v else v)


def _launcher(
    folder: Path, manifest: Mapping[str, Any], kernel: str, form: str, call: Call, places: tuple[np.generic, ...]
) -> Run:
    configuration = manifest["kernels"][kernel]["configuration"]
    workspace_bytes = geometry.workspace_bytes(configuration, _shape(call))
    index = call.device.index or 0
    current_device = torch.cuda.current_device
    # torch.cuda.current_stream makes an object for each call: 3.6 us beside 0.2 us (H200's host, 2026-11-30).
    current_stream = torch._C._cuda_getCurrentRawStream
    on_stream = _launches(folder, manifest, kernel, form, call, places)
    # By stream; a call takes one out while it uses it, so that no other thread does.
    ready: dict[int, list[Launch]] = defaultdict(list)
    new_output = _outputs(call)

    @cache
    def of_copies() -> Run:
        return prepare(folder, manifest, kernel, call.contiguous())

    def run(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        if current_device() != index:
            with torch.cuda.device(index):
                return run(q, k, v)
        q_start, k_start, v_start = q.data_ptr(), k.data_ptr(), v.data_ptr()
        if (q_start | k_start | v_start) % ALIGNMENT:
            return of_copies()(aligned(q), aligned(k), aligned(v))
        out = new_output()
        scratch = torch.empty(workspace_bytes, dtype=torch.uint8, device=q.device) if workspace_bytes else None
        stream = current_stream(index)
        launches = ready[stream]
        try:
            launch = launches.pop()
        except IndexError:
            launch = on_stream(stream)
        slots = launch.slots
        slots[0], slots[1], slots[2], slots[3] = q_start, k_start, v_start, out.data_ptr()
        if scratch is not None:
            slots[4] = scratch.data_ptr()
        (status,) = launch.queue()
        if status:
            launch.retry(status)
        launches.append(launch)
        return out

    return run


def _launches(
    folder: Path, manifest: Mapping[str, Any], kernel: str, form: str, call: Call, places: tuple[np.generic, ...]
) -> Callable[[int], Launch]:
    """Makes launches for a stream, with all but the pointers."""
    configuration, shape = manifest["kernels"][kernel]["configuration"], _shape(call)
    threads = geometry.threads(configuration)
    shared_bytes = geometry.shared_memory(configuration, call.head_dim)
    exclusive = geometry.merges_through_workspace(configuration)  # sm80.cu: such calls must not overlap in time
    index = call.device.index or 0
    sizes = (np.int64(call.batch_heads), np.int64(call.queries), np.int64(call.keys))
    rest: tuple[np.generic, ...] = (*sizes, np.float32(call.scale), np.int32(call.causal), *places)

    def on_stream(stream: int) -> Launch:
        program = load_program(folder, manifest, kernel, form, index, stream, threads, shared_bytes, exclusive)
        grid = geometry.grid(configuration, shape, program.resident_blocks)
        return Launch(program, grid, threads, shared_bytes, POINTERS, rest)

    return on_stream


def _shape(call: Call) -> geometry.Shape:
    return geometry.Shape(call.batch_heads, call.queries, call.keys, call.head_dim)


def _is_readable(strides: Sizes, call: Call) -> bool:
    """Whether rows are whole and start at 16-byte boundaries, as their copies into shared memory need."""
    *others, last = strides
    return last == 1 and all(stride * call.dtype.itemsize % ALIGNMENT == 0 for stride in others)


def _fits(call: Call) -> bool:
    """Whether all that counts strides and heads has enough bits."""
    return max(_strides(call)) < STRIDE_LIMIT and call.batch_heads * call.shape[1] < HEADS_LIMIT


def _places(call: Call) -> tuple[np.generic, ...]:
    """What sm80.cu's entry takes with STRIDED: heads, two reciprocals, then three strides each of q, k, v and out."""
    heads = call.shape[1]
    return np.int32(heads), _reciprocal(heads), _reciprocal(call.sharing), *map(np.int32, _strides(call))


def _strides(call: Call) -> tuple[int, ...]:
    """From batch to batch (0 where there is one), head to head and row to row."""
    several = call.shape[0] > 1
    each = (call.q_strides, call.k_strides, call.v_strides, call.out_strides)
    return tuple(stride for batch, head, row, _ in each for stride in (batch if several else 0, head, row))


def _reciprocal(divisor: int) -> np.uint32:
    """The lower 32 bits of 2^32 / divisor, rounded up: tensors.cuh."""
    return np.uint32(-(-(2**32) // divisor) % 2**32)


def _outputs(call: Call) -> Callable[[], torch.Tensor]:
    """Return a function that allocates the output on the current device, as the code that torch compiles does."""
    if _empty_strided_cuda is not None:
        return partial(_empty_strided_cuda, call.shape, call.out_strides, call.dtype)
    return partial(torch.empty_strided, call.shape, call.out_strides, dtype=call.dtype, device=call.device)
