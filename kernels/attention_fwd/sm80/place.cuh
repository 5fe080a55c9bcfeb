// A thread's and its warp's place in the block and in the cluster.
#pragma once

#include "configuration.cuh"

struct Place {
    int thread, lane, kv_warp, row_warp, rank;

    __device__ __forceinline__ Place()
        : thread(threadIdx.x), lane(threadIdx.x % 32), kv_warp(threadIdx.x / 32 / row_warps),
          row_warp(threadIdx.x / 32 % row_warps), rank(cluster_merge ? blockIdx.x % split_kv : 0) {}

    // The first of the warp's rows in the block's tile of queries.
    __device__ __forceinline__ int warp_row() const { return row_warp * row_fragments * 16; }
};
