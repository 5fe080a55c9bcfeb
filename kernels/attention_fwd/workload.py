"""Workloads of attention: the shape, the dtype and the mask of a call."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from evotune_workers.kernel import Value, Workload


@dataclass(frozen=True)
class AttentionWorkload(Workload):
    """Shape and mask of one attention call; `queries` and `keys` are sequence lengths."""

    batch: int
    heads: int
    queries: int
    keys: int
    head_dim: int
    causal: bool = False

    @property
    def scale(self) -> float:
        """Factor of the scores before the softmax: 1 / sqrt(head_dim)."""
        return 1.0 / math.sqrt(self.head_dim)

    @property
    def torch_dtype(self) -> torch.dtype:
        """Element type of Q, K, V and the output."""
        dtype = getattr(torch, self.dtype)
        assert isinstance(dtype, torch.dtype)
        return dtype

    @property
    def batch_heads(self) -> int:
        """Heads of all batches together; a kernel does not distinguish batches."""
        return self.batch * self.heads

    @property
    def query_shape(self) -> tuple[int, int, int, int]:
        """Shape of Q and of the output."""
        return (self.batch, self.heads, self.queries, self.head_dim)

    @property
    def key_shape(self) -> tuple[int, int, int, int]:
        """Shape of K and of V."""
        return (self.batch, self.heads, self.keys, self.head_dim)

    def features(self) -> Mapping[str, Value]:
        """Return the features with batch and heads as their product, as dispatch.py of an export compares them."""
        others = {name: value for name, value in super().features().items() if name not in ("batch", "heads")}
        return {**others, "batch_heads": self.batch_heads}

    def visible_keys(self) -> torch.Tensor:
        """Return the number of keys that each query sees, counted from key 0; shape (queries,)."""
        if not self.causal:
            return torch.full((self.queries,), self.keys)
        return torch.arange(1, self.queries + 1).clamp(max=self.keys)


MISSION = AttentionWorkload("mission", "float16", batch=1, heads=8, queries=512, keys=512, head_dim=64)
# Batch, heads, queries and keys, head size.
SERVING_SIZES = (
    (4, 16, 512, 64),
    (1, 8, 1024, 64),
    (8, 32, 512, 64),
    (4, 32, 2048, 64),
    (2, 32, 4096, 64),
    (4, 16, 2048, 128),
    (1, 16, 8192, 128),
)
CAUSAL_SIZES = ((4, 32, 2048, 64), (4, 16, 2048, 128))


def sized(batch: int, heads: int, length: int, head_dim: int, causal: bool = False) -> AttentionWorkload:
    """Return an FP16 workload named by its size, such as `4x32x2048x64_causal`."""
    name = f"{batch}x{heads}x{length}x{head_dim}{'_causal' if causal else ''}"
    return AttentionWorkload(name, "float16", batch, heads, length, length, head_dim, causal)


def attention(workload: Workload) -> AttentionWorkload:
    """Return the workload with its real type; raise TypeError for a workload of another kernel."""
    if not isinstance(workload, AttentionWorkload):
        found = type(workload).__name__
        raise TypeError(f"workload must be an AttentionWorkload, got {found}; use one of the kernel's")
    return workload
