// Stores finished output rows from registers to global memory, 16 bytes at a time.
#pragma once

#include <cstdint>

#include "configuration.cuh"
#include "merge.cuh"
#include "mma.cuh"
#include "softmax.cuh"
#include "tensors.cuh"

// Transpose the 4x4 words that a quad of lanes holds: word i of lane j moves to word j of lane i.
__device__ __forceinline__ void transpose_quad(uint32_t (&words)[4], int lane_id) {
    const bool odd = lane_id & 1, high = lane_id & 2;
#pragma unroll
    for (int i = 0; i < 4; i += 2) {
        const uint32_t received = __shfl_xor_sync(~0u, odd ? words[i] : words[i + 1], 1);
        (odd ? words[i] : words[i + 1]) = received;
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) {
        const uint32_t received = __shfl_xor_sync(~0u, high ? words[i] : words[i + 2], 2);
        (high ? words[i] : words[i + 2]) = received;
    }
}

// Store 16 bytes with one instruction. Where the words come from shuffles, the compiler would make four 4-byte stores
// of them, which lengthens a call of 4.4 us by 0.7 us (H200).
__device__ __forceinline__ void store_chunk(uint16_t* gmem, const uint32_t (&words)[4]) {
    asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};"
        :: "l"(gmem), "r"(words[0]), "r"(words[1]), "r"(words[2]), "r"(words[3]) : "memory");
}

// Divide by the row sums and store the rows that exist. `out` is the head's output.
__device__ __forceinline__ void store_rows(
    Matrix<uint16_t> out, const Output& O_reg, const RowStatistics& statistics, int lane_row, int num_queries,
    int lane_id) {
#pragma unroll
    for (int m = 0; m < row_fragments; ++m)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const int row = lane_row + m * 16 + half * 8;
            const float factor = reciprocal(statistics.sum(m, half));
            uint16_t* const row_gmem = data_pointer(out) + int64_t(row) * row_stride(out) + lane_id % 4 * 8;
#pragma unroll
            for (int n = 0; n < value_fragments; n += 4) {
                uint32_t words[4];
#pragma unroll
                for (int i = 0; i < 4; ++i)
                    words[i] = pack(O_reg[m][n + i][2 * half] * factor, O_reg[m][n + i][2 * half + 1] * factor);
                transpose_quad(words, lane_id);
                if (row < num_queries) store_chunk(row_gmem + n * 8, words);
            }
        }
}

// Divide one merged fragment by the row sums and store it, 4 bytes at a time.
__device__ __forceinline__ void store_fragments(
    Matrix<uint16_t> out, const Fragment (&fragments)[1], int lane_row, int num_queries, int lane_id) {
    const Fragment& fragment = fragments[0];
    const int row = lane_row + fragment.m * 16;
    uint16_t* const row_gmem = data_pointer(out) + int64_t(row) * row_stride(out) + fragment.n * 8 + lane_id % 4 * 2;
    const float upper = reciprocal(fragment.upper.y), lower = reciprocal(fragment.lower.y);
    if (row < num_queries)
        *reinterpret_cast<uint32_t*>(row_gmem) = pack(fragment.values.x * upper, fragment.values.y * upper);
    if (row + 8 < num_queries)
        *reinterpret_cast<uint32_t*>(row_gmem + 8 * row_stride(out)) =
            pack(fragment.values.z * lower, fragment.values.w * lower);
}

// Divide two adjacent fragments by the row sums and store them, 16 bytes at a time. Two lanes of a quad store the upper
// row of each fragment, the other two the lower row.
__device__ __forceinline__ void store_fragments(
    Matrix<uint16_t> out, const Fragment (&fragments)[2], int lane_row, int num_queries, int lane_id) {
    const float upper = reciprocal(fragments[0].upper.y), lower = reciprocal(fragments[0].lower.y);
    uint32_t words[4];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
        words[i] = pack(fragments[i].values.x * upper, fragments[i].values.y * upper);
        words[2 + i] = pack(fragments[i].values.z * lower, fragments[i].values.w * lower);
    }
    transpose_quad(words, lane_id);
    const int row = lane_row + fragments[0].m * 16 + (lane_id & 2) * 4;
    const int column = (fragments[0].n + lane_id % 2) * 8;
    if (row < num_queries) store_chunk(data_pointer(out) + int64_t(row) * row_stride(out) + column, words);
}
