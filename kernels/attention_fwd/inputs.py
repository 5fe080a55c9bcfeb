"""Inputs of attention: distributions that expose different errors."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

import torch

from evotune_workers.kernel import Inputs

from .workload import AttentionWorkload

DISTRIBUTIONS = ("normal", "uniform", "peaky", "rising", "large")
# In the `rising` distribution scores grow by 1 in 32 keys, so that the running maximum moves at each tile of 32 keys or
# more.
RISING_KEYS = 32


def make_inputs(shape: AttentionWorkload, distribution: str, seed: int) -> Inputs:
    """Return Q, K and V, each from a random stream of its own.

    `uniform` is in [0, 1); the others start from a standard normal: `peaky` has Q x 4, `rising` has scores that grow
    along the keys, `large` has Q and K x 8 (scores of a standard deviation of 64 at D = 64).
    """
    if distribution not in DISTRIBUTIONS:
        known = ", ".join(DISTRIBUTIONS)
        raise ValueError(f"distribution must be one of {known}, got {distribution}; correct its name")
    sizes = {"q": shape.query_shape, "k": shape.key_shape, "v": shape.key_shape}
    # A generator uses one core. For the largest workloads the gates would mostly wait for it.
    with ThreadPoolExecutor(len(sizes)) as pool:
        q, k, v = pool.map(lambda name: _random(sizes[name], distribution, seed, name), sizes)
    if distribution == "peaky":
        q = q * 4
    elif distribution == "rising":
        q, k = _rising(q, k, shape)
    elif distribution == "large":
        q, k = q * 8, k * 8
    return tuple(tensor.to(shape.torch_dtype) for tensor in (q, k, v))


def _random(shape: tuple[int, ...], distribution: str, seed: int, tensor: str) -> torch.Tensor:
    """Return float32 values from a stream that seed, distribution and tensor determine together."""
    digest = hashlib.sha256(f"{seed}/{distribution}/{tensor}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8]) >> 1)
    draw = torch.rand if distribution == "uniform" else torch.randn
    return draw(shape, generator=generator)


def _rising(q: torch.Tensor, k: torch.Tensor, shape: AttentionWorkload) -> tuple[torch.Tensor, torch.Tensor]:
    """Return queries of ones and keys on a ramp, with noise: their scaled product grows by 1 in 32 keys."""
    ramp = torch.arange(shape.keys) / (RISING_KEYS * shape.scale * shape.head_dim)
    return 1 + q / 2, ramp[:, None] + k / 2
