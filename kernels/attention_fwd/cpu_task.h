// A task: TILE_M queries of one head against all keys that they see.

#pragma once

#include "cpu_packing.h"
#include "cpu_recording.h"
#include "cpu_softmax.h"

namespace {

class Task {
  public:
    Task(const Problem& problem, const Shared& shared, Local& local, const Exponent& exponent, int64_t index)
        : problem(problem), shared(shared), local(local), exponent(exponent) {
        const int64_t tiles = problem.tiles(), tile = index % tiles;
        head = index / tiles;
        // With a causal mask later queries see more keys: long tasks first, so that threads end together.
        first_query = (problem.causal ? tiles - 1 - tile : tile) * TILE_M;
        rows = int(problem.queries - first_query < TILE_M ? problem.queries - first_query : TILE_M);
        padded_rows = (rows + BLOCK_ROWS - 1) / BLOCK_ROWS * BLOCK_ROWS;
    }

    void run() {
        begin();
        const int64_t past = first_query + rows;
        const int64_t last = problem.causal && past < problem.keys ? past : problem.keys;
        for (first_key = 0; first_key < last; first_key += TILE_N) {
            count = int(last - first_key < TILE_N ? last - first_key : TILE_N);
            const float* panels = packed_keys(problem, shared, local, head, first_key, count);
            tile(panels, packed_values(problem, shared, local, head, first_key, count));
        }
        finish();
    }

  private:
    const Problem& problem;
    const Shared& shared;
    Local& local;
    const Exponent& exponent;
    int64_t head, first_query, first_key;  // first_key and count: the tile of keys at hand
    int rows, padded_rows, count;

    void begin() {
        const Element* q = problem.q + (head * problem.queries + first_query) * HEAD_DIM;
        for (int i = 0; i < padded_rows * HEAD_DIM; i += lanes) {
            const Vector query = i < rows * HEAD_DIM ? load_elements(q + i) : Vector{};
            store(local.query + i, query * exponent.query_factor);
            store(local.output + i, Vector{});
        }
        for (int row = 0; row < padded_rows; ++row) {
            local.peak[row] = -infinity;
            store(local.peak_lanes + row * lanes, splat(-infinity));
            store(local.sum_lanes + row * lanes, Vector{});
        }
    }

    template <typename Value>
    void tile(const float* panels, const Value* values) {
        if constexpr (loop_order == Order::rows) {
            for (int row = 0; row < padded_rows; row += BLOCK_ROWS) {
                const int visible = visible_keys(row + BLOCK_ROWS - 1);
                for (int column = 0; column < visible; column += BLOCK_COLS) {
                    score_block(panels + column * HEAD_DIM, row, column, local.scores);
                }
                if (visible > 0) weigh_block(row, visible, local.scores, values);
            }
        } else {
            for (int column = 0; column < count; column += BLOCK_COLS) {
                for (int row = 0; row < padded_rows; row += BLOCK_ROWS) {
                    if (column >= visible_keys(row + BLOCK_ROWS - 1)) continue;
                    score_block(panels + column * HEAD_DIM, row, column, local.scores + row * score_stride);
                }
            }
            for (int row = 0; row < padded_rows; row += BLOCK_ROWS) {
                const int visible = visible_keys(row + BLOCK_ROWS - 1);
                if (visible > 0) weigh_block(row, visible, local.scores + row * score_stride, values);
            }
        }
    }

    // How many keys of the tile a row sees; not positive when it sees none.
    INLINE int visible_keys(int row) const {
        const int64_t diagonal = first_query + row + 1 - first_key;
        return problem.causal && diagonal < count ? int(diagonal) : count;
    }

    // scores[BLOCK_ROWS][column...] = query[row...] x panel, -infinity where a row does not see the key.
    void score_block(const float* panel, int row, int column, float* scores) {
        scores += column;
        for (int first = 0; first < HEAD_DIM; first += score_chain_features) {
            ScoreBlock block = {};
            multiply_keys(block, local, panel, row, first);
            if (first > 0) add_scores(block, scores);
            if (first + score_chain_features >= HEAD_DIM) {
                if (visible_keys(row) < column + BLOCK_COLS) hide_keys(block, row, column);
                if constexpr (FUSED_MAX) raise_peaks(local, block, row);
            }
            store_scores(scores, block);
        }
    }

    INLINE void hide_keys(ScoreBlock& block, int row, int column) const {
        IntVector lane;
        FULLY_UNROLLED
        for (int i = 0; i < lanes; ++i) lane[i] = i;
        FULLY_UNROLLED
        for (int r = 0; r < BLOCK_ROWS; ++r) {
            const int visible = visible_keys(row + r) - column;
            FULLY_UNROLLED
            for (int c = 0; c < score_vectors; ++c) {
                block[r][c] = lane + c * lanes < visible ? block[r][c] : splat(-infinity);
            }
        }
    }

    template <typename Value>
    INLINE void weigh_block(int row, int visible, float* scores, const Value* values) {
        if constexpr (until == Until::scores) return recording().scores(row, first_key, visible, scores);
        exponentiate_block(local, exponent, row, (visible + BLOCK_COLS - 1) / BLOCK_COLS * BLOCK_COLS, scores);
        if constexpr (until == Until::softmax) return recording().weights(row, first_key, visible, scores);
        for (int key = 0; key < visible; key += output_chain_keys) {
            const int count = visible - key < output_chain_keys ? visible - key : output_chain_keys;
            for (int feature = 0; feature < HEAD_DIM; feature += OUTPUT_COLS) {
                output_block(local, row, feature, count, scores + key, values + key * HEAD_DIM + feature);
            }
            for (int r = 0; r < BLOCK_ROWS; ++r) local.alpha[r] = 1.0f;  // it has shrunk now
        }
    }

    Recording recording() const { return {problem, local, exponent, head * problem.queries + first_query, rows}; }

    void finish() {
        if constexpr (until == Until::scores) return;
        if constexpr (until == Until::softmax) return recording().sums();
        Element* out = problem.out + (head * problem.queries + first_query) * HEAD_DIM;
        for (int row = 0; row < rows; ++row) {
            const float total = sum(load(local.sum_lanes + row * lanes));
            for (int d = 0; d < HEAD_DIM; d += lanes) {
                store_elements(out + row * HEAD_DIM + d, load(local.output + row * HEAD_DIM + d) / total);
            }
        }
    }
};

}  // namespace
