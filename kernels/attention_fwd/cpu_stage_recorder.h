// What a build with EVOTUNE_STAGE=scores or softmax writes where its output would go, so that it can be seen at which
// stage a configuration goes wrong: FP32 [batch_heads][queries][keys], then for softmax the logarithm of each row's sum
// [batch_heads][queries]. All in base 2. stages.py reads it. Keys that no row of a register block sees are left out. An
// ordinary build holds nothing of this.

#pragma once

#include "cpu_exponential.h"
#include "cpu_workspace.h"

namespace {

enum class Until { scores, softmax, output };
#ifdef EVOTUNE_STAGE
constexpr Until until = Until::EVOTUNE_STAGE;
#else
constexpr Until until = Until::output;
#endif

// Of the rows of one task: `first_row` counts them over all heads.
struct Recording {
    const Problem& problem;
    const Local& local;
    float score_factor;  // what turns a score into an exponent of 2
    int64_t first_row;
    int rows;

    Recording(const Problem& problem, const Local& local, const Exponent& exponent, int64_t first_row, int rows)
        : problem(problem),
          local(local),
          score_factor(ELEMENT_BITS == 16 ? 1.0f : exponent.high),
          first_row(first_row),
          rows(rows) {}

    // Masked scores of BLOCK_ROWS rows with `count` keys from `key` on.
    void scores(int row, int64_t key, int count, const float* scores) const {
        each(row, key, count, [&](int r, int i) { return scores[r * score_stride + i] * score_factor; });
    }

    // The same scores as their weights and the running maxima tell them.
    void weights(int row, int64_t key, int count, const float* weights) const {
        each(row, key, count,
             [&](int r, int i) { return __builtin_log2f(weights[r * score_stride + i]) + base(row + r); });
    }

    // The rows' sums over all keys.
    void sums() const {
        float* const sums = target() + problem.heads * problem.queries * problem.keys;
        for (int row = 0; row < rows; ++row)
            sums[first_row + row] = __builtin_log2f(sum(load(local.sum_lanes + row * lanes))) + base(row);
    }

  private:
    float* target() const { return reinterpret_cast<float*>(problem.out); }
    float base(int row) const { return local.peak[row] * score_factor; }

    template <typename Value>
    void each(int row, int64_t key, int count, Value&& value) const {
        for (int r = 0; r < BLOCK_ROWS && row + r < rows; ++r)
            for (int i = 0; i < count; ++i)
                target()[(first_row + row + r) * problem.keys + key + i] = value(r, i);
    }
};

}  // namespace
