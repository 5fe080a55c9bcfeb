// The queries and keys that each CTA works on, and their order.
#pragma once

#include "configuration.cuh"

struct Problem {
    int num_heads;    // batch x heads
    int num_queries;  // of each head
    int num_keys;     // of each head
    bool causal;
    float scale_log2;  // scale * log2(e)
};

// One query tile of one head, and a contiguous range of the KV tiles that it attends to.
struct WorkItem {
    int head;
    int first_query;
    int tile_id;  // of the query tile, counted over all heads
    int split;
    int num_splits;  // how many CTAs divide the keys of this query tile
    int first_kv_tile;
    int num_kv_tiles;

    // The first key of the KV tile that is processed at iteration `t`.
    __device__ __forceinline__ int first_key(int t) const {
        const int kv_tile = key_order == KeyOrder::reverse ? first_kv_tile + num_kv_tiles - 1 - t : first_kv_tile + t;
        return kv_tile * tile_n;
    }
};

// Most query tiles whose splits are merged through the workspace. A longer grid fills the device without a split, so
// the first CTA takes all keys.
constexpr int max_split_tiles = 16384;

__device__ __forceinline__ int query_tiles_per_head(const Problem& problem) {
    return (problem.num_queries + tile_m - 1) / tile_m;
}

// Work on split `split` of the keys for a head's query tile at position `index`. Causal grids start with the last tile,
// which attends to most keys, so that short items fill the tail.
__device__ __forceinline__ WorkItem make_work_item(const Problem& problem, int head, int index, int split) {
    WorkItem item;
    const int query_tiles = query_tiles_per_head(problem);
    item.head = head;
    item.tile_id = head * query_tiles + index;
    item.split = split;
    item.first_query = (problem.causal ? query_tiles - 1 - index : index) * tile_m;
    item.num_splits = workspace_merge && problem.num_heads * query_tiles > max_split_tiles ? 1 : split_kv;
    const int visible_keys = problem.causal ? min(problem.num_keys, item.first_query + tile_m) : problem.num_keys;
    const int kv_tiles = (visible_keys + tile_n - 1) / tile_n;
    const int tiles_per_split = (kv_tiles + item.num_splits - 1) / item.num_splits;
    item.first_kv_tile = min(split * tiles_per_split, kv_tiles);
    item.num_kv_tiles = min(tiles_per_split, kv_tiles - item.first_kv_tile);
    return item;
}

// The item that this CTA of a persistent grid takes at iteration `iteration`. Odd iterations visit the CTAs in reverse:
// those that took the longest causal items then take the shortest. The CTAs of a cluster take consecutive items.
__device__ __forceinline__ int item_of_iteration(int iteration) {
    const int cluster_size = cluster_merge ? split_kv : 1;
    const int num_clusters = gridDim.x / cluster_size;
    const int cluster_id = blockIdx.x / cluster_size;
    const int position = iteration % 2 == 0 ? cluster_id : num_clusters - 1 - cluster_id;
    return (iteration * num_clusters + position) * cluster_size + blockIdx.x % cluster_size;
}

// Item number `item_id` of a persistent grid.
__device__ __forceinline__ WorkItem persistent_item(const Problem& problem, int item_id) {
    const int query_tiles = query_tiles_per_head(problem), tile_id = item_id / split_kv, head = tile_id / query_tiles;
    return make_work_item(problem, head, tile_id - head * query_tiles, item_id % split_kv);
}

// The only item of a CTA in a grid that is not persistent.
__device__ __forceinline__ WorkItem item_of_cta(const Problem& problem) {
    const int head = blockIdx.z == 0 ? blockIdx.y : blockIdx.y + blockIdx.z * gridDim.y;
    return make_work_item(problem, head, blockIdx.x / split_kv, blockIdx.x % split_kv);
}

// False for item numbers past the last item, which fill the last iteration or the grid's z dimension, and for the
// unused splits of keys that are not split after all.
__device__ __forceinline__ bool is_valid(const Problem& problem, const WorkItem& item) {
    return item.head < problem.num_heads && item.split < item.num_splits;
}

// Call `process` for each item of this CTA; all its warps see the same items. A persistent grid is (resident CTAs, 1,
// 1). Any other has one CTA for each item: (query tiles x split_kv, heads, 1), with heads beyond 65535 continued in z.
template <class Process>
__device__ __forceinline__ void for_each_item(const Problem& problem, Process&& process) {
    if constexpr (persistent) {
        const int num_items = problem.num_heads * query_tiles_per_head(problem) * split_kv;
        for (int iteration = 0; iteration * int(gridDim.x) < num_items; ++iteration) {
            const WorkItem item = persistent_item(problem, item_of_iteration(iteration));
            if (is_valid(problem, item)) process(item);
        }
    } else {
        const WorkItem item = item_of_cta(problem);
        if (is_valid(problem, item)) process(item);
    }
}
