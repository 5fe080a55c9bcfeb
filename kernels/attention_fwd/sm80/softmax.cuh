// A warp's rows of attention in registers: scores, online softmax in base 2 (Milakov and Gimelshein, 2018), output.
#pragma once

#include <cstdint>

#include "configuration.cuh"
#include "ldmatrix.cuh"
#include "mma.cuh"
#include "shared_tile.cuh"

// On growth: outputs are rescaled only when a row's maximum has grown by this many powers of two; probabilities then
// reach 2^8 at most, which both element types hold with their full precision.
constexpr float growth_allowed = 8.0f;

using Scores = float[row_fragments][key_fragments][4];
using Output = float[row_fragments][value_fragments][4];
using Queries = uint32_t[q_in_registers ? row_fragments : 1][depth_steps][4];

__device__ __forceinline__ float maximum_of_quad(float value) {
    value = fmaxf(value, __shfl_xor_sync(~0u, value, 1));
    return fmaxf(value, __shfl_xor_sync(~0u, value, 2));
}

__device__ __forceinline__ float sum_of_quad(float value) {
    value += __shfl_xor_sync(~0u, value, 1);
    return value + __shfl_xor_sync(~0u, value, 2);
}

// Maximum and sum of each row that a lane holds a part of: fragment m, upper or lower half.
struct RowStatistics {
    float maximum[row_fragments][2];
    // In the layout of an accumulator. row_sum=tensor: the product of P with a column of ones, so each column holds the
    // rows' whole sums; scalar: an upper and a lower pair of the lane's own shares, until complete_sums.
    float sums[row_fragments][4];

    __device__ __forceinline__ float sum(int m, int half) const { return sums[m][2 * half]; }

    __device__ __forceinline__ void clear() {
#pragma unroll
        for (int m = 0; m < row_fragments; ++m)
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                maximum[m][half] = -INFINITY;
                sums[m][2 * half] = sums[m][2 * half + 1] = 0.0f;
            }
    }

    __device__ __forceinline__ void complete_sums() {
        if constexpr (row_sum == RowSum::scalar) {
#pragma unroll
            for (int m = 0; m < row_fragments; ++m)
#pragma unroll
                for (int half = 0; half < 2; ++half)
                    sums[m][2 * half] = sum_of_quad(sums[m][2 * half] + sums[m][2 * half + 1]);
        }
    }
};

__device__ __forceinline__ void load_queries(Queries& queries, uint32_t queries_shared) {
#pragma unroll
    for (int m = 0; m < (q_in_registers ? row_fragments : 0); ++m)
#pragma unroll
        for (int depth = 0; depth < depth_steps; ++depth)
            ldmatrix(queries[m][depth], along_row(queries_shared, 2 * depth) + m * 16 * row_bytes);
}

// Q's fragment from wherever the configuration keeps it.
__device__ __forceinline__ const uint32_t (&query_fragment(
    const Queries& queries, const uint32_t (&loaded)[row_fragments][4], int m, int depth))[4] {
    if constexpr (q_in_registers) {
        return queries[m][depth];
    } else {
        return loaded[m];
    }
}

// Where a lane points ldmatrix along a row, from the start of a tile, for every second chunk. Kept where registers abound.
template <int pairs>
struct LaneOffsets {
    __device__ __forceinline__ explicit LaneOffsets(uint32_t first) : first_(first) {
#pragma unroll
        for (int pair = 0; pair < (kept ? pairs : 0); ++pair) {
            offsets_[pair] = along_row(first, 2 * pair);
            asm volatile("" : "+r"(offsets_[pair]));  // else they are worked out from the lane's number for every step
        }
    }

    // Of a pair of chunks in the tile at `tile`, `rows` further down.
    __device__ __forceinline__ uint32_t at(uint32_t tile, int pair, int rows) const {
        if constexpr (kept) return tile + offsets_[pair] + rows * row_bytes;
        return along_row(tile + first_, 2 * pair) + rows * row_bytes;
    }

  private:
    static constexpr bool kept = row_fragments == 1 && head_dim == 64;
    uint32_t first_;
    uint32_t offsets_[kept ? pairs : 1];
};

using KeyOffsets = LaneOffsets<depth_steps>;
using ValueOffsets = LaneOffsets<value_fragments / 2>;

// scores = Q K^T over step_n keys of the tile at `keys`, from row `row` on.
__device__ __forceinline__ void compute_scores(
    Scores& scores, const Queries& queries, uint32_t queries_shared, const KeyOffsets& offsets, uint32_t keys, int row) {
#pragma unroll
    for (int m = 0; m < row_fragments; ++m)
#pragma unroll
        for (int n = 0; n < key_fragments; ++n)
#pragma unroll
            for (int i = 0; i < 4; ++i) scores[m][n][i] = 0.0f;
#pragma unroll
    for (int depth = 0; depth < depth_steps; ++depth) {
        uint32_t loaded[row_fragments][4];
        if constexpr (!q_in_registers) {
#pragma unroll
            for (int m = 0; m < row_fragments; ++m)
                ldmatrix(loaded[m], along_row(queries_shared, 2 * depth) + m * 16 * row_bytes);
        }
#pragma unroll
        for (int n = 0; n < key_fragments; n += 2) {
            uint32_t b[4];
            ldmatrix(b, offsets.at(keys, depth, row + n * 8));
#pragma unroll
            for (int m = 0; m < row_fragments; ++m) {
                const auto& a = query_fragment(queries, loaded, m, depth);
                mma(scores[m][n], a, b[0], b[1]);
                mma(scores[m][n + 1], a, b[2], b[3]);
            }
        }
    }
}

