"""Inputs, exact results and torch's own attention, with which verify.py checks and times the kernels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

Inputs = tuple[torch.Tensor, ...]
Workload = Mapping[str, Any]

SEEDS = (101, 102, 103)
DISTRIBUTIONS = ("normal", "uniform", "peaky", "rising", "large")
BACKENDS = {
    "sdpa_flash": SDPBackend.FLASH_ATTENTION,
    "sdpa_cudnn": SDPBackend.CUDNN_ATTENTION,
    "sdpa_efficient": SDPBackend.EFFICIENT_ATTENTION,
    "sdpa_math": SDPBackend.MATH,
}
# (batch, heads, queries, keys): sizes that no tile divides, one query, one key, more queries than keys, and fewer.
RAGGED = ((1, 1, 1, 1), (1, 3, 61, 61), (2, 4, 129, 67), (1, 8, 7, 515), (1, 61, 33, 1))
# The RMS error of a head with fewer queries is mostly chance. The `numerics` gate has the same limit.
MIN_QUERIES = 32


@dataclass(frozen=True)
class Case:
    """Inputs of one accuracy check; errors are judged in each of `groups` leading slices of the output."""

    name: str
    workload: Workload
    inputs: Inputs
    groups: int


def cases(workload: Workload) -> Iterator[Case]:
    """Yield the tuned size with every distribution and seed, then the ragged sizes, each with and without the mask.

    The tuned size and each ragged size also occur once in BSHD order, as models' projections have it.
    """
    tuned = (workload["batch"], workload["heads"], workload["queries"], workload["keys"])
    for causal in (workload["causal"], not workload["causal"]):
        for distribution in DISTRIBUTIONS:
            for seed in SEEDS:
                yield _case({**workload, "causal": causal}, tuned, distribution, seed)
        for sizes in RAGGED:
            yield _case({**workload, "causal": causal}, sizes, "normal", SEEDS[0])
        for sizes in (tuned, *RAGGED):
            yield _in_bshd_order(_case({**workload, "causal": causal}, sizes, "normal", SEEDS[0]))


def timed_inputs(workload: Workload, seed: int) -> Inputs:
    """Return independent, normally distributed q, k and v."""
    return _inputs(workload, "normal", seed)


def run(function: Callable[..., torch.Tensor], workload: Workload, inputs: Inputs) -> torch.Tensor:
    """Call the exported function."""
    return function(*inputs, is_causal=workload["causal"])


def reference(workload: Workload, inputs: Inputs) -> torch.Tensor:
    """Compute attention step by step in float64, one head at a time."""
    q, k, v = (tensor.double().flatten(0, 1) for tensor in inputs)
    hidden = torch.ones(q.shape[1], k.shape[1], dtype=torch.bool, device=q.device).triu(1)
    output = torch.empty_like(q)
    for head in range(len(q)):
        scores = q[head] @ k[head].T / math.sqrt(q.shape[-1])
        if workload["causal"]:
            scores = scores.masked_fill_(hidden, -math.inf)
        output[head] = torch.softmax(scores, dim=-1) @ v[head]
    return output.view(inputs[0].shape)


def pinned_baseline(workload: Workload, inputs: Inputs) -> torch.Tensor:
    """Compute attention with torch's flash backend in the kernel's dtype."""
    q, k, v = inputs
    queries, keys = q.shape[2], k.shape[2]
    if q.device.type == "cpu" or not workload["causal"] or queries == keys:
        return _forced(inputs, SDPBackend.FLASH_ATTENTION, workload["causal"])
    # On a GPU it refuses causal calls with other numbers of queries and keys, so combine square calls.
    if queries < keys:
        return _forced((q, k[:, :, :queries], v[:, :, :queries]), SDPBackend.FLASH_ATTENTION, True)
    upper = _forced((q[:, :, :keys], k, v), SDPBackend.FLASH_ATTENTION, True)
    lower = _forced((q[:, :, keys:], k, v), SDPBackend.FLASH_ATTENTION, False)
    return torch.cat((upper, lower), dim=2)


def baselines(workload: Workload, device: str) -> Mapping[str, Callable[[Inputs], torch.Tensor]]:
    """Return the baselines: on a GPU every backend of SDPA that works, on a CPU flash, for float16 also in float32."""
    if device == "cuda":
        probe = tuple(tensor.to(device) for tensor in timed_inputs(workload, 1))
        forced = {
            name: partial(_forced, backend=backend, causal=workload["causal"]) for name, backend in BACKENDS.items()
        }
        return {name: call for name, call in forced.items() if _runs(call, probe)}
    own = {f"sdpa_fp{8 * _dtype(workload).itemsize}": lambda inputs: pinned_baseline(workload, inputs)}
    return (
        own if workload["dtype"] == "float32" else {**own, "sdpa_fp32_upcast": lambda inputs: _upcast(workload, inputs)}
    )


def _forced(inputs: Inputs, backend: SDPBackend, causal: bool) -> torch.Tensor:
    q, k, v = inputs
    with sdpa_kernel(backend):
        return scaled_dot_product_attention(q, k, v, is_causal=causal)


def _runs(call: Callable[[Inputs], torch.Tensor], inputs: Inputs) -> bool:
    """Return False if the backend raises RuntimeError: it does not support the workload, or torch lacks it."""
    try:
        call(inputs)
    except RuntimeError:
        return False
    return True


def _upcast(workload: Workload, inputs: Inputs) -> torch.Tensor:
    return pinned_baseline(workload, tuple(tensor.float() for tensor in inputs)).to(_dtype(workload))


def _case(workload: Workload, sizes: tuple[int, int, int, int], distribution: str, seed: int) -> Case:
    batch, heads, queries, keys = sizes
    sized = {**workload, "batch": batch, "heads": heads, "queries": queries, "keys": keys}
    name = f"{batch}x{heads}x{queries}x{keys}{' causal' if sized['causal'] else ''}, {distribution}, seed {seed}"
    groups = batch * heads if queries >= MIN_QUERIES else 1
    return Case(name, sized, _inputs(sized, distribution, seed), groups)


def _in_bshd_order(case: Case) -> Case:
    """Return the same values as views of tensors [B, S, H, D]."""
    inputs = tuple(tensor.transpose(1, 2).contiguous().transpose(1, 2) for tensor in case.inputs)
    return replace(case, name=f"{case.name}, BSHD order", inputs=inputs)


def _inputs(workload: Workload, distribution: str, seed: int) -> Inputs:
    """Return independent Q, K and V.

    `uniform` is in [0, 1); the others start from a standard normal. `peaky` has Q x 4, so that a few keys take nearly
    all the weight. In `rising` scores grow along the keys, so that the maximum of an online softmax moves at every
    tile. `large` has Q and K x 8: the exponential of its scores overflows unless the maximum is subtracted first.
    """
    generator = torch.Generator().manual_seed(seed)
    draw = torch.rand if distribution == "uniform" else torch.randn
    lengths = (workload["queries"], workload["keys"], workload["keys"])
    q, k, v = (
        draw(workload["batch"], workload["heads"], length, workload["head_dim"], generator=generator)
        for length in lengths
    )
    if distribution == "peaky":
        q = q * 4
    elif distribution == "rising":
        q, k = 1 + q / 2, _ramp(workload) + k / 2
    elif distribution == "large":
        q, k = q * 8, k * 8
    return tuple(tensor.to(_dtype(workload)) for tensor in (q, k, v))


def _ramp(workload: Workload) -> torch.Tensor:
    """Return [keys, 1] values that, with queries of ones, give scores that grow by 1 in 32 keys."""
    return torch.arange(workload["keys"])[:, None] / (32 * math.sqrt(workload["head_dim"]))


def _dtype(workload: Workload) -> torch.dtype:
    dtype = getattr(torch, workload["dtype"])
    assert isinstance(dtype, torch.dtype)
    return dtype
