"""Choose the kernel that serves a call.

A call goes to the kernel of the nearest bucket with the same dtype and head size. Distance is the difference in
batch x heads, queries and keys, counted in doublings. A causal call is one doubling away from one without a mask.
Among buckets at the same distance, the kernel that serves most buckets wins. `kernel=None` means that SDPA was faster
there, so SDPA serves the calls nearest to that bucket.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Bucket:
    """A measured workload, its kernel, and the speedup over the fastest backend of SDPA."""

    name: str
    kernel: str | None
    speedup: float
    dtype: str
    batch: int
    heads: int
    queries: int
    keys: int
    head_dim: int
    causal: bool


BUCKETS: tuple[Bucket, ...] = ()


def supported() -> list[tuple[str, int]]:
    """Return the pairs of dtype and head size that have kernels."""
    return sorted({(bucket.dtype, bucket.head_dim) for bucket in BUCKETS})


def choose(dtype: str, head_dim: int, batch_heads: int, queries: int, keys: int, causal: bool) -> Bucket:
    """Return the bucket nearest to a call; raise ValueError if none has that dtype and head size."""
    valid = [bucket for bucket in BUCKETS if (bucket.dtype, bucket.head_dim) == (dtype, head_dim)]
    if not valid:
        known = ", ".join(f"{dtype} with head size {size}" for dtype, size in supported())
        raise ValueError(f"there are kernels for {known}, got {dtype} with head size {head_dim}")

    def distance(bucket: Bucket) -> float:
        sizes = (bucket.batch * bucket.heads, bucket.queries, bucket.keys)
        doublings = sum(abs(math.log2(a / b)) for a, b in zip(sizes, (batch_heads, queries, keys), strict=True))
        return round(doublings, 6) + (bucket.causal != causal)

    return min(valid, key=lambda bucket: (distance(bucket), -_bucket_count(bucket.kernel)))


def _bucket_count(kernel: str | None) -> int:
    return sum(bucket.kernel == kernel for bucket in BUCKETS)