// Scores of keys that a row does not see become -inf. `row` is the lane's first.
__device__ __forceinline__ void mask_scores(Scores& scores, int first_key, int lane, int row, int keys, bool causal) {
#pragma unroll
    for (int m = 0; m < row_fragments; ++m)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const int visible = causal ? min(keys, row + m * 16 + i / 2 * 8 + 1) : keys;
            const int visible_here = visible - first_key - lane % 4 * 2 - i % 2;
#pragma unroll
            for (int n = 0; n < key_fragments; ++n)
                if (n * 8 >= visible_here) scores[m][n][i] = -INFINITY;
        }
}

// A row that has seen no key yet has maximum -inf; 0 in its place keeps -inf - -inf out of the exponent.
__device__ __forceinline__ float finite_maximum(float maximum) { return maximum == -INFINITY ? 0.0f : maximum; }

// Moves the running maxima to those of `scores` and brings sums and outputs to the new base. `started`: there are some.
__device__ __forceinline__ void update_maxima(
    RowStatistics& statistics, Output& output, const Scores& scores, float scale_log2, bool started) {
    float grown[row_fragments][2];
    bool needed = rescale == Rescale::always;
#pragma unroll
    for (int m = 0; m < row_fragments; ++m)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            float maximum = scores[m][0][2 * half];
#pragma unroll
            for (int n = 0; n < key_fragments; ++n)
                maximum = fmaxf(maximum, fmaxf(scores[m][n][2 * half], scores[m][n][2 * half + 1]));
            grown[m][half] = maximum;
            // No growth from -inf to -inf: the difference is NaN and the comparison false.
            needed |= (maximum - statistics.maximum[m][half]) * scale_log2 > growth_allowed;
        }
    // The lanes of a row meet only where one of the warp's rows has grown.
    if constexpr (rescale == Rescale::on_growth) {
        if (!__any_sync(~0u, needed)) return;
    }
#pragma unroll
    for (int m = 0; m < row_fragments; ++m)
#pragma unroll
        for (int half = 0; half < 2; ++half)
            grown[m][half] = fmaxf(statistics.maximum[m][half], maximum_of_quad(grown[m][half]));
    float factors[row_fragments][2];
#pragma unroll
    for (int m = 0; m < row_fragments; ++m)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const float base = finite_maximum(grown[m][half]);
            factors[m][half] = exp2_approximate((statistics.maximum[m][half] - base) * scale_log2);
            statistics.maximum[m][half] = grown[m][half];
        }
    if (!started) return;
#pragma unroll
    for (int m = 0; m < row_fragments; ++m)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            statistics.sums[m][i] *= factors[m][i / 2];
#pragma unroll
            for (int n = 0; n < value_fragments; ++n) output[m][n][i] *= factors[m][i / 2];
        }
}

// 2^x for x <= 0 on the FMA unit, relative error 1.01e-4 at most, under half a unit in the last place of FP16: 2^x is 2^round(x)
// times a polynomial of the rest in [-1/2, 1/2] (minimax of degree 3, exact at 0). Results under 2^-126 become about 0.
__device__ __forceinline__ float exp2_polynomial(float x) {
    // Adding 1.5 * 2^23 leaves the integer in the low bits of the sum.
    constexpr float round = 12582912.0f;
    x = fmaxf(x, -126.0f);
    const float shifted = x + round;
    const float rest = x - (shifted - round);
    const float power = fmaf(fmaf(fmaf(0.05500887f, rest, 0.24221097f), rest, 0.69328294f), rest, 1.0f);
    return __int_as_float(__float_as_int(power) + (__float_as_int(shifted) << 23));
}

// Scores become probabilities relative to the running maxima, and join the rows' sums.
__device__ __forceinline__ void exponentiate(Scores& scores, RowStatistics& statistics, float scale_log2) {
#pragma unroll
    for (int n = 0; n < key_fragments; ++n)
#pragma unroll
        for (int m = 0; m < row_fragments; ++m)
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const float base = finite_maximum(statistics.maximum[m][i / 2]) * scale_log2;
                const float power = fmaf(scores[m][n][i], scale_log2, -base);
                const bool polynomial = (n * 4 + i) % 4 < polynomial_exp;
                scores[m][n][i] = polynomial ? exp2_polynomial(power) : exp2_approximate(power);
                if constexpr (row_sum == RowSum::scalar) statistics.sums[m][i] += scores[m][n][i];
            }
}

constexpr uint32_t ones = element == Element::float16 ? 0x3c003c00 : 0x3f803f80;

// output += P V over step_n keys of the tile of values at `values`, from row `row` on.
__device__ __forceinline__ void accumulate_output(
    Output& output, RowStatistics& statistics, const Scores& probabilities, const ValueOffsets& offsets,
    uint32_t values, int row) {
#pragma unroll
    for (int k = 0; k < key_fragments; k += 2) {
        uint32_t a[row_fragments][4];
#pragma unroll
        for (int m = 0; m < row_fragments; ++m) {
            a[m][0] = pack(probabilities[m][k][0], probabilities[m][k][1]);
            a[m][1] = pack(probabilities[m][k][2], probabilities[m][k][3]);
            a[m][2] = pack(probabilities[m][k + 1][0], probabilities[m][k + 1][1]);
            a[m][3] = pack(probabilities[m][k + 1][2], probabilities[m][k + 1][3]);
            if constexpr (row_sum == RowSum::tensor) mma(statistics.sums[m], a[m], ones, ones);
        }
#pragma unroll
        for (int n = 0; n < value_fragments; n += 2) {
            uint32_t b[4];
            ldmatrix_transposed(b, offsets.at(values, n / 2, row + k * 8));
#pragma unroll
            for (int m = 0; m < row_fragments; ++m) {
                mma(output[m][n], a[m], b[0], b[1]);
                mma(output[m][n + 1], a[m], b[2], b[3]);
            }
        }
    }
}
