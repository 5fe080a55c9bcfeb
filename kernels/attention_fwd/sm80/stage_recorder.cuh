// Builds with EVOTUNE_STAGE=scores or softmax write that stage instead of the output, which shows where a configuration
// goes wrong: FP32 [batch_heads][num_queries][num_keys], and for softmax then the logarithm of each row's sum over each
// group of keys, [split_kv * kv_warps][batch_heads][num_queries]. All values are in base 2. stages.py reads them. Keys
// that no row of a warp sees are left out. An ordinary build contains nothing of this.
#pragma once

#include <cstdint>

#include "configuration.cuh"
#include "schedule.cuh"
#include "softmax.cuh"
#include "thread_index.cuh"

enum class WrittenStage { scores, softmax, output };
#ifdef EVOTUNE_STAGE
constexpr WrittenStage written_stage = WrittenStage::EVOTUNE_STAGE;
#else
constexpr WrittenStage written_stage = WrittenStage::output;
#endif

// Records one warp's rows of one work item; `lane_row` is the lane's first row.
struct StageRecorder {
    float* stage_gmem;
    const Problem& problem;
    const WorkItem& item;
    const ThreadIndex& thread;
    int lane_row;

    // Write the masked, scaled scores of the step whose keys start at `first_key`.
    __device__ __forceinline__ void scores(const Scores& S_reg, int first_key) const {
        if constexpr (written_stage == WrittenStage::scores)
            write_each(first_key, [&](int m, int n, int i) { return S_reg[m][n][i] * problem.scale_log2; });
    }

    // Write the scores as the probabilities and the running maxima represent them.
    __device__ __forceinline__ void probabilities(
        const Scores& P_reg, const RowStatistics& statistics, int first_key) const {
        if constexpr (written_stage == WrittenStage::softmax)
            write_each(first_key, [&](int m, int n, int i) {
                return log2f(P_reg[m][n][i]) + scaled_maximum(statistics, m, i / 2);
            });
    }

    // Write the complete row sums over the keys that the warp has seen.
    __device__ __forceinline__ void sums(const RowStatistics& statistics) const {
        if constexpr (written_stage == WrittenStage::softmax) {
            const int64_t num_rows = int64_t(problem.num_heads) * problem.num_queries;
            float* const sums_gmem =
                stage_gmem + num_rows * problem.num_keys + (item.split * kv_warps + thread.kv_warp_id) * num_rows;
#pragma unroll
            for (int m = 0; m < row_fragments; ++m)
#pragma unroll
                for (int half = 0; half < 2; ++half)
                    if (thread.lane_id % 4 == 0 && query_of(m, half) < problem.num_queries)
                        sums_gmem[int64_t(item.head) * problem.num_queries + query_of(m, half)] =
                            log2f(statistics.sum(m, half)) + scaled_maximum(statistics, m, half);
        }
    }

  private:
    __device__ __forceinline__ int query_of(int m, int half) const { return lane_row + m * 16 + half * 8; }

    __device__ __forceinline__ float scaled_maximum(const RowStatistics& statistics, int m, int half) const {
        return finite_maximum(statistics.maximum[m][half]) * problem.scale_log2;
    }

    template <class Value>
    __device__ __forceinline__ void write_each(int first_key, Value&& value) const {
#pragma unroll
        for (int m = 0; m < row_fragments; ++m)
#pragma unroll
            for (int n = 0; n < key_fragments; ++n)
#pragma unroll
                for (int i = 0; i < 4; ++i) {
                    const int key = first_key + n * 8 + thread.lane_id % 4 * 2 + i % 2;
                    const int query = query_of(m, i / 2);
                    if (query < problem.num_queries && key < problem.num_keys)
                        stage_gmem[(int64_t(item.head) * problem.num_queries + query) * problem.num_keys + key] =
                            value(m, n, i);
                }
    }
};
