// Fused attention forward for Ampere, Ada and Hopper: softmax(Q K^T * scale) V with mma.sync, ldmatrix and cp.async.
// FP16 or BF16 in and out, FP32 accumulation, online softmax in base 2. README.md describes each parameter.
//
// q, out: [batch_heads, num_queries, head_dim]; k, v: [batch_heads, num_keys, head_dim]; contiguous, 16-byte aligned. A
// build with STRIDED also takes the strides of each tensor, in elements (multiples of 8). batch_heads is then a
// multiple of heads_per_batch, and a group of heads of q may share one head of k and v. tensors.cuh describes the
// reciprocals.
//
// scale > 0. causal: query i sees keys 0 to i. workspace: workspace_bytes of geometry.py, any content.
// Launch: grid, threads and shared_memory of geometry.py. With SPLIT_MERGE=workspace two calls of the same loaded
// module must not overlap in time, because they would count their splits in the same memory.

#include <cstdint>

#include "barrier.cuh"
#include "configuration.cuh"
#include "loading.cuh"
#include "merge.cuh"
#include "producer.cuh"
#include "schedule.cuh"
#include "self_loader.cuh"
#include "shared_memory.cuh"
#include "softmax.cuh"
#include "stage_recorder.cuh"
#include "storing.cuh"
#include "tensors.cuh"
#include "thread_index.cuh"

// A test compares it with geometry.py.
extern "C" __device__ const int evotune_shared_bytes = shared_bytes;

#ifdef __CUDA_ARCH__
static_assert(!cluster_merge || __CUDA_ARCH__ >= 900, "SPLIT_MERGE=cluster needs compute capability 9.0 or later");
#endif

// A compile-time choice, passed as an argument of a generic lambda.
template <bool constant>
struct Constant {
    static constexpr bool value = constant;
};

// The rows that a warp works on.
struct WarpRows {
    int lane_row;       // the lane's upper row of the first fragment
    int visible_keys;   // keys that the warp's last row sees
    int unmasked_keys;  // keys that all of its rows see
};

__device__ __forceinline__ WarpRows rows_of_warp(
    const Problem& problem, const WorkItem& item, const ThreadIndex& thread) {
    const int first = item.first_query + thread.warp_row();
    const int last = first + row_fragments * 16 - 1;
    return {first + thread.lane_id / 4, problem.causal ? min(problem.num_keys, last + 1) : problem.num_keys,
            problem.causal ? min(problem.num_keys, first + 1) : problem.num_keys};
}

__device__ __forceinline__ void mask_if_needed(
    Scores& S_reg, const Problem& problem, const WarpRows& rows, int first_key, int lane_id) {
    if (first_key + step_n > rows.unmasked_keys)
        mask_scores(S_reg, first_key, lane_id, rows.lane_row, problem.num_keys, problem.causal);
}

// A lane's offset into a tile of V. If outputs are merged, the features that this warp will finish come first.
__device__ __forceinline__ uint32_t lane_v_offset(const ThreadIndex& thread) {
    const int first_fragment =
        keeps_own_fragments ? (thread.cta_rank * kv_warps + thread.kv_warp_id) * fragments_per_partial : 0;
    return advance_chunks(lane_offset_rows_first(thread.lane_id), first_fragment);
}

// Compute scores, softmax and output of one step after the other. `KvTiles` is a SelfLoader or a Consumer.
template <class KvTiles>
__device__ __forceinline__ void attend(
    KvTiles& kv_tiles, Output& O_reg, RowStatistics& statistics, const Queries& Q_reg, uint32_t Q_smem,
    const Problem& problem, const WorkItem& item, const WarpRows& rows, const ThreadIndex& thread,
    const StageRecorder& recorder) {
    const KeyOffsets key_offsets(lane_offset_chunks_first(thread.lane_id));
    const ValueOffsets value_offsets(lane_v_offset(thread));
#pragma unroll 1
    for (int t = 0; t < item.num_kv_tiles; ++t) {
        const int first_key = item.first_key(t) + thread.kv_warp_id * keys_per_warp;
        const uint32_t K_smem = kv_tiles.acquire_k(t);
        uint32_t V_smem = 0;
#pragma unroll
        for (int step = 0; step < steps_per_tile; ++step) {
            const int step_key = first_key + step * step_n;
            const bool sees_keys = step_key < rows.visible_keys;
            Scores S_reg;
            if (sees_keys) {
                compute_scores(S_reg, Q_reg, Q_smem, key_offsets, K_smem, step * step_n);
                mask_if_needed(S_reg, problem, rows, step_key, thread.lane_id);
                recorder.scores(S_reg, step_key);
                update_maxima(statistics, O_reg, S_reg, problem.scale_log2, t > 0 || step > 0);
                exponentiate(S_reg, statistics, problem.scale_log2);
                recorder.probabilities(S_reg, statistics, step_key);
            }
            if (step == steps_per_tile - 1) kv_tiles.release_k();
            if (step == 0) V_smem = kv_tiles.acquire_v(t);
            if (sees_keys) accumulate_output(O_reg, statistics, S_reg, value_offsets, V_smem, step * step_n);
        }
        kv_tiles.release_v();
    }
}

