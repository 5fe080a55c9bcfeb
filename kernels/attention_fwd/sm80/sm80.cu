// Fused attention forward for Ampere, Ada and Hopper: softmax(Q K^T * scale) V with mma.sync, ldmatrix and cp.async.
// FP16 or BF16 in and out, FP32 accumulation, online softmax in base 2. README.md says what each parameter does.
//
// q, out: [batch_heads, queries, head_dim]; k, v: [batch_heads, keys, head_dim]; contiguous, 16-byte aligned. A build with
// STRIDED takes the strides of each besides, in elements (multiples of 8): batch_heads are then `heads` of each batch, and
// several of them in turn may share a head of k and v (tensors.cuh: reciprocals).
// scale > 0. causal: query i sees keys 0 to i. workspace: geometry.py's workspace_bytes, of any content.
// Launch: geometry.py's grid, threads and shared_memory. With SPLIT_MERGE=workspace two calls of the same loaded module
// must not overlap in time, because they would count their shares in the same place.

#include <cstdint>

#include "barrier.cuh"
#include "configuration.cuh"
#include "loading.cuh"
#include "merge.cuh"
#include "place.cuh"
#include "producer.cuh"
#include "recording.cuh"
#include "schedule.cuh"
#include "self_loading.cuh"
#include "shared_memory.cuh"
#include "softmax.cuh"
#include "storing.cuh"
#include "tensors.cuh"

// What geometry.py is checked against.
extern "C" __device__ const int evotune_shared_bytes = shared_bytes;

#ifdef __CUDA_ARCH__
static_assert(!cluster_merge || __CUDA_ARCH__ >= 900, "SPLIT_MERGE=cluster needs compute capability 9.0 or later");
#endif

// A choice of code, as an argument of a generic lambda.
template <bool of>
struct Constant {
    static constexpr bool value = of;
};

// What a warp knows about the rows it works on.
struct Rows {
    int first;    // of the lane: its upper row of the first fragment
    int visible;  // keys that the warp's last row sees
    int whole;    // keys that all of its rows see
};

__device__ __forceinline__ Rows rows_of_warp(const Problem& problem, const WorkItem& item, const Place& place) {
    const int first = item.first_row + place.warp_row();
    const int last = first + row_fragments * 16 - 1;
    return {first + place.lane / 4, problem.causal ? min(problem.keys, last + 1) : problem.keys,
            problem.causal ? min(problem.keys, first + 1) : problem.keys};
}

__device__ __forceinline__ void mask_where_needed(
    Scores& scores, const Problem& problem, const Rows& rows, int first_key, int lane) {
    if (first_key + step_n > rows.whole)
        mask_scores(scores, first_key, lane, rows.first, problem.keys, problem.causal);
}

// A lane's offset into a tile of V. Where outputs are merged, the features that the warp will finish come first.
__device__ __forceinline__ uint32_t values_offset(const Place& place) {
    const int first = keeps_own ? (place.rank * kv_warps + place.kv_warp) * part_fragments : 0;
    return along_row(lane_offset_rows_first(place.lane), first);
}

// Scores, softmax and output of one step after another.
template <class Tiles>
__device__ __forceinline__ void attend(
    Tiles& tiles, Output& output, RowStatistics& statistics, const Queries& queries, uint32_t queries_shared,
    const Problem& problem, const WorkItem& item, const Rows& rows, const Place& place, const Recording& record) {
    const KeyOffsets key_offsets(lane_offset_chunks_first(place.lane));
    const ValueOffsets value_offsets(values_offset(place));
#pragma unroll 1
    for (int t = 0; t < item.tiles; ++t) {
        const int first_key = item.first_key(t) + place.kv_warp * warp_keys;
        const uint32_t keys = tiles.acquire_keys(t);
        uint32_t values = 0;
#pragma unroll
        for (int step = 0; step < steps; ++step) {
            const int step_key = first_key + step * step_n;
            const bool sees = step_key < rows.visible;
            Scores scores;
            if (sees) {
                compute_scores(scores, queries, queries_shared, key_offsets, keys, step * step_n);
                mask_where_needed(scores, problem, rows, step_key, place.lane);
                record.scores(scores, step_key);
                update_maxima(statistics, output, scores, problem.scale_log2, t > 0 || step > 0);
                exponentiate(scores, statistics, problem.scale_log2);
                record.weights(scores, statistics, step_key);
            }
            if (step == steps - 1) tiles.release_keys();
            if (step == 0) values = tiles.acquire_values(t);
            if (sees) accumulate_output(output, statistics, scores, value_offsets, values, step * step_n);
        }
        tiles.release_values();
    }
}

