// The online softmax of a block of rows: running maximum, weights and their running sum.

#pragma once

#include "cpu_exponential.h"
#include "cpu_products.h"

namespace {

INLINE void raise_peaks(Local& local, const ScoreBlock& block, int row) {
    FULLY_UNROLLED
    for (int r = 0; r < BLOCK_ROWS; ++r) {
        Vector peak = load(local.peak_lanes + (row + r) * lanes);
        FULLY_UNROLLED
        for (int c = 0; c < score_vectors; ++c) peak = maximum(peak, block[r][c]);
        store(local.peak_lanes + (row + r) * lanes, peak);
    }
}

// Updates the maximum of BLOCK_ROWS rows, and sets alpha to what their sum and output shrink by.
INLINE void update_peaks(Local& local, const Exponent& exponent, int row, int columns, const float* scores) {
    for (int r = 0; r < BLOCK_ROWS; ++r) {
        Vector peaks = load(local.peak_lanes + (row + r) * lanes);
        if constexpr (!FUSED_MAX) {
            UNROLLED(EXP_UNROLL)
            for (int c = 0; c < columns; c += lanes) peaks = maximum(peaks, load(scores + r * score_stride + c));
            store(local.peak_lanes + (row + r) * lanes, peaks);
        }
        const float peak = largest(peaks);
        local.alpha[r] = local.peak[row + r] - peak;
        local.peak[row + r] = peak;
    }
    for (int r = 0; r < BLOCK_ROWS; r += lanes) store(local.alpha + r, exponent(load(local.alpha + r)));
}

// scores = 2^(factor * (scores - running maximum)); updates maximum, alpha and sum of BLOCK_ROWS rows.
inline void exponentiate_block(Local& local, const Exponent& exponent, int row, int columns, float* scores) {
    update_peaks(local, exponent, row, columns, scores);
    for (int r = 0; r < BLOCK_ROWS; ++r) {
        float* of_row = scores + r * score_stride;
        const Vector peak = splat(local.peak[row + r]);
        Vector total = load(local.sum_lanes + (row + r) * lanes) * local.alpha[r];
        UNROLLED(EXP_UNROLL)
        for (int c = 0; c < columns; c += lanes) {
            const Vector weight = exponent(load(of_row + c) - peak);
            store(of_row + c, weight);
            total += weight;
        }
        store(local.sum_lanes + (row + r) * lanes, total);
    }
}

}  // namespace
