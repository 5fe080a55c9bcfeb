"""The variant sm80: the files of sm80.cu, and the quantities that follow from a configuration (geometry.py)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from evotune_workers.kernel import Configuration, Geometry, Value, Variant, Workload

from ..stages import Scores, Softmax
from ..workload import attention
from . import geometry

# Columns of an accumulator of mma.m16n8k16.
FRAGMENT_FEATURES = 8
HEADERS = (
    *("barrier", "configuration", "cp_async", "ldmatrix", "loading", "merge", "mma", "producer", "schedule"),
    *("self_loader", "shared_memory", "shared_tile", "softmax", "stage_recorder", "storing", "tensors", "thread_index"),
)


def key_groups(configuration: Configuration, workload: Workload) -> int:
    """Return how many warps, of one CTA or several, divide the keys of a query."""
    return int(configuration["kv_warps"]) * geometry.splits(configuration, _shape(workload))


class Sm80Variant(Variant):
    """For Ampere, Ada and Hopper; FP16 and BF16, head sizes 64 and 128."""

    name = "sm80"
    sources = ("sm80/sm80.cu", *(f"sm80/{name}.cuh" for name in HEADERS))
    entry = "attention_fwd"
    modules = ("sm80/geometry.py",)
    stages = (Scores(), Softmax(key_groups))
    # A build that takes strides as arguments reads views of a model's projections in place.
    forms = MappingProxyType({"strided": {"STRIDED": 1}})

    def supports(self, workload: Workload) -> bool:
        """Return True for FP16 and BF16 with head size 64 or 128."""
        return workload.dtype in ("float16", "bfloat16") and attention(workload).head_dim in (64, 128)

    def build_macros(self, workload: Workload) -> Mapping[str, Value]:
        """Return the head size and the element type; everything else is an argument."""
        return {"HEAD_DIM": attention(workload).head_dim, "ELEMENT": workload.dtype, "STRIDED": 0}

    def derived(self, configuration: Configuration, workload: Workload) -> Mapping[str, int]:
        """Return `threads` and dynamic `shared_memory` of a CTA, estimated `registers` of a thread, and `blocks`."""
        return geometry.derived(configuration, _shape(workload))

    def workspace_bytes(self, configuration: Configuration, workload: Workload) -> int:
        """Return the bytes of partial outputs, if keys are split over CTAs and merged through global memory."""
        return geometry.workspace_bytes(configuration, _shape(workload))

    def geometry(self, configuration: Configuration, workload: Workload, resident_blocks: int) -> Geometry:
        """Return the launch geometry: a CTA for each work item, or all resident CTAs of a persistent grid."""
        shape = _shape(workload)
        return Geometry(
            geometry.grid(configuration, shape, resident_blocks),
            geometry.threads(configuration),
            geometry.shared_memory(configuration, shape.head_dim),
        )

    def output_tile(self, configuration: Configuration) -> tuple[int, int]:
        """Return the queries of a tile, and the features of one accumulator."""
        return int(configuration["tile_m"]), FRAGMENT_FEATURES


def _shape(workload: Workload) -> geometry.Shape:
    shape = attention(workload)
    return geometry.Shape(shape.batch_heads, shape.queries, shape.keys, shape.head_dim)
