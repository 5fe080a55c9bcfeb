// Indices of a thread and its warp within the CTA and the cluster.
#pragma once

#include "configuration.cuh"

struct ThreadIndex {
    int thread_id, lane_id, kv_warp_id, row_warp_id, cta_rank;

    __device__ __forceinline__ ThreadIndex()
        : thread_id(threadIdx.x), lane_id(threadIdx.x % 32), kv_warp_id(threadIdx.x / 32 / row_warps),
          row_warp_id(threadIdx.x / 32 % row_warps), cta_rank(cluster_merge ? blockIdx.x % split_kv : 0) {}

    // The warp's first row in the CTA's query tile.
    __device__ __forceinline__ int warp_row() const { return row_warp_id * row_fragments * 16; }
};
