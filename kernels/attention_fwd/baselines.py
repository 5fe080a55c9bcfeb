"""Baselines: each backend of torch's SDPA, by name."""

from __future__ import annotations

from functools import partial

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from evotune_workers.kernel import Baseline, Inputs

from .workload import AttentionWorkload

CUDA_BACKENDS = {
    "sdpa_flash": SDPBackend.FLASH_ATTENTION,
    "sdpa_cudnn": SDPBackend.CUDNN_ATTENTION,
    "sdpa_efficient": SDPBackend.EFFICIENT_ATTENTION,
    "sdpa_math": SDPBackend.MATH,
}


def attention_baselines(shape: AttentionWorkload, target: str) -> tuple[Baseline, ...]:
    """Return every backend on a GPU; on a CPU flash, and for FP16 also flash in FP32 with the conversions timed."""
    if target != "cpu":
        return tuple(
            Baseline(name, partial(_forced, backend=backend, causal=shape.causal))
            for name, backend in CUDA_BACKENDS.items()
        )
    own = pinned_attention(shape, target)
    upcast = Baseline("sdpa_fp32_upcast", partial(_upcast, causal=shape.causal))
    return (own,) if shape.dtype == "float32" else (own, upcast)


def pinned_attention(shape: AttentionWorkload, target: str) -> Baseline:
    """Return SDPA's flash backend in the workload's dtype, which sets the limits of the error."""
    if target != "cpu":
        return Baseline("sdpa_flash", partial(_square_flash, causal=shape.causal))
    name = "sdpa_fp32" if shape.dtype == "float32" else "sdpa_fp16"
    return Baseline(name, partial(_flash_on_cpu, causal=shape.causal))


def _flash_on_cpu(inputs: Inputs, causal: bool) -> torch.Tensor:
    # scaled_dot_product_attention dispatches to this operator on a CPU. Calling it by name guarantees the backend;
    # torch.nn.attention.sdpa_kernel would guarantee it too, but costs 12 us a call.
    output: torch.Tensor = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(*inputs, 0.0, causal)[0]
    return output


def _upcast(inputs: Inputs, causal: bool) -> torch.Tensor:
    return _flash_on_cpu(tuple(tensor.float() for tensor in inputs), causal).to(inputs[0].dtype)


def _forced(inputs: Inputs, backend: SDPBackend, causal: bool) -> torch.Tensor:
    q, k, v = inputs
    with sdpa_kernel(backend):
        return scaled_dot_product_attention(q, k, v, is_causal=causal)


def _square_flash(inputs: Inputs, causal: bool) -> torch.Tensor:
    """Compute causal flash for unequal numbers of queries and keys, which torch refuses, from square calls."""
    q, k, v = inputs
    queries, keys = q.shape[2], k.shape[2]
    if not causal or queries == keys:
        return _forced(inputs, SDPBackend.FLASH_ATTENTION, causal)
    if queries < keys:  # query i sees keys 0 to i, so no query sees the last keys
        return _forced((q, k[:, :, :queries], v[:, :, :queries]), SDPBackend.FLASH_ATTENTION, True)
    upper = _forced((q[:, :, :keys], k, v), SDPBackend.FLASH_ATTENTION, True)
    lower = _forced((q[:, :, keys:], k, v), SDPBackend.FLASH_ATTENTION, False)
    return torch.cat((upper, lower), dim=2)
