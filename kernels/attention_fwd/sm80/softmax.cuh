// One warp's rows of attention in registers: scores, online softmax in base 2 (Milakov and Gimelshein, 2018), output.
#pragma once

#include <cstdint>

#include "configuration.cuh"
#include "ldmatrix.cuh"
#include "mma.cuh"
#include "shared_tile.cuh"

// RESCALE=on_growth rescales the output only when a row's maximum has grown by more than this many powers of two. The
// probabilities then reach 2^8 at most, which both element types represent with full precision.
constexpr float rescale_threshold_log2 = 8.0f;

using Scores = float[row_fragments][key_fragments][4];
using Output = float[row_fragments][value_fragments][4];
using Queries = uint32_t[q_in_registers ? row_fragments : 1][depth_steps][4];

__device__ __forceinline__ float quad_max(float value) {
    value = fmaxf(value, __shfl_xor_sync(~0u, value, 1));
    return fmaxf(value, __shfl_xor_sync(~0u, value, 2));
}

__device__ __forceinline__ float quad_sum(float value) {
    value += __shfl_xor_sync(~0u, value, 1);
    return value + __shfl_xor_sync(~0u, value, 2);
}

// Maximum and sum of each row that a lane holds elements of: fragment m, upper or lower half.
struct RowStatistics {
    float maximum[row_fragments][2];
    // In the layout of an accumulator. ROW_SUM=tensor: P times a column of ones, so each column holds the complete row
    // sums. ROW_SUM=scalar: the lane's own partial sums, a pair for each half, until complete_sums.
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
                    sums[m][2 * half] = quad_sum(sums[m][2 * half] + sums[m][2 * half + 1]);
        }
    }
};

// `Q_smem` is the address that this lane passes to ldmatrix for the warp's first fragment.
__device__ __forceinline__ void load_queries(Queries& Q_reg, uint32_t Q_smem) {
#pragma unroll
    for (int m = 0; m < (q_in_registers ? row_fragments : 0); ++m)
#pragma unroll
        for (int depth = 0; depth < depth_steps; ++depth)
            ldmatrix(Q_reg[m][depth], advance_chunks(Q_smem, 2 * depth) + m * 16 * row_bytes);
}

// The fragment of Q for one mma, from registers or from what was just loaded, as the configuration keeps it.
__device__ __forceinline__ const uint32_t (&query_fragment(
    const Queries& Q_reg, const uint32_t (&loaded)[row_fragments][4], int m, int depth))[4] {
    if constexpr (q_in_registers) {
        return Q_reg[m][depth];
    } else {
        return loaded[m];
    }
}

// The offsets that a lane passes to ldmatrix along a row, from the start of a tile, for every second chunk. Precomputed
// where enough registers are free.
template <int chunk_pairs>
struct LaneOffsets {
    __device__ __forceinline__ explicit LaneOffsets(uint32_t first) : first_(first) {
#pragma unroll
        for (int pair = 0; pair < (precomputed ? chunk_pairs : 0); ++pair) {
            offsets_[pair] = advance_chunks(first, 2 * pair);
            asm volatile("" : "+r"(offsets_[pair]));  // else the compiler recomputes them from lane_id at each step
        }
    }

    // The address of a pair of chunks in the tile at `tile_smem`, `row` rows below its start.
    __device__ __forceinline__ uint32_t address(uint32_t tile_smem, int pair, int row) const {
        if constexpr (precomputed) return tile_smem + offsets_[pair] + row * row_bytes;
        return advance_chunks(tile_smem + first_, 2 * pair) + row * row_bytes;
    }

  private:
    static constexpr bool precomputed = row_fragments == 1 && head_dim == 64;
    uint32_t first_;
    uint32_t offsets_[precomputed ? chunk_pairs : 1];
};

using KeyOffsets = LaneOffsets<depth_steps>;
using ValueOffsets = LaneOffsets<value_fragments / 2>;

