"""Fused attention forward: softmax(Q K^T / sqrt(D)) V, in FP16, BF16 or FP32, causal or not.

Causal has the meaning of torch's `is_causal`: query i sees keys 0 to i, also when there are more or fewer keys than
queries. Tensors are contiguous [batch, heads, sequence, head_dim].
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch

from evotune_workers.kernel import (
    Baseline,
    Configuration,
    Cost,
    Inputs,
    Kernel,
    NumericsLimits,
    StructureCase,
    Workload,
)

from .baselines import attention_baselines, pinned_attention
from .cpu_variant import CpuVariant
from .inputs import DISTRIBUTIONS, make_inputs
from .sm80.variant import Sm80Variant
from .structure import structure_cases
from .workload import CAUSAL_SIZES, MISSION, SERVING_SIZES, AttentionWorkload, attention, sized

# Scores that the reference computes at once: 16 MB in float64 on a CPU, 256 MB on a GPU.
MAX_REFERENCE_SCORES = {"cpu": 1 << 21, "cuda": 1 << 25}
# Scores and weights that the diagnosis of a wrong result compares.
MAX_STAGE_SCORES = 1 << 23
# A head with fewer queries has no RMS error of its own.
MIN_QUERIES = 32


class AttentionForward(Kernel):
    """Attention forward; see README.md beside this file for the parameters of its variants."""

    name = "attention_fwd"
    variants = (CpuVariant(), Sm80Variant())
    workloads = (
        MISSION,
        replace(MISSION, name="causal", causal=True),
        replace(MISSION, name="ragged", queries=500, keys=500),
        replace(MISSION, name="long", queries=2048, keys=2048),
        replace(MISSION, name="wide", head_dim=128),
        replace(MISSION, name="mission_fp32", dtype="float32"),
        replace(MISSION, name="mission_bf16", dtype="bfloat16"),
        *(sized(*size) for size in SERVING_SIZES),
        *(sized(*size, causal=True) for size in CAUSAL_SIZES),
    )
    distributions = DISTRIBUTIONS
    # docs/numerics.md: correct kernels stay below 2.6 and 1.12; kernels that round too much exceed one of the limits.
    numerics = NumericsLimits(max_factor=4.0, rms_factor=1.25)

    def inputs(self, workload: Workload, distribution: str, seed: int) -> Inputs:
        """Return Q, K and V, as inputs.py describes them."""
        return make_inputs(attention(workload), distribution, seed)

    def empty_output(self, workload: Workload) -> torch.Tensor:
        """Return an uninitialized tensor with the shape and dtype of Q."""
        shape = attention(workload)
        return torch.empty(shape.query_shape, dtype=shape.torch_dtype)

    def reference(self, workload: Workload, inputs: Inputs) -> torch.Tensor:
        """Compute attention step by step in float64, for a few heads and queries at a time to limit memory."""
        shape = attention(workload)
        q, k, v = (tensor.double().flatten(0, 1) for tensor in inputs)
        output = torch.empty_like(q)
        hidden = torch.arange(shape.keys, device=q.device) >= shape.visible_keys().to(q.device)[:, None]
        row_step = max(1, MAX_REFERENCE_SCORES[q.device.type] // shape.keys)
        head_step = max(1, row_step // shape.queries)
        for head in range(0, len(q), head_step):
            heads = slice(head, head + head_step)
            for row in range(0, shape.queries, row_step):
                rows = slice(row, row + row_step)
                scores = (q[heads, rows] @ k[heads].mT * shape.scale).masked_fill_(hidden[rows], -math.inf)
                output[heads, rows] = scores.softmax(dim=-1) @ v[heads]
        return output.view(shape.query_shape)

    def baselines(self, workload: Workload, target: str) -> tuple[Baseline, ...]:
        """Return the backends of SDPA, as baselines.py describes them."""
        return attention_baselines(attention(workload), target)

    def pinned_baseline(self, workload: Workload, target: str) -> Baseline:
        """Return SDPA's flash backend in the workload's dtype."""
        return pinned_attention(attention(workload), target)

    def error_groups(self, workload: Workload) -> int:
        """Return one group for each head of each batch, or one group for all if heads have few queries.

        Errors in FP32 are a few random roundings, so over few queries their RMS is mostly chance. A head that is really
        wrong still exceeds the limits by orders of magnitude.
        """
        shape = attention(workload)
        return shape.batch_heads if shape.queries >= MIN_QUERIES else 1

    def cost(self, workload: Workload) -> Cost:
        """Count 4 D operations for each visible pair, and one transfer of Q, the output and visible K and V."""
        shape = attention(workload)
        visible = shape.visible_keys()
        rows = 2 * shape.queries + 2 * int(visible.max())
        features = shape.batch_heads * shape.head_dim
        return Cost(4.0 * features * int(visible.sum()), float(features * rows * shape.torch_dtype.itemsize))

    def arguments(
        self, workload: Workload, inputs: Inputs, output: torch.Tensor, workspace: torch.Tensor
    ) -> tuple[torch.Tensor | np.generic, ...]:
        """Return q, k, v, out, workspace, batch x heads, queries, keys, scale and causal."""
        shape = attention(workload)
        sizes = (np.int64(shape.batch_heads), np.int64(shape.queries), np.int64(shape.keys))
        return (*inputs, output, workspace, *sizes, np.float32(shape.scale), np.int32(shape.causal))

    def structure(self, workload: Workload) -> tuple[StructureCase, ...]:
        """Return cases for indexing (one-hot weights), normalization (constant V) and the product with V (mean)."""
        return structure_cases(self, attention(workload))

    def tails(self, workload: Workload, configuration: Configuration) -> tuple[Workload, ...]:
        """Return shapes around the tile sizes, primes, a single query or key, more queries than keys and fewer."""
        shape = attention(workload)
        m, n = int(configuration["tile_m"]), int(configuration["tile_n"])
        around = [(3, m + 1, n + 1), (8, max(m - 1, 1), max(n - 1, 1)), (3, _prime_above(n), _prime_above(m))]
        small = [(1, 1, 1, False), (3, 5, 3, True), (61, 1, 17, False), (61, 13, 7, True), (8, 7, 31, True)]
        sizes = [(*size, causal) for size in around for causal in (False, True)] + small
        return tuple(_tail(shape, *size) for size in sizes)

    def repeatability(self, workload: Workload) -> Workload:
        """Return a workload with a quarter of the heads, at least two."""
        shape = attention(workload)
        return replace(shape, name=f"{shape.name}-quarter", heads=max(2, shape.heads // 4))

    def traceable(self, workload: Workload) -> Workload:
        """Return fewer heads, and then fewer queries, if the scores would take more than 32 MB in FP32."""
        shape = attention(workload)
        queries = min(shape.queries, max(1, MAX_STAGE_SCORES // shape.keys))
        heads = min(shape.batch_heads, max(1, MAX_STAGE_SCORES // (queries * shape.keys)))
        if (heads, queries) == (shape.batch_heads, shape.queries):
            return workload
        name = f"{heads}x{queries}x{shape.keys}x{shape.head_dim} of {shape.name}"
        return replace(shape, name=name, batch=1, heads=heads, queries=queries)


def _tail(shape: AttentionWorkload, heads: int, queries: int, keys: int, causal: bool) -> AttentionWorkload:
    name = f"{heads}x{queries}x{keys}x{shape.head_dim}{' causal' if causal else ''}"
    return replace(shape, name=name, batch=1, heads=heads, queries=queries, keys=keys, causal=causal)


def _prime_above(number: int) -> int:
    candidate = number + 1
    while any(candidate % divisor == 0 for divisor in range(2, math.isqrt(candidate) + 1)):
        candidate += 1
    return candidate
