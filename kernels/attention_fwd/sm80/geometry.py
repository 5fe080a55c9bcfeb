"""Launch geometry of variant `sm80`: pure functions of a configuration, with the formulas of the CUDA headers.

A configuration maps parameter names to values. Sizes are in bytes. A CTA is a thread block.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Value = bool | int | str
Configuration = Mapping[str, Value]

ELEMENT_BYTES = 2
PADDING_BYTES = 16
# max_split_tiles of schedule.cuh.
MAX_SPLIT_TILES = 16384
# Most CTAs of a grid in y (CUDA C++ Programming Guide, technical specifications).
MAX_GRID_Y = 65535


@dataclass(frozen=True)
class Shape:
    """Sizes of one call: batch x heads, queries and keys of each head, features of each row."""

    batch_heads: int
    queries: int
    keys: int
    head_dim: int


def derived(configuration: Configuration, shape: Shape) -> dict[str, int]:
    """Return the quantities that constraints of the search spaces use."""
    return {
        "threads": threads(configuration),
        "shared_memory": shared_memory(configuration, shape.head_dim),
        "registers": registers_estimate(configuration, shape.head_dim),
        "blocks": work_items(configuration, shape),
    }


def threads(configuration: Configuration) -> int:
    """Return the threads of a CTA: compute and prefetch warps."""
    return 32 * (_int(configuration, "compute_warps") + _int(configuration, "prefetch_warps"))


def shared_memory(configuration: Configuration, head_dim: int) -> int:
    """Return the dynamic shared memory of a CTA: Q, the stages of K and V, the merge, mbarriers and the arrival flag.

    shared_memory.cuh computes the same total.
    """
    row = head_dim * ELEMENT_BYTES + (PADDING_BYTES if configuration["shared_layout"] == "padding" else 0)
    tile_m, stages = _int(configuration, "tile_m"), _int(configuration, "stages")
    queries, tile = tile_m * row, _int(configuration, "tile_n") * row
    if configuration["q_in_registers"] and _int(configuration, "prefetch_warps") == 0:
        # Q uses the memory of the last stage of V until it is in registers.
        queries, copies = 0, (2 * stages - 1) * tile + max(tile, queries)
    else:
        copies = 2 * stages * tile
    merge = merge_bytes(configuration, head_dim)
    prefetches = _int(configuration, "prefetch_warps") > 0
    apart = configuration["merge_memory"] == "apart" or (bool(configuration["persistent"]) and prefetches)
    barriers = 2 * (_int(configuration, "kv_warps") + 1) * stages * 8 if prefetches else 0
    flag = 16 if merges_through_workspace(configuration) else 0
    return queries + (copies + merge if apart else max(copies, merge)) + barriers + flag


def merge_bytes(configuration: Configuration, head_dim: int) -> int:
    """Partial outputs in FP32 and two statistics per row for each of the warps that share a row."""
    kv_warps = _int(configuration, "kv_warps")
    if kv_warps == 1 and not merges_in_cluster(configuration):
        return 0
    return kv_warps * _int(configuration, "tile_m") * (head_dim + 2) * 4


def merges_through_workspace(configuration: Configuration) -> bool:
    """Return True if keys are split over CTAs and merged through global memory."""
    return _int(configuration, "split_kv") > 1 and configuration["split_merge"] == "workspace"


def merges_in_cluster(configuration: Configuration) -> bool:
    """Return True if keys are split over the CTAs of a cluster (compute capability 9.0)."""
    return _int(configuration, "split_kv") > 1 and configuration["split_merge"] == "cluster"


def query_tiles(configuration: Configuration, shape: Shape) -> int:
    """Return the number of query tiles over all heads."""
    return shape.batch_heads * -(-shape.queries // _int(configuration, "tile_m"))


def work_items(configuration: Configuration, shape: Shape) -> int:
    """Return the number of query tiles times the splits of their keys."""
    return query_tiles(configuration, shape) * _int(configuration, "split_kv")


def grid(configuration: Configuration, shape: Shape, resident_ctas: int) -> tuple[int, int, int]:
    """Return the CTAs to launch; the device holds `resident_ctas` at once (occupancy times multiprocessors)."""
    items = work_items(configuration, shape)
    if configuration["persistent"]:
        cluster_size = _int(configuration, "split_kv") if merges_in_cluster(configuration) else 1
        return min(items, max(cluster_size, resident_ctas // cluster_size * cluster_size)), 1, 1
    heads = min(shape.batch_heads, MAX_GRID_Y)
    return items // shape.batch_heads, heads, -(-shape.batch_heads // heads)


def splits(configuration: Configuration, shape: Shape) -> int:
    """Return how many CTAs divide the keys of a query tile: one if the workspace merge cannot count so many tiles."""
    too_many = merges_through_workspace(configuration) and query_tiles(configuration, shape) > MAX_SPLIT_TILES
    return 1 if too_many else _int(configuration, "split_kv")


def workspace_bytes(configuration: Configuration, shape: Shape) -> int:
    """Return the bytes for the partial output and statistics of each split; 0 without a merge through the workspace.

    The content may be arbitrary. One launch does it all: the CTA that arrives last merges the splits.
    """
    tiles = query_tiles(configuration, shape)
    if not merges_through_workspace(configuration) or tiles > MAX_SPLIT_TILES:
        return 0
    floats = _int(configuration, "tile_m") * (shape.head_dim + 2)
    return tiles * _int(configuration, "split_kv") * floats * 4


def registers_estimate(configuration: Configuration, head_dim: int) -> int:
    """Estimate the registers of a compute thread: output, scores, Q, and 40 for addresses and fragments.

    Fragment sizes from the PTX ISA (mma.m16n8k16): 4 FP32 accumulators per 16x8 block, 4 registers of Q per 16x16.
    Constraints need it before a build; ptxas reports the actual number.
    """
    row_warps = _int(configuration, "compute_warps") // _int(configuration, "kv_warps")
    fragments = max(1, _int(configuration, "tile_m") // (16 * row_warps))
    scores = fragments * _int(configuration, "step_n") // 2
    if configuration["overlap_scores"]:
        scores *= 2
    output = fragments * head_dim // 2
    queries = fragments * head_dim // 4 if configuration["q_in_registers"] else 0
    return output + scores + queries + 40


def _int(configuration: Configuration, name: str) -> int:
    value = configuration[name]
    if not isinstance(value, int):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    return value
