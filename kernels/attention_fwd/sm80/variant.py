"""Variant sm80: sm80.cu and what follows from its configurations; the formulas are geometry.py's."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from evotune_workers.kernel import Configuration, Geometry, Value, Variant, Workload

from ..stages import Scores, Softmax
from ..workload import attention
from . import geometry

# Of an accumulator of mma.m16n8k16.
FRAGMENT_FEATURES = 8
HEADERS = (
    *("barrier", "configuration", "cp_async", "ldmatrix", "loading", "merge", "mma", "producer", "schedule"),
    *("self_loader", "shared_memory", "shared_tile", "softmax", "stage_recorder", "storing", "tensors", "thread_index"),
)


def shares(configuration: Configuration, workload: Workload) -> int:
    """Among how many warps, of one block or several, the keys of a query are split."""
    return int(configuration["kv_warps"]) * geometry.splits(configuration, _shape(workload))


class Sm80Variant(Variant):
    """For Ampere, Ada and Hopper; FP16 and BF16, head sizes 64 and 128."""

    name = "sm80"
    sources = ("sm80/sm80.cu", *(f"sm80/{name}.cuh" for name in HEADERS))
    entry = "attention_fwd"
    modules = ("sm80/geometry.py",)
    stages = (Scores(), Softmax(shares))
    # Heads and rows of q, k, v and out lie where each call says: models' projections are read as they are.
    forms = MappingProxyType({"strided": {"STRIDED": 1}})

    def supports(self, workload: Workload) -> bool:
        """What tensor cores multiply in 16 bits."""
        return workload.dtype in ("float16", "bfloat16") and attention(workload).head_dim in (64, 128)

    def build_macros(self, workload: Workload) -> Mapping[str, Value]:
        """The head size and the element type; everything else is an argument."""
        return {"HEAD_DIM": attention(workload).head_dim, "ELEMENT": workload.dtype, "STRIDED": 0}

    def derived(self, configuration: Configuration, workload: Workload) -> Mapping[str, int]:
        """`threads` and dynamic `shared_memory` (bytes) of a block, `registers` of a thread (estimated), `blocks`."""
        return geometry.derived(configuration, _shape(workload))

    def workspace_bytes(self, configuration: Configuration, workload: Workload) -> int:
        """Partial outputs where the keys are split over blocks that meet in global memory."""
        return geometry.workspace_bytes(configuration, _shape(workload))

    def geometry(self, configuration: Configuration, workload: Workload, resident_blocks: int) -> Geometry:
        """A block for each piece of work, or as many as the device holds where they are persistent."""
        shape = _shape(workload)
        return Geometry(
            geometry.grid(configuration, shape, resident_blocks),
            geometry.threads(configuration),
            geometry.shared_memory(configuration, shape.head_dim),
        )

    def output_tile(self, configuration: Configuration) -> tuple[int, int]:
        """Queries of a tile, and the features that a warp's accumulators hold side by side."""
        return int(configuration["tile_m"]), FRAGMENT_FEATURES


def _shape(workload: Workload) -> geometry.Shape:
    shape = attention(workload)
    return geometry.Shape(shape.batch_heads, shape.queries, shape.keys, shape.head_dim)
