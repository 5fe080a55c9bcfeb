"""Launching the CUDA kernels: everything that a shape decides is worked out once, a call passes pointers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from package.cuda_modules import choose_binary, load_program

    from ..sm80 import geometry
    from .function import Call
else:
    from . import geometry
    from .cuda_modules import choose_binary, load_program

Run = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
# 16-byte copies: sm80.cu.
ALIGNMENT = 16
_empty_strided_cuda: Any = getattr(torch._C._dynamo.guards, "_empty_strided_cuda", None)


def can_run(manifest: Mapping[str, Any], kernel: str, call: Call) -> bool:
    """Only a GPU that there is a binary for runs it."""
    capability = torch.cuda.get_device_capability(call.device)
    return choose_binary(manifest["kernels"][kernel]["binaries"], capability) is not None


def prepare(folder: Path, manifest: Mapping[str, Any], kernel: str, call: Call) -> tuple[Run, Run]:
    """Functions of q, k and v, of the sizes of `call`, that queue the kernel on torch's current stream.

    The first takes any strides, the second contiguous tensors. They raise RuntimeError, when first called on a stream,
    if the kernel does not load.
    """
    configuration = manifest["kernels"][kernel]["configuration"]
    shape = geometry.Shape(call.batch_heads, call.queries, call.keys, call.head_dim)
    threads = geometry.threads(configuration)
    shared_bytes = geometry.shared_memory(configuration, call.head_dim)
    workspace_bytes = geometry.workspace_bytes(configuration, shape)
    exclusive = geometry.merges_through_workspace(configuration)  # sm80.cu: such calls must not overlap in time
    index = call.device.index or 0
    current_device, current_stream = torch._C._cuda_getDevice, torch._C._cuda_getCurrentRawStream
    sizes = (np.int64(call.batch_heads), np.int64(call.queries), np.int64(call.keys))
    rest = (*sizes, np.float32(call.scale), np.int32(call.causal))
    ready: dict[int, Callable[..., None]] = {}
    new_output = _outputs(call)

    def on_stream(stream: int) -> Callable[..., None]:
        program = load_program(folder, manifest, kernel, index, stream, threads, shared_bytes, exclusive)
        from cuda.core import LaunchConfig  # there, since the program is

        grid = geometry.grid(configuration, shape, program.resident_blocks)
        config = LaunchConfig(grid=grid, block=threads, shmem_size=shared_bytes)
        ready[stream] = partial(program.launch, program.stream, config, program.kernel)
        return ready[stream]

    def contiguous(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        if current_device() != index:
            with torch.cuda.device(index):
                return contiguous(q, k, v)
        q_start, k_start, v_start = q.data_ptr(), k.data_ptr(), v.data_ptr()
        if (q_start | k_start | v_start) % ALIGNMENT:
            return contiguous(_copied(q), _copied(k), _copied(v))
        out = new_output()
        scratch = torch.empty(workspace_bytes, dtype=torch.uint8, device=q.device) if workspace_bytes else None
        stream = current_stream(index)
        launch = ready.get(stream) or on_stream(stream)
        launch(q_start, k_start, v_start, out.data_ptr(), 0 if scratch is None else scratch.data_ptr(), *rest)
        return out

    def run(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return contiguous(*_copied_together(q, k, v))

    return run, contiguous


def _outputs(call: Call) -> Callable[[], torch.Tensor]:
    """Makes outputs on the current device: by what torch's compiler allocates with, at half of empty_strided's time."""
    _, heads, queries, head_dim = call.shape
    strides = (heads * queries * head_dim, queries * head_dim, head_dim, 1)
    if _empty_strided_cuda is not None:
        return partial(_empty_strided_cuda, call.shape, strides, call.dtype)
    return partial(torch.empty_strided, call.shape, strides, dtype=call.dtype, device=call.device)


def _copied_together(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Where they lie evenly in one tensor, as a joint projection leaves them, by one kernel instead of three."""
    if q.is_contiguous() and k.is_contiguous() and v.is_contiguous():
        return q, k, v
    step, same = k.storage_offset() - q.storage_offset(), q.shape == k.shape == v.shape
    even = step > 0 and v.storage_offset() - k.storage_offset() == step and q.stride() == k.stride() == v.stride()
    start = q.untyped_storage().data_ptr()
    if not (same and even and start == k.untyped_storage().data_ptr() == v.untyped_storage().data_ptr()):
        return _copied(q), _copied(k), _copied(v)
    joint = q.as_strided((3, *q.shape), (step, *q.stride()))
    return joint.clone(memory_format=torch.contiguous_format).unbind()


def _copied(tensor: torch.Tensor) -> torch.Tensor:
    """Itself where a kernel can read it; the caching allocator aligns what it gives to 512 bytes."""
    if tensor.is_contiguous() and tensor.data_ptr() % ALIGNMENT == 0:
        return tensor
    return tensor.clone(memory_format=torch.contiguous_format)
