// The online softmax of a block of rows: running maximum, weights and running sum.

#pragma once

#include "cpu_exponential.h"
#include "cpu_products.h"

namespace {

// Update the maxima of the vector lanes with a block of scores that is still in registers.
INLINE void update_lane_max(ThreadBuffers& buffers, const ScoreBlock& block, int row) {
    FULLY_UNROLLED
    for (int r = 0; r < BLOCK_ROWS; ++r) {
        Vector lane_max = load(buffers.lane_max + (row + r) * lanes);
        FULLY_UNROLLED
        for (int c = 0; c < score_vectors; ++c) lane_max = maximum(lane_max, block[r][c]);
        store(buffers.lane_max + (row + r) * lanes, lane_max);
    }
}

// Update the maximum of BLOCK_ROWS rows, and set `rescale` to the factors for their sums and outputs.
INLINE void update_row_max(ThreadBuffers& buffers, const Exponential& exponential, int row, int columns,
                           const float* scores) {
    for (int r = 0; r < BLOCK_ROWS; ++r) {
        Vector lane_max = load(buffers.lane_max + (row + r) * lanes);
        if constexpr (!FUSED_MAX) {
            UNROLLED(EXP_UNROLL)
            for (int c = 0; c < columns; c += lanes) lane_max = maximum(lane_max, load(scores + r * score_stride + c));
            store(buffers.lane_max + (row + r) * lanes, lane_max);
        }
        const float row_max = horizontal_max(lane_max);
        buffers.rescale[r] = buffers.row_max[row + r] - row_max;
        buffers.row_max[row + r] = row_max;
    }
    for (int r = 0; r < BLOCK_ROWS; r += lanes) store(buffers.rescale + r, exponential(load(buffers.rescale + r)));
}

// scores = 2^(factor * (scores - running maximum)). Also update maximum, rescale and sum of BLOCK_ROWS rows.
inline void exponentiate_block(ThreadBuffers& buffers, const Exponential& exponential, int row, int columns,
                               float* scores) {
    update_row_max(buffers, exponential, row, columns, scores);
    for (int r = 0; r < BLOCK_ROWS; ++r) {
        float* row_scores = scores + r * score_stride;
        const Vector row_max = broadcast(buffers.row_max[row + r]);
        Vector sum = load(buffers.lane_sum + (row + r) * lanes) * buffers.rescale[r];
        UNROLLED(EXP_UNROLL)
        for (int c = 0; c < columns; c += lanes) {
            const Vector weight = exponential(load(row_scores + c) - row_max);
            store(row_scores + c, weight);
            sum += weight;
        }
        store(buffers.lane_sum + (row + r) * lanes, sum);
    }
}

}  // namespace
