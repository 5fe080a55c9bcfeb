"""Launch the CPU kernels; each is built from its source on first use."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from package.cpu_library import load_library
else:
    from .cpu_library import load_library
from .call import Call, pack, reorder_output

Run = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def can_run(manifest: Mapping[str, Any], kernel: str, call: Call) -> bool:
    """Return True: a CPU kernel serves every call that passed the checks."""
    return True


def prepare(folder: Path, manifest: Mapping[str, Any], kernel: str, call: Call) -> Run:
    """Return a function of q, k and v with the sizes and strides of `call`.

    Raises RuntimeError if the kernel cannot be built.
    """
    functions = load_library(folder, manifest, kernel)
    sizes = [ctypes.c_int64(size) for size in (call.batch_heads, call.queries, call.keys)]
    functions.attention_fwd_workspace_bytes.restype = ctypes.c_int64
    workspace_bytes = functions.attention_fwd_workspace_bytes(*sizes)
    scalars = (*sizes, ctypes.c_float(call.scale), ctypes.c_int32(call.causal))

    def run(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        q, k, v = pack(q, k, v)
        out = torch.empty_like(q)
        workspace = torch.empty(workspace_bytes, dtype=torch.uint8)
        pointers = [ctypes.c_void_p(tensor.data_ptr()) for tensor in (q, k, v, out, workspace)]
        status = functions.attention_fwd(*pointers, *scalars)
        if status != 0:
            raise RuntimeError(f"the kernel must return 0, got {status}")
        return reorder_output(out, call.out_is_bshd)

    return run
