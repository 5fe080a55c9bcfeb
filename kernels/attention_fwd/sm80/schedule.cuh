// Which queries and keys a block works on, and in which order.
#pragma once

#include "configuration.cuh"

struct Problem {
    int heads;    // batch x heads
    int queries;  // of each head
    int keys;
    bool causal;
    float scale_log2;  // scale * log2(e)
};

// A tile of queries of one head, and a contiguous share of the tiles of keys that it sees.
struct WorkItem {
    int head;
    int first_row;
    int block;  // head and tile of queries as one number
    int split;
    int shares;  // among how many blocks the keys are split
    int first_tile;
    int tiles;

    // Where the t-th tile of keys to be processed starts.
    __device__ __forceinline__ int first_key(int t) const {
        const int tile = key_order == KeyOrder::reverse ? first_tile + tiles - 1 - t : first_tile + t;
        return tile * tile_n;
    }
};

// Blocks of queries whose shares of keys can be merged through the workspace; a longer grid needs no split to be full, and
// the first block takes all keys.
constexpr int split_blocks_most = 16384;

__device__ __forceinline__ int row_blocks(const Problem& problem) { return (problem.queries + tile_m - 1) / tile_m; }

// The share `split` of the keys for the `place`-th tile of queries of a head. Causal tiles go from the last, which sees the
// most keys, to the first, so that short ones fill the tail.
__device__ __forceinline__ WorkItem work_item(const Problem& problem, int head, int place, int split) {
    WorkItem item;
    const int blocks = row_blocks(problem);
    item.head = head;
    item.block = head * blocks + place;
    item.split = split;
    item.first_row = (problem.causal ? blocks - 1 - place : place) * tile_m;
    item.shares = workspace_merge && problem.heads * blocks > split_blocks_most ? 1 : split_kv;
    const int visible = problem.causal ? min(problem.keys, item.first_row + tile_m) : problem.keys;
    const int tiles = (visible + tile_n - 1) / tile_n;
    const int share = (tiles + item.shares - 1) / item.shares;
    item.first_tile = min(split * share, tiles);
    item.tiles = min(share, tiles - item.first_tile);
    return item;
}

// The block's `turn`-th item of a persistent grid. Every other turn runs backwards over the blocks: those that took the
// longest causal items then take the shortest. The blocks of a cluster take their items together.
__device__ __forceinline__ int item_of_turn(int turn) {
    const int group = cluster_merge ? split_kv : 1;
    const int groups = gridDim.x / group;
    const int mine = blockIdx.x / group;
    const int place = turn % 2 == 0 ? mine : groups - 1 - mine;
    return (turn * groups + place) * group + blockIdx.x % group;
}

// The item with that number of a persistent grid.
__device__ __forceinline__ WorkItem numbered_item(const Problem& problem, int number) {
    const int blocks = row_blocks(problem), block = number / split_kv, head = block / blocks;
    return work_item(problem, head, block - head * blocks, number % split_kv);
}

// The only item of a block of a grid that is not persistent.
__device__ __forceinline__ WorkItem item_of_block(const Problem& problem) {
    const int head = blockIdx.z == 0 ? blockIdx.y : blockIdx.y + blockIdx.z * gridDim.y;
    return work_item(problem, head, blockIdx.x / split_kv, blockIdx.x % split_kv);
}

// Numbers beyond the last item fill up the last turn or the grid's z, and where keys are not split after all the shares
// after the first have nothing to do.
__device__ __forceinline__ bool exists(const Problem& problem, const WorkItem& item) {
    return item.head < problem.heads && item.split < item.shares;
}

// Calls `work` with each item of this block; all its warps see the same items. Grid: persistent, (resident blocks, 1, 1);
// else one block for each item, (tiles of queries x split_kv, heads, 1), with heads beyond 65535 going on in z.
template <class Work>
__device__ __forceinline__ void for_each_item(const Problem& problem, Work&& work) {
    if constexpr (persistent) {
        const int items = problem.heads * row_blocks(problem) * split_kv;
        for (int turn = 0; turn * int(gridDim.x) < items; ++turn) {
            const WorkItem item = numbered_item(problem, item_of_turn(turn));
            if (exists(problem, item)) work(item);
        }
    } else {
        const WorkItem item = item_of_block(problem);
        if (exists(problem, item)) work(item);
    }
}
