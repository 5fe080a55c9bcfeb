// A task: TILE_M queries of one head, and all keys that they see.

#pragma once

#include "cpu_packing.h"
#include "cpu_stage_recorder.h"
#include "cpu_softmax.h"

namespace {

class Task {
  public:
    Task(const Problem& problem, const SharedBuffers& shared, ThreadBuffers& buffers, const Exponential& exponential,
         int64_t index)
        : problem(problem), shared(shared), buffers(buffers), exponential(exponential) {
        const int64_t tiles = problem.query_tiles(), tile = index % tiles;
        head = index / tiles;
        // With a causal mask later queries see more keys. Long tasks come first, so that threads finish together.
        first_query = (problem.causal ? tiles - 1 - tile : tile) * TILE_M;
        rows = int(problem.num_queries - first_query < TILE_M ? problem.num_queries - first_query : TILE_M);
        padded_rows = (rows + BLOCK_ROWS - 1) / BLOCK_ROWS * BLOCK_ROWS;
    }

    void run() {
        begin();
        const int64_t diagonal = first_query + rows;
        const int64_t last_key = problem.causal && diagonal < problem.num_keys ? diagonal : problem.num_keys;
        for (first_key = 0; first_key < last_key; first_key += TILE_N) {
            tile_keys = int(last_key - first_key < TILE_N ? last_key - first_key : TILE_N);
            const float* panels = get_k_panels(problem, shared, buffers, head, first_key, tile_keys);
            attend_tile(panels, get_v(problem, shared, buffers, head, first_key, tile_keys));
        }
        finish();
    }

  private:
    const Problem& problem;
    const SharedBuffers& shared;
    ThreadBuffers& buffers;
    const Exponential& exponential;
    int64_t head, first_query, first_key;  // first_key and tile_keys describe the current tile of keys
    int rows, padded_rows, tile_keys;

    void begin() {
        const Element* q = problem.q + (head * problem.num_queries + first_query) * HEAD_DIM;
        for (int i = 0; i < padded_rows * HEAD_DIM; i += lanes) {
            const Vector query = i < rows * HEAD_DIM ? load_elements(q + i) : Vector{};
            store(buffers.query + i, query * exponential.query_factor);
            store(buffers.output + i, Vector{});
        }
        for (int row = 0; row < padded_rows; ++row) {
            buffers.row_max[row] = -infinity;
            store(buffers.lane_max + row * lanes, broadcast(-infinity));
            store(buffers.lane_sum + row * lanes, Vector{});
        }
    }

    template <typename Value>
    void attend_tile(const float* panels, const Value* values) {
        if constexpr (loop_order == LoopOrder::rows) {
            for (int row = 0; row < padded_rows; row += BLOCK_ROWS) {
                const int visible = visible_keys(row + BLOCK_ROWS - 1);
                for (int column = 0; column < visible; column += BLOCK_COLS) {
                    score_block(panels + column * HEAD_DIM, row, column, buffers.scores);
                }
                if (visible > 0) attend_block(row, visible, buffers.scores, values);
            }
        } else {
            for (int column = 0; column < tile_keys; column += BLOCK_COLS) {
                for (int row = 0; row < padded_rows; row += BLOCK_ROWS) {
                    if (column >= visible_keys(row + BLOCK_ROWS - 1)) continue;
                    score_block(panels + column * HEAD_DIM, row, column, buffers.scores + row * score_stride);
                }
            }
            for (int row = 0; row < padded_rows; row += BLOCK_ROWS) {
                const int visible = visible_keys(row + BLOCK_ROWS - 1);
                if (visible > 0) attend_block(row, visible, buffers.scores + row * score_stride, values);
            }
        }
    }

    // Number of keys of the tile that a row sees; zero or negative if it sees none.
    INLINE int visible_keys(int row) const {
        const int64_t diagonal = first_query + row + 1 - first_key;
        return problem.causal && diagonal < tile_keys ? int(diagonal) : tile_keys;
    }

    // scores[BLOCK_ROWS][column...] = query[row...] x panel, and -infinity where a row does not see the key.
    void score_block(const float* panel, int row, int column, float* scores) {
        scores += column;
        for (int first = 0; first < HEAD_DIM; first += score_chain_features) {
            ScoreBlock block = {};
            multiply_keys(block, buffers, panel, row, first);
            if (first > 0) add_scores(block, scores);
            if (first + score_chain_features >= HEAD_DIM) {
                if (visible_keys(row) < column + BLOCK_COLS) mask_keys(block, row, column);
                if constexpr (FUSED_MAX) update_lane_max(buffers, block, row);
            }
            store_scores(scores, block);
        }
    }

    INLINE void mask_keys(ScoreBlock& block, int row, int column) const {
        IntVector lane;
        FULLY_UNROLLED
        for (int i = 0; i < lanes; ++i) lane[i] = i;
        FULLY_UNROLLED
        for (int r = 0; r < BLOCK_ROWS; ++r) {
            const int visible = visible_keys(row + r) - column;
            FULLY_UNROLLED
            for (int c = 0; c < score_vectors; ++c) {
                block[r][c] = lane + c * lanes < visible ? block[r][c] : broadcast(-infinity);
            }
        }
    }

    template <typename Value>
    INLINE void attend_block(int row, int visible, float* scores, const Value* values) {
        if constexpr (written_stage == WrittenStage::scores) return recorder().scores(row, first_key, visible, scores);
        exponentiate_block(buffers, exponential, row, (visible + BLOCK_COLS - 1) / BLOCK_COLS * BLOCK_COLS, scores);
        if constexpr (written_stage == WrittenStage::softmax)
            return recorder().weights(row, first_key, visible, scores);
        for (int key = 0; key < visible; key += output_chain_keys) {
            const int num_keys = visible - key < output_chain_keys ? visible - key : output_chain_keys;
            for (int feature = 0; feature < HEAD_DIM; feature += OUTPUT_COLS) {
                output_block(buffers, row, feature, num_keys, scores + key, values + key * HEAD_DIM + feature);
            }
            for (int r = 0; r < BLOCK_ROWS; ++r) buffers.rescale[r] = 1.0f;  // the first product has applied it
        }
    }

    StageRecorder recorder() const {
        return {problem, buffers, exponential, head * problem.num_queries + first_query, rows};
    }

    void finish() {
        if constexpr (written_stage == WrittenStage::scores) return;
        if constexpr (written_stage == WrittenStage::softmax) return recorder().sums();
        Element* out = problem.out + (head * problem.num_queries + first_query) * HEAD_DIM;
        for (int row = 0; row < rows; ++row) {
            const float sum = horizontal_sum(load(buffers.lane_sum + row * lanes));
            for (int d = 0; d < HEAD_DIM; d += lanes) {
                store_elements(out + row * HEAD_DIM + d, load(buffers.output + row * HEAD_DIM + d) / sum);
            }
        }
    }
};

}  // namespace