// The same with the scores of the next step under way while this one's softmax is computed: tensor cores, the exponential's
// unit and the ALUs then work at once within one warp. A tile whose keys all of the block's rows see has code of its own:
// where masking is a branch, every score is copied behind it.
template <class Tiles>
__device__ __forceinline__ void attend_overlapped(
    Tiles& tiles, Output& output, RowStatistics& statistics, const Queries& queries, uint32_t queries_shared,
    const Problem& problem, const WorkItem& item, const Rows& rows, const Place& place, const Recording& record) {
    const KeyOffsets key_offsets(lane_offset_chunks_first(place.lane));
    const ValueOffsets value_offsets(values_offset(place));
    if (item.tiles == 0) return;
    // A step's scores and the next one's, in turn; where a tile has an odd number of steps they change places at its end.
    Scores both[2];
    uint32_t keys = tiles.acquire_keys(0);
    compute_scores(both[0], queries, queries_shared, key_offsets, keys, 0);
    if constexpr (steps == 1) tiles.release_keys();
    const auto attend_tile = [&](auto masked, int t) {
        const int first_key = item.first_key(t) + place.kv_warp * warp_keys;
        const bool more = t + 1 < item.tiles;
        uint32_t values = 0;
#pragma unroll
        for (int step = 0; step < steps; ++step) {
            const bool last = step == steps - 1;
            if (step == 0 && steps > 1) values = tiles.acquire_values_behind(t);
            if (last) keys = tiles.acquire_keys_ahead(t, more);
            const int step_key = first_key + step * step_n;
            Scores &scores = both[step % 2], &next = both[(step + 1) % 2];
            if constexpr (masked.value) mask_where_needed(scores, problem, rows, step_key, place.lane);
            record.scores(scores, step_key);
            if (!last || more) {
                compute_scores(next, queries, queries_shared, key_offsets, keys, last ? 0 : (step + 1) * step_n);
                if (step == (steps == 1 ? 0 : steps - 2)) tiles.release_keys();
            }
            update_maxima(statistics, output, scores, problem.scale_log2, t > 0 || step > 0);
            exponentiate(scores, statistics, problem.scale_log2);
            record.weights(scores, statistics, step_key);
            if (steps == 1) values = tiles.values_acquired_with_keys(t);
            accumulate_output(output, statistics, scores, value_offsets, values, step * step_n);
            if (last) tiles.release_values();
        }
        if constexpr (steps % 2 == 1) {
#pragma unroll
            for (int m = 0; m < row_fragments; ++m)
#pragma unroll
                for (int n = 0; n < key_fragments; ++n)
#pragma unroll
                    for (int i = 0; i < 4; ++i) both[0][m][n][i] = both[1][m][n][i];
        }
    };
    const int seen_by_all = problem.causal ? min(problem.keys, item.first_row + 1) : problem.keys;
#pragma unroll 1
    for (int t = 0; t < item.tiles; ++t) {
        // The same for all warps of the block: those of a group meet in barriers.
        if (item.first_key(t) + tile_n <= seen_by_all) {
            attend_tile(Constant<false>{}, t);
        } else {
            attend_tile(Constant<true>{}, t);
        }
    }
}

// Calls `emit` with each fragment of the warp's own output, as a run of one.
template <class Emit>
__device__ __forceinline__ void each_fragment(const Output& output, const RowStatistics& statistics, Emit&& emit) {
#pragma unroll
    for (int m = 0; m < row_fragments; ++m)
#pragma unroll
        for (int n = 0; n < value_fragments; ++n) {
            const float* values = output[m][n];
            const Fragment run[] = {{m, n, float4{values[0], values[1], values[2], values[3]},
                                     float2{statistics.maximum[m][0], statistics.sum(m, 0)},
                                     float2{statistics.maximum[m][1], statistics.sum(m, 1)}}};
            emit(run);
        }
}

// Merges what others have seen of the same queries, if anything, and stores the result.
__device__ __forceinline__ void finish_item(
    const Output& output, const RowStatistics& statistics, const Tensors& tensors, const Problem& problem,
    const WorkItem& item, Matrix<uint16_t> target, const Rows& rows, uint32_t shared, const Place& place) {
    const auto store = [&](const auto& run) { store_run(target, run, rows.first, problem.queries, place.lane); };
    if constexpr (workspace_merge) {
        if (item.shares > 1) {
            char* const share = share_in_workspace(tensors.workspace, item.block, item.split);
            const auto keep = [&](const auto& run) {
                for (const Fragment& fragment : run) store_share(share, fragment, place);
            };
            if constexpr (merges) {
                merge_on_chip(output, statistics, shared, place, problem.scale_log2, keep);
            } else {
                each_fragment(output, statistics, keep);
            }
            if (arrived_last(item.block, shared, place.thread))
                merge_shares(tensors.workspace, item.block, place, problem.scale_log2, store);
            return;
        }
    }
    if constexpr (merges) {
        merge_on_chip(output, statistics, shared, place, problem.scale_log2, store);
    } else {
        store_rows(target, output, statistics, rows.first, problem.queries, place.lane);
    }
}

// The copy of an item's queries, as a group of its own.
__device__ __forceinline__ void start_queries(
    const Tensors& tensors, const Problem& problem, const WorkItem& item, uint32_t shared, int thread) {
    const auto queries = matrix_at(tensors.q + queries_start(tensors, problem, item.head), tensors.q_strides);
    load_rows<tile_m, compute_threads>(
        shared + query_offset, queries, item.first_row, problem.queries, thread, make_l2_policy());
    commit_copies();
}

