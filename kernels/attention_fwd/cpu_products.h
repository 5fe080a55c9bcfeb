// The two matrix products, in blocks that fit in registers.

#pragma once

#include "cpu_workspace.h"

namespace {

using ScoreBlock = Vector[BLOCK_ROWS][score_vectors];
using OutputBlock = Vector[BLOCK_ROWS][output_vectors];

constexpr int cache_line_bytes = 64;

template <typename Value>
INLINE void prefetch(const Value* from, int count) {
    if constexpr (PREFETCH_DISTANCE > 0) {
        FULLY_UNROLLED
        for (int i = 0; i < count; i += cache_line_bytes / int(sizeof(Value))) __builtin_prefetch(from + i);
    }
}

template <typename Value>
INLINE Vector load_value(const Value* from) {
    if constexpr (value_packing == Packing::direct) {
        return load_elements(from);
    } else {
        return load(from);
    }
}

// block += query[row...][first...] x panel, for one chain of features.
INLINE void multiply_keys(ScoreBlock& block, const ThreadBuffers& buffers, const float* panel, int row, int first) {
    const float* query = buffers.query + row * HEAD_DIM;
    UNROLLED(UNROLL)
    for (int d = first; d < first + score_chain_features; ++d) {
        const float* panel_row = panel + d * BLOCK_COLS;
        prefetch(panel_row + PREFETCH_DISTANCE * BLOCK_COLS, BLOCK_COLS);
        Vector key[score_vectors];
        FULLY_UNROLLED
        for (int c = 0; c < score_vectors; ++c) key[c] = load(panel_row + c * lanes);
        FULLY_UNROLLED
        for (int r = 0; r < BLOCK_ROWS; ++r) {
            FULLY_UNROLLED
            for (int c = 0; c < score_vectors; ++c) block[r][c] += query[r * HEAD_DIM + d] * key[c];
        }
    }
}

INLINE void add_scores(ScoreBlock& block, const float* scores) {
    FULLY_UNROLLED
    for (int r = 0; r < BLOCK_ROWS; ++r) {
        FULLY_UNROLLED
        for (int c = 0; c < score_vectors; ++c) block[r][c] += load(scores + r * score_stride + c * lanes);
    }
}

INLINE void store_scores(float* scores, const ScoreBlock& block) {
    FULLY_UNROLLED
    for (int r = 0; r < BLOCK_ROWS; ++r) {
        FULLY_UNROLLED
        for (int c = 0; c < score_vectors; ++c) store(scores + r * score_stride + c * lanes, block[r][c]);
    }
}

// output[row...][feature...] = rescale * output + weights[BLOCK_ROWS][num_keys] x values[num_keys][OUTPUT_COLS]
template <typename Value>
void output_block(ThreadBuffers& buffers, int row, int feature, int num_keys, const float* weights,
                  const Value* values) {
    OutputBlock block = {};
    UNROLLED(UNROLL)
    for (int key = 0; key < num_keys; ++key) {
        prefetch(values + (key + PREFETCH_DISTANCE) * HEAD_DIM, OUTPUT_COLS);
        Vector value[output_vectors];
        FULLY_UNROLLED
        for (int c = 0; c < output_vectors; ++c) value[c] = load_value(values + key * HEAD_DIM + c * lanes);
        FULLY_UNROLLED
        for (int r = 0; r < BLOCK_ROWS; ++r) {
            FULLY_UNROLLED
            for (int c = 0; c < output_vectors; ++c) block[r][c] += weights[r * score_stride + key] * value[c];
        }
    }
    FULLY_UNROLLED
    for (int r = 0; r < BLOCK_ROWS; ++r) {
        float* output = buffers.output + (row + r) * HEAD_DIM + feature;
        FULLY_UNROLLED
        for (int c = 0; c < output_vectors; ++c) {
            store(output + c * lanes, load(output + c * lanes) * buffers.rescale[r] + block[r][c]);
        }
    }
}

}  // namespace
