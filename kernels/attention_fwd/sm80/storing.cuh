// Finished rows of the output from registers to global memory, 16 bytes at a time.
#pragma once

#include <cstdint>

#include "configuration.cuh"
#include "merge.cuh"
#include "mma.cuh"
#include "softmax.cuh"
#include "tensors.cuh"

// Transposes the 4x4 words that a quad of lanes holds: word i of lane j goes to word j of lane i.
__device__ __forceinline__ void transpose_quad(uint32_t (&words)[4], int lane) {
    const bool odd = lane & 1, high = lane & 2;
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

// 16 bytes at once. Left to itself, the compiler makes four 4-byte stores of them where the words come from shuffles, which
// cost a call of 4.4 us another 0.7 (H200).
__device__ __forceinline__ void store_chunk(uint16_t* address, const uint32_t (&words)[4]) {
    asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};"
        :: "l"(address), "r"(words[0]), "r"(words[1]), "r"(words[2]), "r"(words[3]) : "memory");
}

// Divides by the rows' sums and stores the rows that exist, 16 bytes at a time. `target` is the head's output.
__device__ __forceinline__ void store_rows(
    Matrix<uint16_t> target, const Output& output, const RowStatistics& statistics, int first_row, int queries, int lane) {
#pragma unroll
    for (int m = 0; m < row_fragments; ++m)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const int row = first_row + m * 16 + half * 8;
            const float factor = reciprocal(statistics.sum(m, half));
            uint16_t* const address = data_of(target) + int64_t(row) * row_stride(target) + lane % 4 * 8;
#pragma unroll
            for (int n = 0; n < value_fragments; n += 4) {
                uint32_t words[4];
#pragma unroll
                for (int i = 0; i < 4; ++i)
                    words[i] = pack(output[m][n + i][2 * half] * factor, output[m][n + i][2 * half + 1] * factor);
                transpose_quad(words, lane);
                if (row < queries) store_chunk(address + n * 8, words);
            }
        }
}

// The same for one fragment.
__device__ __forceinline__ void store_run(
    Matrix<uint16_t> target, const Fragment (&run)[1], int first_row, int queries, int lane) {
    const Fragment& fragment = run[0];
    const int row = first_row + fragment.m * 16;
    uint16_t* const address = data_of(target) + int64_t(row) * row_stride(target) + fragment.n * 8 + lane % 4 * 2;
    const float upper = reciprocal(fragment.upper.y), lower = reciprocal(fragment.lower.y);
    if (row < queries)
        *reinterpret_cast<uint32_t*>(address) = pack(fragment.values.x * upper, fragment.values.y * upper);
    if (row + 8 < queries)
        *reinterpret_cast<uint32_t*>(address + 8 * row_stride(target)) =
            pack(fragment.values.z * lower, fragment.values.w * lower);
}

// For two neighbours, 16 bytes at a time: a quad's lanes store the upper row of each, then the lower.
__device__ __forceinline__ void store_run(
    Matrix<uint16_t> target, const Fragment (&run)[2], int first_row, int queries, int lane) {
    const float upper = reciprocal(run[0].upper.y), lower = reciprocal(run[0].lower.y);
    uint32_t words[4];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
        words[i] = pack(run[i].values.x * upper, run[i].values.y * upper);
        words[2 + i] = pack(run[i].values.z * lower, run[i].values.w * lower);
    }
    transpose_quad(words, lane);
    const int row = first_row + run[0].m * 16 + (lane & 2) * 4, column = (run[0].n + lane % 2) * 8;
    if (row < queries) store_chunk(data_of(target) + int64_t(row) * row_stride(target) + column, words);
}