// Do the same, but compute the next step's scores beside this step's softmax, so that tensor cores, the exponential
// unit and the ALUs work at the same time within one warp. Tiles that need no mask have code of their own: with a
// branch around the mask, the compiler copies every score behind it.
template <class KvTiles>
__device__ __forceinline__ void attend_overlapped(
    KvTiles& kv_tiles, Output& O_reg, RowStatistics& statistics, const Queries& Q_reg, uint32_t Q_smem,
    const Problem& problem, const WorkItem& item, const WarpRows& rows, const ThreadIndex& thread,
    const StageRecorder& recorder) {
    const KeyOffsets key_offsets(lane_offset_chunks_first(thread.lane_id));
    const ValueOffsets value_offsets(lane_v_offset(thread));
    if (item.num_kv_tiles == 0) return;
    // Scores of this step and of the next, in alternation. After an odd number of steps a tile swaps them.
    Scores S_buffers[2];
    uint32_t K_smem = kv_tiles.acquire_k(0);
    compute_scores(S_buffers[0], Q_reg, Q_smem, key_offsets, K_smem, 0);
    if constexpr (steps_per_tile == 1) kv_tiles.release_k();
    const auto attend_tile = [&](auto masked, int t) {
        const int first_key = item.first_key(t) + thread.kv_warp_id * keys_per_warp;
        const bool has_next_tile = t + 1 < item.num_kv_tiles;
        uint32_t V_smem = 0;
#pragma unroll
        for (int step = 0; step < steps_per_tile; ++step) {
            const bool last_step = step == steps_per_tile - 1;
            if (step == 0 && steps_per_tile > 1) V_smem = kv_tiles.acquire_v_behind(t);
            if (last_step) K_smem = kv_tiles.acquire_k_ahead(t, has_next_tile);
            const int step_key = first_key + step * step_n;
            Scores &S_reg = S_buffers[step % 2], &S_next = S_buffers[(step + 1) % 2];
            if constexpr (masked.value) mask_if_needed(S_reg, problem, rows, step_key, thread.lane_id);
            recorder.scores(S_reg, step_key);
            if (!last_step || has_next_tile) {
                compute_scores(
                    S_next, Q_reg, Q_smem, key_offsets, K_smem, last_step ? 0 : (step + 1) * step_n);
                if (step == (steps_per_tile == 1 ? 0 : steps_per_tile - 2)) kv_tiles.release_k();
            }
            update_maxima(statistics, O_reg, S_reg, problem.scale_log2, t > 0 || step > 0);
            exponentiate(S_reg, statistics, problem.scale_log2);
            recorder.probabilities(S_reg, statistics, step_key);
            if (steps_per_tile == 1) V_smem = kv_tiles.v_acquired_with_k(t);
            accumulate_output(O_reg, statistics, S_reg, value_offsets, V_smem, step * step_n);
            if (last_step) kv_tiles.release_v();
        }
        if constexpr (steps_per_tile % 2 == 1) {
#pragma unroll
            for (int m = 0; m < row_fragments; ++m)
#pragma unroll
                for (int n = 0; n < key_fragments; ++n)
#pragma unroll
                    for (int i = 0; i < 4; ++i) S_buffers[0][m][n][i] = S_buffers[1][m][n][i];
        }
    };
    const int unmasked_keys = problem.causal ? min(problem.num_keys, item.first_query + 1) : problem.num_keys;
#pragma unroll 1
    for (int t = 0; t < item.num_kv_tiles; ++t) {
        // All warps of the CTA take the same branch, because the warps of a KV group meet at barriers in it.
        if (item.first_key(t) + tile_n <= unmasked_keys) {
            attend_tile(Constant<false>{}, t);
        } else {
            attend_tile(Constant<true>{}, t);
        }
    }
}