// S = Q K^T for step_n keys of the tile at `K_smem`, starting at key `first_row` of the tile.
__device__ __forceinline__ void compute_scores(
    Scores& S_reg, const Queries& Q_reg, uint32_t Q_smem, const KeyOffsets& offsets, uint32_t K_smem, int first_row) {
#pragma unroll
    for (int m = 0; m < row_fragments; ++m)
#pragma unroll
        for (int n = 0; n < key_fragments; ++n)
#pragma unroll
            for (int i = 0; i < 4; ++i) S_reg[m][n][i] = 0.0f;
#pragma unroll
    for (int depth = 0; depth < depth_steps; ++depth) {
        uint32_t loaded[row_fragments][4];
        if constexpr (!q_in_registers) {
#pragma unroll
            for (int m = 0; m < row_fragments; ++m)
                ldmatrix(loaded[m], advance_chunks(Q_smem, 2 * depth) + m * 16 * row_bytes);
        }
#pragma unroll
        for (int n = 0; n < key_fragments; n += 2) {
            uint32_t K_reg[4];
            ldmatrix(K_reg, offsets.address(K_smem, depth, first_row + n * 8));
#pragma unroll
            for (int m = 0; m < row_fragments; ++m) {
                const auto& q = query_fragment(Q_reg, loaded, m, depth);
                mma(S_reg[m][n], q, K_reg[0], K_reg[1]);
                mma(S_reg[m][n + 1], q, K_reg[2], K_reg[3]);
            }
        }
    }
}

// Set the scores of keys that a row does not see to -inf. `lane_row` is the lane's first row.
__device__ __forceinline__ void mask_scores(
    Scores& S_reg, int first_key, int lane_id, int lane_row, int num_keys, bool causal) {
#pragma unroll
    for (int m = 0; m < row_fragments; ++m)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const int visible_keys = causal ? min(num_keys, lane_row + m * 16 + i / 2 * 8 + 1) : num_keys;
            const int visible_here = visible_keys - first_key - lane_id % 4 * 2 - i % 2;
#pragma unroll
            for (int n = 0; n < key_fragments; ++n)
                if (n * 8 >= visible_here) S_reg[m][n][i] = -INFINITY;
        }
}

// Replace the maximum -inf of a row without keys by 0, so that -inf - -inf (NaN) never enters an exponent.
__device__ __forceinline__ float finite_maximum(float maximum) { return maximum == -INFINITY ? 0.0f : maximum; }

// Update the running maxima with `S_reg`, and rescale sums and outputs to them. `has_output` is false at a row's first
// step, when there is nothing to rescale.
__device__ __forceinline__ void update_maxima(
    RowStatistics& statistics, Output& O_reg, const Scores& S_reg, float scale_log2, bool has_output) {
    float new_maximum[row_fragments][2];
    bool needs_rescale = rescale == Rescale::always;
#pragma unroll
    for (int m = 0; m < row_fragments; ++m)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            float maximum = S_reg[m][0][2 * half];
#pragma unroll
            for (int n = 0; n < key_fragments; ++n)
                maximum = fmaxf(maximum, fmaxf(S_reg[m][n][2 * half], S_reg[m][n][2 * half + 1]));
            new_maximum[m][half] = maximum;
            // From -inf to -inf the difference is NaN and the comparison false: no rescale, as intended.
            needs_rescale |= (maximum - statistics.maximum[m][half]) * scale_log2 > rescale_threshold_log2;
        }
    // The lanes of a row exchange maxima only if one of the warp's rows needs it.
    if constexpr (rescale == Rescale::on_growth) {
        if (!__any_sync(~0u, needs_rescale)) return;
    }
#pragma unroll
    for (int m = 0; m < row_fragments; ++m)
#pragma unroll
        for (int half = 0; half < 2; ++half)
            new_maximum[m][half] = fmaxf(statistics.maximum[m][half], quad_max(new_maximum[m][half]));
    float factors[row_fragments][2];
