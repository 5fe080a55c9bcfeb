// Copies of Q, K and V tiles into shared memory. Rows past the end of the sequence are filled with zeros and never
// read.
#pragma once

#include <cstdint>

#include "configuration.cuh"
#include "cp_async.cuh"
#include "shared_tile.cuh"
#include "tensors.cuh"

// The address of the thread's chunk `num_rows` (a multiple of rows_per_iteration) below its first chunk.
template <int rows_per_iteration>
__device__ __forceinline__ uint32_t chunk_below(
    uint32_t thread_smem, uint32_t tile_smem, int thread_row, int num_rows, int chunk) {
    constexpr bool power_of_two = (rows_per_iteration & (rows_per_iteration - 1)) == 0;
    if constexpr (shared_layout == SharedLayout::padding || rows_per_iteration % 8 == 0) {
        return thread_smem + num_rows * row_bytes;
    } else if constexpr (power_of_two) {
        // thread_row and num_rows have no bit in common, so swizzling by one and then the other swizzles by their sum.
        return (thread_smem ^ (num_rows & 7) * chunk_bytes) + num_rows * row_bytes;
    } else {
        return tile_smem + chunk_offset(thread_row + num_rows, chunk);
    }
}

// Copy `rows` rows, all inside the sequence, with `loader_threads` threads.
template <int rows, int loader_threads>
__device__ __forceinline__ void load_full_rows(
    uint32_t tile_smem, Matrix<const uint16_t> gmem, int first_row, unsigned thread_id, uint64_t policy) {
    static_assert(loader_threads % row_chunks == 0, "a thread keeps to one column of chunks");
    constexpr int rows_per_iteration = loader_threads / row_chunks;
    constexpr int iterations = (rows + rows_per_iteration - 1) / rows_per_iteration;
    const int chunk = thread_id % row_chunks, thread_row = thread_id / row_chunks;
    const uint16_t* const thread_gmem =
        data_pointer(gmem) + int64_t(first_row + thread_row) * row_stride(gmem) + chunk * 8;
    // Iterations differ by constants only, which become immediate offsets of the copy instruction.
    const uint32_t thread_smem = tile_smem + chunk_offset(thread_row, chunk);
#pragma unroll
    for (int iteration = 0; iteration < iterations; ++iteration) {
        const int row = iteration * rows_per_iteration;
        if (rows % rows_per_iteration != 0 && iteration == iterations - 1 && row + thread_row >= rows) break;
        copy_async(chunk_below<rows_per_iteration>(thread_smem, tile_smem, thread_row, row, chunk),
                   thread_gmem + row * row_stride(gmem), 16, policy);
    }
}

// Copy `rows` rows of a tile in which the sequence ends.
template <int rows, int loader_threads>
__device__ __forceinline__ void load_last_rows(
    uint32_t tile_smem, Matrix<const uint16_t> gmem, int first_row, int sequence_length, unsigned thread_id,
    uint64_t policy) {
    constexpr int rows_per_iteration = loader_threads / row_chunks;
    const int chunk = thread_id % row_chunks, thread_row = thread_id / row_chunks;
    const uint16_t* const thread_gmem =
        data_pointer(gmem) + int64_t(first_row + thread_row) * row_stride(gmem) + chunk * 8;
    const int rows_left = sequence_length - first_row;
#pragma unroll 1
    for (int row = thread_row; row < rows; row += rows_per_iteration) {
        // A copy of 0 bytes reads nothing; its address stays inside the tensor all the same.
        const bool inside = row < rows_left;
        copy_async(tile_smem + chunk_offset(row, chunk),
                   inside ? thread_gmem + (row - thread_row) * row_stride(gmem) : data_pointer(gmem), inside ? 16 : 0,
                   policy);
    }
}

template <int rows, int loader_threads>
__device__ __forceinline__ void load_rows(
    uint32_t tile_smem, Matrix<const uint16_t> gmem, int first_row, int sequence_length, unsigned thread_id,
    uint64_t policy) {
    if (first_row + rows <= sequence_length) {
        load_full_rows<rows, loader_threads>(tile_smem, gmem, first_row, thread_id, policy);
    } else {
        load_last_rows<rows, loader_threads>(tile_smem, gmem, first_row, sequence_length, thread_id, policy);
    }
}
