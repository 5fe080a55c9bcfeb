"""Fused attention forward on CPU tensors, tuned by evotune: see README.md beside this file.

from attention_fwd import attention_fwd
"""

from __future__ import annotations

import ctypes
import math
from pathlib import Path
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING or not __package__:  # this folder is on the path
    from cpu_library import Library, load_library
else:  # this folder is part of a package
    from .cpu_library import Library, load_library

_FOLDER = Path(__file__).resolve().parent


def attention_fwd(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, is_causal: bool = False, scale: float | None = None
) -> torch.Tensor:
    """`softmax(scale * q @ k^T) @ v` in a new tensor of q's shape; `scale` is 1/sqrt(D) unless given.

    q is [B, H, S_q, D]; k and v are [B, H, S_kv, D], of the dtype and D that this kernel was built for (manifest.json).
    Any S_q and S_kv. `is_causal` lets query i see keys 0 to i, as torch's scaled_dot_product_attention does. Strided
    tensors are copied first. Forward only. Raises TypeError or ValueError for tensors that it cannot take, RuntimeError
    when the kernel cannot be built. May be called from several threads.
    """
    library = load_library(_FOLDER)
    workload = library.manifest["workload"]
    _check(q, k, v, getattr(torch, workload["dtype"]), workload["head_dim"])
    factor = 1.0 / math.sqrt(q.shape[3]) if scale is None else float(scale)
    if not math.isfinite(factor):
        raise ValueError(f"scale must be finite, got {factor}; None stands for 1/sqrt(D)")
    out = torch.empty(q.shape, dtype=q.dtype)
    if out.numel() > 0:
        _launch(library, q.contiguous(), k.contiguous(), v.contiguous(), out, factor, is_causal)
    return out


def _check(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, dtype: torch.dtype, head_dim: int) -> None:
    for name, tensor in (("q", q), ("k", k), ("v", v)):
        if not isinstance(tensor, torch.Tensor):
            raise TypeError(f"{name} must be a torch.Tensor, got {type(tensor).__name__}")
        if tensor.dtype != dtype:
            raise TypeError(f"{name} must be {dtype}, got {tensor.dtype}; this kernel was built for {dtype} only")
        if tensor.device.type != "cpu":
            raise ValueError(f"{name} must be on the CPU, got {tensor.device}; this kernel was built for the CPU")
        if tensor.dim() != 4 or tensor.shape[3] != head_dim:
            raise ValueError(f"{name} must be [B, H, S, {head_dim}], got {list(tensor.shape)}")
    if k.shape != v.shape or k.shape[:2] != q.shape[:2]:
        shapes = f"q {list(q.shape)}, k {list(k.shape)}, v {list(v.shape)}"
        raise ValueError(f"q, k and v must have equal B and H, and k and v equal S, got {shapes}")
    if k.shape[2] == 0:
        raise ValueError(f"k and v must have at least one key, got {list(k.shape)}")
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (q, k, v)):
        raise ValueError("attention_fwd has no backward, got a tensor that requires grad; call it in torch.no_grad()")


def _launch(
    library: Library,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    out: torch.Tensor,
    scale: float,
    is_causal: bool,
) -> None:
    functions = library.functions
    sizes = [ctypes.c_int64(size) for size in (q.shape[0] * q.shape[1], q.shape[2], k.shape[2])]
    functions.attention_fwd_workspace_bytes.restype = ctypes.c_int64
    workspace = torch.empty(functions.attention_fwd_workspace_bytes(*sizes), dtype=torch.uint8)
    pointers = [ctypes.c_void_p(tensor.data_ptr()) for tensor in (q, k, v, out, workspace)]
    status = functions.attention_fwd(*pointers, *sizes, ctypes.c_float(scale), ctypes.c_int32(is_causal))
    if status != 0:
        raise RuntimeError(f"the kernel must return 0, got {status}")