// Pass each fragment of the warp's own output to `emit`.
template <class Emit>
__device__ __forceinline__ void for_each_fragment(const Output& O_reg, const RowStatistics& statistics, Emit&& emit) {
#pragma unroll
    for (int m = 0; m < row_fragments; ++m)
#pragma unroll
        for (int n = 0; n < value_fragments; ++n) {
            const float* values = O_reg[m][n];
            const Fragment fragments[] = {{m, n, float4{values[0], values[1], values[2], values[3]},
                                           float2{statistics.maximum[m][0], statistics.sum(m, 0)},
                                           float2{statistics.maximum[m][1], statistics.sum(m, 1)}}};
            emit(fragments);
        }
}

// Merge the partial outputs for the same queries, if there are others, and store the result.
__device__ __forceinline__ void finish_item(
    const Output& O_reg, const RowStatistics& statistics, const Tensors& tensors, const Problem& problem,
    const WorkItem& item, Matrix<uint16_t> out, const WarpRows& rows, uint32_t smem, const ThreadIndex& thread) {
    const auto store = [&](const auto& fragments) {
        store_fragments(out, fragments, rows.lane_row, problem.num_queries, thread.lane_id);
    };
    if constexpr (workspace_merge) {
        if (item.num_splits > 1) {
            char* const split_gmem = split_in_workspace(tensors.workspace, item.tile_id, item.split);
            const auto store_partial = [&](const auto& fragments) {
                for (const Fragment& fragment : fragments) store_split(split_gmem, fragment, thread);
            };
            if constexpr (merges_on_chip) {
                merge_on_chip(O_reg, statistics, smem, thread, problem.scale_log2, store_partial);
            } else {
                for_each_fragment(O_reg, statistics, store_partial);
            }
            if (is_last_split(item.tile_id, smem, thread.thread_id))
                merge_splits(tensors.workspace, item.tile_id, thread, problem.scale_log2, store);
            return;
        }
    }
    if constexpr (merges_on_chip) {
        merge_on_chip(O_reg, statistics, smem, thread, problem.scale_log2, store);
    } else {
        store_rows(out, O_reg, statistics, rows.lane_row, problem.num_queries, thread.lane_id);
    }
}

// Start the copy of an item's queries, as a commit group of its own.
__device__ __forceinline__ void start_queries(
    const Tensors& tensors, const Problem& problem, const WorkItem& item, uint32_t smem, int thread_id) {
    const auto Q = make_matrix(tensors.q + q_offset(tensors, problem, item.head), tensors.q_strides);
    load_rows<tile_m, compute_threads>(
        smem + q_smem_offset, Q, item.first_query, problem.num_queries, thread_id, make_l2_policy());
    commit_copies();
}

