// Builds with EVOTUNE_STAGE=scores or softmax write that stage instead of the output, which shows where a configuration
// goes wrong: FP32 [batch_heads][num_queries][num_keys], and for softmax then the logarithm of each row's sum
// [batch_heads][num_queries]. All values are in base 2. stages.py reads them. Keys that no row of a register block sees
// are left out. An ordinary build contains nothing of this.

#pragma once

#include "cpu_exponential.h"
#include "cpu_workspace.h"

namespace {

enum class WrittenStage { scores, softmax, output };
#ifdef EVOTUNE_STAGE
constexpr WrittenStage written_stage = WrittenStage::EVOTUNE_STAGE;
#else
constexpr WrittenStage written_stage = WrittenStage::output;
#endif

// Records the rows of one task; `first_row` is counted over all heads.
struct StageRecorder {
    const Problem& problem;
    const ThreadBuffers& buffers;
    float score_factor;  // score * score_factor is an exponent of 2
    int64_t first_row;
    int rows;

    StageRecorder(const Problem& problem, const ThreadBuffers& buffers, const Exponential& exponential,
                  int64_t first_row, int rows)
        : problem(problem),
          buffers(buffers),
          score_factor(ELEMENT_BITS == 16 ? 1.0f : exponential.high),
          first_row(first_row),
          rows(rows) {}

    // Write the masked scores of BLOCK_ROWS rows with `num_keys` keys from `key` on.
    void scores(int row, int64_t key, int num_keys, const float* scores) const {
        write_each(row, key, num_keys, [&](int r, int i) { return scores[r * score_stride + i] * score_factor; });
    }

    // Write the scores as the weights and the running maxima represent them.
    void weights(int row, int64_t key, int num_keys, const float* weights) const {
        write_each(row, key, num_keys,
             [&](int r, int i) { return __builtin_log2f(weights[r * score_stride + i]) + scaled_maximum(row + r); });
    }

    // Write the row sums over all keys.
    void sums() const {
        float* const sums = stage_values() + problem.num_heads * problem.num_queries * problem.num_keys;
        for (int row = 0; row < rows; ++row)
            sums[first_row + row] =
                __builtin_log2f(horizontal_sum(load(buffers.lane_sum + row * lanes))) + scaled_maximum(row);
    }

  private:
    float* stage_values() const { return reinterpret_cast<float*>(problem.out); }
    float scaled_maximum(int row) const { return buffers.row_max[row] * score_factor; }

    template <typename Value>
    void write_each(int row, int64_t key, int num_keys, Value&& value) const {
        for (int r = 0; r < BLOCK_ROWS && row + r < rows; ++r)
            for (int i = 0; i < num_keys; ++i)
                stage_values()[(first_row + row + r) * problem.num_keys + key + i] = value(r, i);
    }
};

}  // namespace