// From the first copy of a tile of queries to its stored output.
template <class Tiles>
__device__ __forceinline__ void compute_item(
    Tiles& tiles, const Tensors& tensors, const Problem& problem, const WorkItem& item, uint32_t shared,
    const Place& place) {
    const int64_t out_start = output_start(tensors, problem, item.head);
    const int64_t key_start = keys_start(tensors, problem, item.head);
    const int64_t value_start = values_start(tensors, problem, item.head);
    const Rows rows = rows_of_warp(problem, item, place);
    start_queries(tensors, problem, item, shared, place.thread);
    tiles.start(item, matrix_at(tensors.k + key_start, tensors.k_strides),
                matrix_at(tensors.v + value_start, tensors.v_strides), problem.keys);
    tiles.wait_for_queries();
    synchronise_compute_warps();
    const uint32_t queries_shared =
        shared + query_offset + place.warp_row() * row_bytes + lane_offset_rows_first(place.lane);
    Queries queries;
    if constexpr (q_in_registers) {
        load_queries(queries, queries_shared);
        // The memory of Q is where the last stage of V goes.
        if constexpr (queries_lie_in_values) {
            synchronise_compute_warps();
            tiles.start_last_values();
        }
    }

    Output output = {};
    RowStatistics statistics;
    statistics.clear();
    const Recording record = {reinterpret_cast<float*>(tensors.out), problem, item, place, rows.first};
    if constexpr (overlap_scores) {
        attend_overlapped(tiles, output, statistics, queries, queries_shared, problem, item, rows, place, record);
    } else {
        attend(tiles, output, statistics, queries, queries_shared, problem, item, rows, place, record);
    }
    statistics.complete_sums();

    if constexpr (until == Until::output) {
        const auto target = matrix_at(tensors.out + out_start, tensors.out_strides);
        finish_item(output, statistics, tensors, problem, item, target, rows, shared, place);
    } else {
        record.sums(statistics);
    }
    // The next item's copies overwrite what slower warps may still read.
    if constexpr (persistent) synchronise_compute_warps();
}

extern "C" __global__ void
#if SPLIT_KV > 1 && __CUDA_ARCH__ >= 900
__cluster_dims__(cluster_merge ? split_kv : 1, 1, 1)
#endif
__launch_bounds__(threads, min_blocks)
attention_fwd(const void* q, const void* k, const void* v, void* out, void* workspace, int64_t batch_heads,
              int64_t queries, int64_t keys, float scale, int32_t causal
#if STRIDED
              ,
              int32_t heads, uint32_t heads_reciprocal, uint32_t sharing_reciprocal, int32_t q_batch, int32_t q_head,
              int32_t q_row, int32_t k_batch, int32_t k_head, int32_t k_row, int32_t v_batch, int32_t v_head,
              int32_t v_row, int32_t out_batch, int32_t out_head, int32_t out_row
#endif
) {
    extern __shared__ __align__(1024) unsigned char shared_memory[];
    const uint32_t shared = static_cast<uint32_t>(__cvta_generic_to_shared(shared_memory));
    constexpr float log2_of_e = 1.4426950408889634f;
    const Problem problem = {int(batch_heads), int(queries), int(keys), causal != 0, scale * log2_of_e};
    const Tensors tensors = {static_cast<const uint16_t*>(q), static_cast<const uint16_t*>(k),
                             static_cast<const uint16_t*>(v), static_cast<uint16_t*>(out),
                             static_cast<float*>(workspace),
#if STRIDED
                             {q_batch, q_head, q_row},
                             {k_batch, k_head, k_row},
                             {v_batch, v_head, v_row},
                             {out_batch, out_head, out_row},
                             heads,
                             heads_reciprocal,
                             sharing_reciprocal
#endif
    };
    const Place place;

    if constexpr (prefetch_warps == 0) {
        SelfLoading tiles(shared, place.kv_warp, place.thread % SelfLoading::group_threads);
        for_each_item(problem, [&](const WorkItem& item) {
            compute_item(tiles, tensors, problem, item, shared, place);
        });
    } else {
        if (threadIdx.x == 0) initialise_stages(shared);
        if (threadIdx.x >= compute_threads) {
            Producer producer(shared, threadIdx.x - compute_threads);
            for_each_item(problem, [&](const WorkItem& item) {
                const int64_t key_start = keys_start(tensors, problem, item.head);
                const int64_t value_start = values_start(tensors, problem, item.head);
                producer.produce(item, matrix_at(tensors.k + key_start, tensors.k_strides),
                                 matrix_at(tensors.v + value_start, tensors.v_strides), problem.keys);
            });
            producer.finish();
        } else {
            Consumer tiles(shared, place.kv_warp);
            for_each_item(problem, [&](const WorkItem& item) {
                compute_item(tiles, tensors, problem, item, shared, place);
            });
        }
    }
}
