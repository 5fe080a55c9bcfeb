"""Launch geometry of variant `sm80`: pure functions of a configuration, the same formulas as the headers use.

A configuration maps parameter names to values; sizes are in bytes. `shared_memory` mirrors shared_memory.cuh.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Value = bool | int | str
Configuration = Mapping[str, Value]

ELEMENT_BYTES = 2
PADDING_BYTES = 16
# schedule.cuh: split_blocks_most.
SPLIT_BLOCKS_MOST = 16384
# CUDA C++ Programming Guide, technical specifications: most blocks of a grid in y.
GRID_Y_MOST = 65535


@dataclass(frozen=True)
class Shape:
    """Sizes of one call: batch x heads, queries and keys of each head, features of each row."""

    batch_heads: int
    queries: int
    keys: int
    head_dim: int


def derived(configuration: Configuration, shape: Shape) -> dict[str, int]:
    """The quantities that the spaces' constraints use."""
    return {
        "threads": threads(configuration),
        "shared_memory": shared_memory(configuration, shape.head_dim),
        "registers": registers_estimate(configuration, shape.head_dim),
        "blocks": work_items(configuration, shape),
    }


def threads(configuration: Configuration) -> int:
    """Threads of a block: compute and prefetch warps."""
    return 32 * (_int(configuration, "compute_warps") + _int(configuration, "prefetch_warps"))


def shared_memory(configuration: Configuration, head_dim: int) -> int:
    """Dynamic shared memory of a block: Q, the stages of K and V, the merge, barriers and the split's flag."""
    row = head_dim * ELEMENT_BYTES + (PADDING_BYTES if configuration["shared_layout"] == "padding" else 0)
    tile_m, stages = _int(configuration, "tile_m"), _int(configuration, "stages")
    queries, tile = tile_m * row, _int(configuration, "tile_n") * row
    if configuration["q_in_registers"] and _int(configuration, "prefetch_warps") == 0:
        # Q lies where the last stage of V goes, until it is in registers.
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
    """Keys are split over blocks that meet in global memory."""
    return _int(configuration, "split_kv") > 1 and configuration["split_merge"] == "workspace"


def merges_in_cluster(configuration: Configuration) -> bool:
    """Keys are split over the blocks of a cluster (compute capability 9.0)."""
    return _int(configuration, "split_kv") > 1 and configuration["split_merge"] == "cluster"


def row_blocks(configuration: Configuration, shape: Shape) -> int:
    """Tiles of queries, over all heads."""
    return shape.batch_heads * -(-shape.queries // _int(configuration, "tile_m"))


def work_items(configuration: Configuration, shape: Shape) -> int:
    """Tiles of queries times the blocks that share one's keys."""
    return row_blocks(configuration, shape) * _int(configuration, "split_kv")


def grid(configuration: Configuration, shape: Shape, resident_blocks: int) -> tuple[int, int, int]:
    """Blocks to launch; the whole device holds `resident_blocks` at once (occupancy times multiprocessors)."""
    items = work_items(configuration, shape)
    if configuration["persistent"]:
        group = _int(configuration, "split_kv") if merges_in_cluster(configuration) else 1
        return min(items, max(group, resident_blocks // group * group)), 1, 1
    heads = min(shape.batch_heads, GRID_Y_MOST)
    return items // shape.batch_heads, heads, -(-shape.batch_heads // heads)


def splits(configuration: Configuration, shape: Shape) -> int:
    """Blocks that share a tile's keys; one where there are too many tiles to merge through the workspace."""
    too_many = merges_through_workspace(configuration) and row_blocks(configuration, shape) > SPLIT_BLOCKS_MOST
    return 1 if too_many else _int(configuration, "split_kv")


def workspace_bytes(configuration: Configuration, shape: Shape) -> int:
    """Partial outputs and statistics of each share of the keys; 0 without a split through the workspace.

    Its content may be arbitrary. The kernel launches once: the block that arrives last combines.
    """
    blocks = row_blocks(configuration, shape)
    if not merges_through_workspace(configuration) or blocks > SPLIT_BLOCKS_MOST:
        return 0
    floats = _int(configuration, "tile_m") * (shape.head_dim + 2)
    return blocks * _int(configuration, "split_kv") * floats * 4


def registers_estimate(configuration: Configuration, head_dim: int) -> int:
    """Registers a compute thread needs: output, scores, Q, the merge's weights and 40 for addresses and fragments.

    Fragment sizes from the PTX ISA (mma.m16n8k16): 4 FP32 accumulators per 16x8 block, 4 registers of Q per 16x16.
    Measured against ptxas: see README.
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
