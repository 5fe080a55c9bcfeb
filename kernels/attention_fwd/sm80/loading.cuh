// Copies tiles of Q, K and V into shared memory; rows beyond the sequence are filled with zeros and nothing is read there.
#pragma once

#include <cstdint>

#include "configuration.cuh"
#include "cp_async.cuh"
#include "shared_tile.cuh"
#include "tensors.cuh"

// Where the thread's chunk lies `rows` (a multiple of rows_at_once) below its first one.
template <int rows_at_once>
__device__ __forceinline__ uint32_t further_down(
    uint32_t thread_target, uint32_t target, int thread_row, int rows, int chunk) {
    constexpr bool power_of_two = (rows_at_once & (rows_at_once - 1)) == 0;
    if constexpr (shared_layout == SharedLayout::padding || rows_at_once % 8 == 0) {
        return thread_target + rows * row_bytes;
    } else if constexpr (power_of_two) {
        // thread_row and `rows` have no bit in common, so the swizzle of their sum is that of one after the other.
        return (thread_target ^ (rows & 7) * chunk_bytes) + rows * row_bytes;
    } else {
        return target + chunk_offset(thread_row + rows, chunk);
    }
}

// Rows [first_row, first_row + rows) of `source`, all of them there, spread over `loaders` threads.
template <int rows, int loaders>
__device__ __forceinline__ void load_whole_rows(
    uint32_t target, Matrix<const uint16_t> source, int first_row, unsigned thread, uint64_t policy) {
    static_assert(loaders % row_chunks == 0, "a thread keeps to one column of chunks");
    constexpr int rows_at_once = loaders / row_chunks;
    constexpr int turns = (rows + rows_at_once - 1) / rows_at_once;
    const int chunk = thread % row_chunks, thread_row = thread / row_chunks;
    const uint16_t* const address = data_of(source) + int64_t(first_row + thread_row) * row_stride(source) + chunk * 8;
    // Turns differ by constants only, which the copy instruction adds by itself.
    const uint32_t thread_target = target + chunk_offset(thread_row, chunk);
#pragma unroll
    for (int turn = 0; turn < turns; ++turn) {
        const int row = turn * rows_at_once;
        if (rows % rows_at_once != 0 && turn == turns - 1 && row + thread_row >= rows) break;
        copy_async(further_down<rows_at_once>(thread_target, target, thread_row, row, chunk),
                   address + row * row_stride(source), 16, policy);
    }
}

// The same where the sequence ends among them.
template <int rows, int loaders>
__device__ __forceinline__ void load_last_rows(
    uint32_t target, Matrix<const uint16_t> source, int first_row, int sequence, unsigned thread, uint64_t policy) {
    constexpr int rows_at_once = loaders / row_chunks;
    const int chunk = thread % row_chunks, thread_row = thread / row_chunks;
    const uint16_t* const address = data_of(source) + int64_t(first_row + thread_row) * row_stride(source) + chunk * 8;
    const int rows_left = sequence - first_row;
#pragma unroll 1
    for (int row = thread_row; row < rows; row += rows_at_once) {
        // Nothing is read where 0 bytes are asked for; the address stays within the tensor all the same.
        const bool inside = row < rows_left;
        copy_async(target + chunk_offset(row, chunk),
                   inside ? address + (row - thread_row) * row_stride(source) : data_of(source), inside ? 16 : 0, policy);
    }
}

template <int rows, int loaders>
__device__ __forceinline__ void load_rows(
    uint32_t target, Matrix<const uint16_t> source, int first_row, int sequence, unsigned thread, uint64_t policy) {
    if (first_row + rows <= sequence) {
        load_whole_rows<rows, loaders>(target, source, first_row, thread, policy);
    } else {
        load_last_rows<rows, loaders>(target, source, first_row, sequence, thread, policy);
    }
}
