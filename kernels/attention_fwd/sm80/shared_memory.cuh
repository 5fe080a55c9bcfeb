// The map of a CTA's dynamic shared memory. geometry.py computes the same total.
#pragma once

#include <cstdint>

#include "configuration.cuh"
#include "shared_tile.cuh"

constexpr int max_of(int a, int b) { return a > b ? a : b; }

constexpr int num_partials = kv_warps * (cluster_merge ? split_kv : 1);  // partial outputs that are merged on chip
constexpr bool merges_on_chip = num_partials > 1;
constexpr int fragments_per_partial = value_fragments / num_partials;
// Each warp finishes the features of its own first fragments, so these stay in registers: fragment n of partial p holds
// the features of fragment n ^ p * fragments_per_partial. With swizzled rows of V this costs no instruction.
constexpr bool keeps_own_fragments =
    merges_on_chip && shared_layout == SharedLayout::swizzle && (num_partials & (num_partials - 1)) == 0 &&
    value_fragments % num_partials == 0;

constexpr int kv_tile_bytes = tile_n * row_bytes;  // one of K or V
constexpr int q_bytes = tile_m * row_bytes;
constexpr int kv_stages_bytes = 2 * num_stages * kv_tile_bytes;
// Q needs shared memory only until it is in registers. Compute warps that copy for themselves put it where V of the
// last stage goes. Producers would have to wait for that memory, so with them Q has its own.
constexpr bool q_overlaps_v = q_in_registers && prefetch_warps == 0;
constexpr int partial_outputs_bytes = merges_on_chip ? kv_warps * tile_m * head_dim * 4 : 0;
constexpr int row_statistics_bytes = merges_on_chip ? kv_warps * tile_m * 8 : 0;
constexpr int merge_bytes = partial_outputs_bytes + row_statistics_bytes;

// The merge may reuse the memory of K and V, unless producers already fill it for the next query tile. With memory of
// its own it need not wait until all warps have read their last V.
constexpr bool merge_has_own_memory = merge_memory == MergeMemory::apart || (persistent && prefetch_warps > 0);

constexpr int kv_offset = q_overlaps_v ? 0 : q_bytes;
constexpr int q_smem_offset = q_overlaps_v ? kv_stages_bytes - kv_tile_bytes : 0;
constexpr int tiles_bytes =
    q_overlaps_v ? kv_stages_bytes - kv_tile_bytes + max_of(kv_tile_bytes, q_bytes) : kv_stages_bytes;
constexpr int merge_offset = merge_has_own_memory ? kv_offset + tiles_bytes : kv_offset;
constexpr int mbarriers_offset =
    merge_has_own_memory ? merge_offset + merge_bytes : kv_offset + max_of(tiles_bytes, merge_bytes);
// For each of K and V in each stage: a full mbarrier for each KV group, and one empty mbarrier.
constexpr int mbarriers_bytes = 2 * (kv_warps + 1) * num_stages * 8;
constexpr int arrival_flag_offset = mbarriers_offset + (prefetch_warps > 0 ? mbarriers_bytes : 0);
constexpr int shared_bytes = arrival_flag_offset + (workspace_merge ? 16 : 0);

__device__ __forceinline__ uint32_t k_of_stage(uint32_t smem, int stage) {
    return smem + kv_offset + 2 * stage * kv_tile_bytes;
}
__device__ __forceinline__ uint32_t v_of_stage(uint32_t smem, int stage) {
    return k_of_stage(smem, stage) + kv_tile_bytes;
}
