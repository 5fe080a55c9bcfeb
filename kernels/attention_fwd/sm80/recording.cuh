// What a build with EVOTUNE_STAGE=scores or softmax writes where its output would go, so that it can be seen at which stage
// a configuration goes wrong: FP32 [batch_heads][queries][keys], then for softmax the logarithm of each row's sum over each
// share of the keys, [split_kv * kv_warps][batch_heads][queries]. All in base 2. stages.py reads it. Keys that no row of a
// warp sees are left out. An ordinary build holds nothing of this.
#pragma once

#include <cstdint>

#include "configuration.cuh"
#include "place.cuh"
#include "schedule.cuh"
#include "softmax.cuh"

enum class Until { scores, softmax, output };
#ifdef EVOTUNE_STAGE
constexpr Until until = Until::EVOTUNE_STAGE;
#else
constexpr Until until = Until::output;
#endif

// Of the rows of one warp in one work item; `row` is the lane's first.
struct Recording {
    float* target;
    const Problem& problem;
    const WorkItem& item;
    const Place& place;
    int row;

    // Masked scores of the step whose keys start at `first_key`, scaled.
    __device__ __forceinline__ void scores(const Scores& scores, int first_key) const {
        if constexpr (until == Until::scores)
            each(first_key, [&](int m, int n, int i) { return scores[m][n][i] * problem.scale_log2; });
    }

    // The same scores as their weights and the running maxima tell them.
    __device__ __forceinline__ void weights(
        const Scores& weights, const RowStatistics& statistics, int first_key) const {
        if constexpr (until == Until::softmax)
            each(first_key, [&](int m, int n, int i) { return log2f(weights[m][n][i]) + base(statistics, m, i / 2); });
    }

    // The rows' completed sums over the keys that the warp has seen.
    __device__ __forceinline__ void sums(const RowStatistics& statistics) const {
        if constexpr (until == Until::softmax) {
            const int64_t rows = int64_t(problem.heads) * problem.queries;
            float* const sums = target + rows * problem.keys + (item.split * kv_warps + place.kv_warp) * rows;
#pragma unroll
            for (int m = 0; m < row_fragments; ++m)
#pragma unroll
                for (int half = 0; half < 2; ++half)
                    if (place.lane % 4 == 0 && row_of(m, half) < problem.queries)
                        sums[int64_t(item.head) * problem.queries + row_of(m, half)] =
                            log2f(statistics.sum(m, half)) + base(statistics, m, half);
        }
    }

  private:
    __device__ __forceinline__ int row_of(int m, int half) const { return row + m * 16 + half * 8; }

    __device__ __forceinline__ float base(const RowStatistics& statistics, int m, int half) const {
        return finite_maximum(statistics.maximum[m][half]) * problem.scale_log2;
    }

    template <class Value>
    __device__ __forceinline__ void each(int first_key, Value&& value) const {
#pragma unroll
        for (int m = 0; m < row_fragments; ++m)
#pragma unroll
            for (int n = 0; n < key_fragments; ++n)
#pragma unroll
                for (int i = 0; i < 4; ++i) {
                    const int key = first_key + n * 8 + place.lane % 4 * 2 + i % 2;
                    if (row_of(m, i / 2) < problem.queries && key < problem.keys)
                        target[(int64_t(item.head) * problem.queries + row_of(m, i / 2)) * problem.keys + key] =
                            value(m, n, i);
                }
    }
};
