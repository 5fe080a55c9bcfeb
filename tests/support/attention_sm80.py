"""Configurations of the CUDA variant of attention that differ in how keys reach a warp and how its part is merged."""

from __future__ import annotations

from evotune_workers.kernel import Value

PLAIN: dict[str, Value] = {
    "tile_m": 32,
    "tile_n": 128,
    "compute_warps": 4,
    "kv_warps": 2,
    "prefetch_warps": 0,
    "stages": 2,
    "step_n": 64,
    "overlap_scores": False,
    "persistent": False,
    "split_kv": 1,
    "split_merge": "workspace",
    "q_in_registers": True,
    "shared_layout": "swizzle",
    "min_blocks": 1,
    "l2_policy": "none",
    "key_order": "forward",
    "rescale": "always",
    "row_sum": "scalar",
    "polynomial_exp": 0,
    "merge_memory": "tiles",
}
# Searches of the H200's space find such configurations at the mission shape.
TUNED: dict[str, Value] = {
    **PLAIN,
    "tile_n": 256,
    "compute_warps": 8,
    "kv_warps": 4,
    "prefetch_warps": 2,
    "step_n": 32,
    "overlap_scores": True,
    "rescale": "on_growth",
    "row_sum": "tensor",
    "merge_memory": "apart",
}
# Each with the workload that it is for. Clusters need sm_90.
CONFIGURATIONS: dict[str, tuple[str, dict[str, Value]]] = {
    "plain": ("mission", PLAIN),
    "tuned": ("mission", TUNED),
    "one warp for all keys": (
        "ragged",
        {**PLAIN, "kv_warps": 1, "compute_warps": 2, "tile_n": 64, "shared_layout": "padding", "q_in_registers": False},
    ),
    "overlapped": ("mission_bf16", {**PLAIN, "overlap_scores": True, "step_n": 32, "row_sum": "tensor"}),
    "one stage": ("causal", {**PLAIN, "stages": 1}),
    "prefetching, persistent": (
        "causal",
        {**PLAIN, "prefetch_warps": 2, "persistent": True, "overlap_scores": True, "kv_warps": 4, "step_n": 32},
    ),
    "prefetching, wide": ("wide", {**PLAIN, "prefetch_warps": 1, "tile_n": 64, "step_n": 32, "row_sum": "tensor"}),
    "split through the workspace": (
        "ragged",
        {**PLAIN, "split_kv": 4, "tile_n": 64, "step_n": 32, "row_sum": "tensor", "polynomial_exp": 1},
    ),
    "last keys first": ("causal", {**PLAIN, "persistent": True, "key_order": "reverse"}),
    "split in a cluster": (
        "causal",
        {**PLAIN, "split_kv": 2, "split_merge": "cluster", "overlap_scores": True, "step_n": 32, "prefetch_warps": 2},
    ),
}