// Compute one work item, from the first copy of its queries to the stored output.
template <class KvTiles>
__device__ __forceinline__ void compute_item(
    KvTiles& kv_tiles, const Tensors& tensors, const Problem& problem, const WorkItem& item, uint32_t smem,
    const ThreadIndex& thread) {
    const int64_t out_start = out_offset(tensors, problem, item.head);
    const int64_t k_start = k_offset(tensors, problem, item.head);
    const int64_t v_start = v_offset(tensors, problem, item.head);
    const WarpRows rows = rows_of_warp(problem, item, thread);
    start_queries(tensors, problem, item, smem, thread.thread_id);
    kv_tiles.start(item, make_matrix(tensors.k + k_start, tensors.k_strides),
                   make_matrix(tensors.v + v_start, tensors.v_strides), problem.num_keys);
    kv_tiles.wait_for_q();
    // A warp reads rows of Q that other warps have copied.
    sync_compute_warps();
    const uint32_t Q_smem =
        smem + q_smem_offset + thread.warp_row() * row_bytes + lane_offset_rows_first(thread.lane_id);
    Queries Q_reg;
    if constexpr (q_in_registers) {
        load_queries(Q_reg, Q_smem);
        if constexpr (q_overlaps_v) {
            // V of the last stage overwrites Q, which every warp must have in registers by then.
            sync_compute_warps();
            kv_tiles.start_last_v();
        }
    }

    Output O_reg = {};
    RowStatistics statistics;
    statistics.clear();
    const StageRecorder recorder = {reinterpret_cast<float*>(tensors.out), problem, item, thread, rows.lane_row};
    if constexpr (overlap_scores) {
        attend_overlapped(kv_tiles, O_reg, statistics, Q_reg, Q_smem, problem, item, rows, thread, recorder);
    } else {
        attend(kv_tiles, O_reg, statistics, Q_reg, Q_smem, problem, item, rows, thread, recorder);
    }
    statistics.complete_sums();

    if constexpr (written_stage == WrittenStage::output) {
        const auto out = make_matrix(tensors.out + out_start, tensors.out_strides);
        finish_item(O_reg, statistics, tensors, problem, item, out, rows, smem, thread);
    } else {
        recorder.sums(statistics);
    }
    // The next item's copies overwrite shared memory that slower warps may still read.
    if constexpr (persistent) sync_compute_warps();
}

extern "C" __global__ void
#if SPLIT_KV > 1 && __CUDA_ARCH__ >= 900
__cluster_dims__(cluster_merge ? split_kv : 1, 1, 1)
#endif
__launch_bounds__(num_threads, min_ctas)
attention_fwd(const void* q, const void* k, const void* v, void* out, void* workspace, int64_t batch_heads,
              int64_t num_queries, int64_t num_keys, float scale, int32_t causal
#if STRIDED
              ,
              int32_t heads_per_batch, uint32_t heads_reciprocal, uint32_t group_size_reciprocal, int32_t q_batch,
              int32_t q_head, int32_t q_row, int32_t k_batch, int32_t k_head, int32_t k_row, int32_t v_batch,
              int32_t v_head, int32_t v_row, int32_t out_batch, int32_t out_head, int32_t out_row
#endif
) {
    extern __shared__ __align__(1024) unsigned char shared_memory[];
    const uint32_t smem = static_cast<uint32_t>(__cvta_generic_to_shared(shared_memory));
    constexpr float log2_of_e = 1.4426950408889634f;
    const Problem problem = {int(batch_heads), int(num_queries), int(num_keys), causal != 0, scale * log2_of_e};
    const Tensors tensors = {static_cast<const uint16_t*>(q), static_cast<const uint16_t*>(k),
                             static_cast<const uint16_t*>(v), static_cast<uint16_t*>(out),
                             static_cast<float*>(workspace),
#if STRIDED
                             {q_batch, q_head, q_row},
                             {k_batch, k_head, k_row},
                             {v_batch, v_head, v_row},
                             {out_batch, out_head, out_row},
                             heads_per_batch,
                             heads_reciprocal,
                             group_size_reciprocal
#endif
    };
    const ThreadIndex thread;

    if constexpr (prefetch_warps == 0) {
        SelfLoader kv_tiles(smem, thread.kv_warp_id, thread.thread_id % SelfLoader::group_threads);
        for_each_item(problem, [&](const WorkItem& item) {
            compute_item(kv_tiles, tensors, problem, item, smem, thread);
        });
    } else {
        // No barrier here: Producer and Consumer order themselves after it with the init barrier.
        if (threadIdx.x == 0) init_pipeline(smem);
        if (threadIdx.x >= compute_threads) {
            Producer producer(smem, threadIdx.x - compute_threads);
            for_each_item(problem, [&](const WorkItem& item) {
                const int64_t k_start = k_offset(tensors, problem, item.head);
                const int64_t v_start = v_offset(tensors, problem, item.head);
                producer.produce(item, make_matrix(tensors.k + k_start, tensors.k_strides),
                                 make_matrix(tensors.v + v_start, tensors.v_strides), problem.num_keys);
            });
            producer.finish();
        } else {
            Consumer kv_tiles(smem, thread.kv_warp_id);
            for_each_item(problem, [&](const WorkItem& item) {
                compute_item(kv_tiles, tensors, problem, item, smem, thread);
            });
        }
    }
}
