// The map of a block's dynamic shared memory. geometry.py computes the same total.
#pragma once

#include <cstdint>

#include "configuration.cuh"
#include "shared_tile.cuh"

constexpr int larger(int a, int b) { return a > b ? a : b; }

constexpr int merge_parts = kv_warps * (cluster_merge ? split_kv : 1);  // warps whose outputs are merged on chip
constexpr bool merges = merge_parts > 1;
constexpr int part_fragments = value_fragments / merge_parts;
// Each part finishes the features of its own first fragments, which need not go through memory: its fragment n holds the
// features of fragment n ^ part * part_fragments. With swizzled rows of V this costs nothing.
constexpr bool keeps_own = merges && shared_layout == SharedLayout::swizzle && (merge_parts & (merge_parts - 1)) == 0 &&
                           value_fragments % merge_parts == 0;

constexpr int tile_bytes = tile_n * row_bytes;  // one of K or V
constexpr int query_bytes = tile_m * row_bytes;
constexpr int copies_bytes = 2 * stages * tile_bytes;
// Q that moves on to registers needs its memory only until then. Compute warps that copy for themselves let it lie where
// the last stage's V goes; producers would have to wait, so there it has memory of its own.
constexpr bool queries_lie_in_values = q_in_registers && prefetch_warps == 0;
constexpr int partials_bytes = merges ? kv_warps * tile_m * head_dim * 4 : 0;
constexpr int statistics_bytes = merges ? kv_warps * tile_m * 8 : 0;
constexpr int merge_bytes = partials_bytes + statistics_bytes;

// The merge may use the memory of K and V, unless producers are filling it for the next tile of queries by then. In memory
// of its own it need not wait until all warps have read their last V.
constexpr bool merge_apart = merge_memory == MergeMemory::apart || (persistent && prefetch_warps > 0);

constexpr int copies_offset = queries_lie_in_values ? 0 : query_bytes;
constexpr int query_offset = queries_lie_in_values ? copies_bytes - tile_bytes : 0;
constexpr int tiles_bytes = queries_lie_in_values ? copies_bytes - tile_bytes + larger(tile_bytes, query_bytes) : copies_bytes;
constexpr int merge_offset = merge_apart ? copies_offset + tiles_bytes : copies_offset;
constexpr int barriers_offset = merge_apart ? merge_offset + merge_bytes : copies_offset + larger(tiles_bytes, merge_bytes);
constexpr int barriers_bytes = 2 * (kv_warps + 1) * stages * 8;  // for K and V: full for each group of warps, empty for all
constexpr int flag_offset = barriers_offset + (prefetch_warps > 0 ? barriers_bytes : 0);
constexpr int shared_bytes = flag_offset + (workspace_merge ? 16 : 0);

__device__ __forceinline__ uint32_t keys_of_stage(uint32_t shared, int stage) {
    return shared + copies_offset + 2 * stage * tile_bytes;
}
__device__ __forceinline__ uint32_t values_of_stage(uint32_t shared, int stage) {
    return keys_of_stage(shared, stage) + tile_bytes;
}