#pragma unroll
    for (int m = 0; m < row_fragments; ++m)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const float maximum = finite_maximum(new_maximum[m][half]);
            factors[m][half] = exp2_approximate((statistics.maximum[m][half] - maximum) * scale_log2);
            statistics.maximum[m][half] = new_maximum[m][half];
        }
    if (!has_output) return;
#pragma unroll
    for (int m = 0; m < row_fragments; ++m)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            statistics.sums[m][i] *= factors[m][i / 2];
#pragma unroll
            for (int n = 0; n < value_fragments; ++n) O_reg[m][n][i] *= factors[m][i / 2];
        }
}

// 2^x for x <= 0 on the FMA unit. It is 2^round(x) times a polynomial of the remainder in [-1/2, 1/2] (minimax, degree
// 3, exact at 0). The relative error is at most 1.01e-4, under half a unit in the last place of FP16. Results below
// 2^-126 become about 0.
__device__ __forceinline__ float exp2_polynomial(float x) {
    // Adding 1.5 * 2^23 rounds x and leaves the integer in the low bits of the sum.
    constexpr float round = 12582912.0f;
    x = fmaxf(x, -126.0f);
    const float shifted = x + round;
    const float remainder = x - (shifted - round);
    const float power =
        fmaf(fmaf(fmaf(0.05500887f, remainder, 0.24221097f), remainder, 0.69328294f), remainder, 1.0f);
    return __int_as_float(__float_as_int(power) + (__float_as_int(shifted) << 23));
}

// Turn scores into probabilities relative to the running maxima, and add them to the row sums.
__device__ __forceinline__ void exponentiate(Scores& S_reg, RowStatistics& statistics, float scale_log2) {
#pragma unroll
    for (int n = 0; n < key_fragments; ++n)
#pragma unroll
        for (int m = 0; m < row_fragments; ++m)
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const float scaled_maximum = finite_maximum(statistics.maximum[m][i / 2]) * scale_log2;
                const float exponent = fmaf(S_reg[m][n][i], scale_log2, -scaled_maximum);
                const bool polynomial = (n * 4 + i) % 4 < polynomial_exp;
                S_reg[m][n][i] = polynomial ? exp2_polynomial(exponent) : exp2_approximate(exponent);
                if constexpr (row_sum == RowSum::scalar) statistics.sums[m][i] += S_reg[m][n][i];
            }
}

// Two elements of value 1.
constexpr uint32_t packed_ones = element == Element::float16 ? 0x3c003c00 : 0x3f803f80;

// O += P V for step_n keys of the tile at `V_smem`, starting at key `first_row` of the tile.
__device__ __forceinline__ void accumulate_output(
    Output& O_reg, RowStatistics& statistics, const Scores& P_reg, const ValueOffsets& offsets, uint32_t V_smem,
    int first_row) {
#pragma unroll
    for (int k = 0; k < key_fragments; k += 2) {
        uint32_t P_packed[row_fragments][4];
#pragma unroll
        for (int m = 0; m < row_fragments; ++m) {
            P_packed[m][0] = pack(P_reg[m][k][0], P_reg[m][k][1]);
            P_packed[m][1] = pack(P_reg[m][k][2], P_reg[m][k][3]);
            P_packed[m][2] = pack(P_reg[m][k + 1][0], P_reg[m][k + 1][1]);
            P_packed[m][3] = pack(P_reg[m][k + 1][2], P_reg[m][k + 1][3]);
            if constexpr (row_sum == RowSum::tensor) mma(statistics.sums[m], P_packed[m], packed_ones, packed_ones);
        }
#pragma unroll
        for (int n = 0; n < value_fragments; n += 2) {
            uint32_t V_reg[4];
            ldmatrix_transposed(V_reg, offsets.address(V_smem, n / 2, first_row + k * 8));
#pragma unroll
            for (int m = 0; m < row_fragments; ++m) {
                mma(O_reg[m][n], P_packed[m], V_reg[0], V_reg[1]);
                mma(O_reg[m][n + 1], P_packed[m], V_reg[2], V_reg[3]);
            }
        }
    }
}
