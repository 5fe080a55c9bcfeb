// Merges partial outputs for the same queries over different keys: of the warps of a CTA, of the CTAs of a cluster, or
// of CTAs of the grid. Partials are combined by log-sum-exp in a fixed order, so that each run gives the same bits.
#pragma once

#include <cstdint>

#include "barrier.cuh"
#include "schedule.cuh"
#include "shared_memory.cuh"
#include "softmax.cuh"
#include "thread_index.cuh"

constexpr int output_fragments = row_fragments * value_fragments;

// Offset of a lane's 16 bytes of a fragment in a partial output. A warp reads and writes 512 consecutive bytes.
__device__ __forceinline__ int fragment_offset(int partial, int row_warp_id, int fragment, int lane_id) {
    return (((partial * row_warps + row_warp_id) * output_fragments + fragment) * 32 + lane_id) * 16;
}

__device__ __forceinline__ int statistics_offset(int partial, int row) { return (partial * tile_m + row) * 8; }

__device__ __forceinline__ void store_shared(uint32_t address, float4 value) {
    asm volatile("st.shared.v4.f32 [%0], {%1, %2, %3, %4};"
        :: "r"(address), "f"(value.x), "f"(value.y), "f"(value.z), "f"(value.w) : "memory");
}

__device__ __forceinline__ void store_shared(uint32_t address, float2 value) {
    asm volatile("st.shared.v2.f32 [%0], {%1, %2};" :: "r"(address), "f"(value.x), "f"(value.y) : "memory");
}

// Load what a warp of this CTA, or of another CTA of the cluster, has stored.
__device__ __forceinline__ float4 load_fragment(uint32_t address) {
    float4 value;
    if constexpr (cluster_merge) {
        asm volatile("ld.shared::cluster.v4.f32 {%0, %1, %2, %3}, [%4];"
            : "=f"(value.x), "=f"(value.y), "=f"(value.z), "=f"(value.w) : "r"(address) : "memory");
    } else {
        asm volatile("ld.shared.v4.f32 {%0, %1, %2, %3}, [%4];"
            : "=f"(value.x), "=f"(value.y), "=f"(value.z), "=f"(value.w) : "r"(address) : "memory");
    }
    return value;
}

__device__ __forceinline__ float2 load_statistics(uint32_t address) {
    float2 value;
    if constexpr (cluster_merge) {
        asm volatile("ld.shared::cluster.v2.f32 {%0, %1}, [%2];"
            : "=f"(value.x), "=f"(value.y) : "r"(address) : "memory");
    } else {
        asm volatile("ld.shared.v2.f32 {%0, %1}, [%2];" : "=f"(value.x), "=f"(value.y) : "r"(address) : "memory");
    }
    return value;
}

// `address` in the CTA that holds the partial output.
__device__ __forceinline__ uint32_t partial_address(uint32_t address, int partial) {
    return cluster_merge ? map_to_cta(address, partial / kv_warps) : address;
}

// Compute the weight of each partial in one row. Returns the row's maximum and sum over all partials.
template <int num_inputs, class Load>
__device__ __forceinline__ float2 merge_weights(float (&weights)[num_inputs], float scale_log2, Load&& load) {
    float2 statistics[num_inputs];
    float row_maximum = -INFINITY;
#pragma unroll
    for (int input = 0; input < num_inputs; ++input) {
        statistics[input] = load(input);
        row_maximum = fmaxf(row_maximum, statistics[input].x);
    }
    const float maximum = finite_maximum(row_maximum);
    float sum = 0.0f;
#pragma unroll
    for (int input = 0; input < num_inputs; ++input) {
        weights[input] = exp2_approximate((statistics[input].x - maximum) * scale_log2);
        sum += weights[input] * statistics[input].y;
    }
    return {row_maximum, sum};
}

// A lane's elements of an output fragment of 16 rows and 8 features: two features of an upper row, then of a lower row.
// `upper` and `lower` are the maximum and the sum of these rows over all keys merged so far.
struct Fragment {
    int m, n;
    float4 values;
    float2 upper, lower;
};

// How many adjacent fragments a warp finishes and stores together: two, whose 32 bytes of a row are adjacent, if that
// divides the fragments evenly among `num_mergers` warps.
template <int num_mergers>
constexpr int fragments_per_store = value_fragments % (2 * num_mergers) == 0 ? 2 : 1;

// Compute the fragments that warp `merger_id` of `num_mergers` is to finish, each a weighted sum of `num_inputs`
// partials, and pass them to `emit`. Fragments are distributed so that all warps work.
template <int num_inputs, int num_mergers, class LoadStatistics, class LoadFragment, class Emit>
__device__ __forceinline__ void merge_fragments(
    int merger_id, float scale_log2, LoadStatistics&& load_statistics_of, LoadFragment&& load_fragment_of,
    Emit&& emit) {
#pragma unroll
    for (int m = 0; m < row_fragments; ++m) {
        constexpr int width = fragments_per_store<num_mergers>;
        Fragment fragments[width];
        float upper[num_inputs], lower[num_inputs];
        const float2 upper_row =
            merge_weights(upper, scale_log2, [&](int input) { return load_statistics_of(input, m, 0); });
        const float2 lower_row =
            merge_weights(lower, scale_log2, [&](int input) { return load_statistics_of(input, m, 1); });
        constexpr int iterations = (value_fragments + width * num_mergers - 1) / (width * num_mergers);
        constexpr bool even = value_fragments % num_mergers == 0;
        // An uneven distribution continues with the warp after the one that took the previous row's last fragment.
        const int taken = m * value_fragments % num_mergers;
        const int first = even                  ? merger_id * iterations
                          : merger_id >= taken ? merger_id - taken
                                               : merger_id - taken + num_mergers;
#pragma unroll
        for (int iteration = 0; iteration < iterations; ++iteration) {
            const int n = (first + iteration * (even ? 1 : num_mergers)) * width;
            if (!even && iteration == iterations - 1 && n >= value_fragments) break;
#pragma unroll
            for (int i = 0; i < width; ++i) {
                float4 values[num_inputs], sum = {0.0f, 0.0f, 0.0f, 0.0f};
#pragma unroll
                for (int input = 0; input < num_inputs; ++input)
                    values[input] = load_fragment_of(input, m, iteration * width + i, n + i);
#pragma unroll
                for (int input = 0; input < num_inputs; ++input) {
                    sum.x += upper[input] * values[input].x;
                    sum.y += upper[input] * values[input].y;
                    sum.z += lower[input] * values[input].z;
                    sum.w += lower[input] * values[input].w;
                }
                fragments[i] = {m, n + i, sum, upper_row, lower_row};
            }
            emit(fragments);
        }
    }
}

// Merge through shared memory, within the CTA or the cluster, and pass this warp's merged fragments to `emit`.
template <class Emit>
__device__ __forceinline__ void merge_on_chip(
    const Output& O_reg, const RowStatistics& statistics, uint32_t smem, const ThreadIndex& thread, float scale_log2,
    Emit&& emit) {
    const uint32_t O_smem = smem + merge_offset, statistics_smem = O_smem + partial_outputs_bytes;
    const int lane_row = thread.warp_row() + thread.lane_id / 4;
    const int own_partial = thread.cta_rank * kv_warps + thread.kv_warp_id;
    const int own_fragment = keeps_own_fragments ? own_partial * fragments_per_partial : 0;
    // The merge overwrites K and V, which other warps may still read.
    if constexpr (!merge_has_own_memory) sync_compute_warps();
#pragma unroll
    for (int m = 0; m < row_fragments; ++m) {
#pragma unroll
        for (int n = keeps_own_fragments ? fragments_per_partial : 0; n < value_fragments; ++n) {
            const float* values = O_reg[m][n];
            const int fragment = m * value_fragments + (n ^ own_fragment);
            store_shared(O_smem + fragment_offset(thread.kv_warp_id, thread.row_warp_id, fragment, thread.lane_id),
                         float4{values[0], values[1], values[2], values[3]});
        }
        if (thread.lane_id % 4 < 2) {
            const bool upper = thread.lane_id % 4 == 0;
            const float2 row = {upper ? statistics.maximum[m][0] : statistics.maximum[m][1],
                                upper ? statistics.sum(m, 0) : statistics.sum(m, 1)};
            store_shared(
                statistics_smem + statistics_offset(thread.kv_warp_id, lane_row + m * 16 + (upper ? 0 : 8)), row);
        }
    }
    // All partials must be stored before any warp reads them.
    if constexpr (cluster_merge) {
        sync_cluster();
    } else {
        sync_compute_warps();
    }
    merge_fragments<num_partials, num_partials>(
        own_partial, scale_log2,
        [&](int input, int m, int half) {
            if (keeps_own_fragments && input == 0) return float2{statistics.maximum[m][half], statistics.sum(m, half)};
            const int partial = keeps_own_fragments ? own_partial ^ input : input;
            return load_statistics(
                partial_address(statistics_smem, partial) +
                statistics_offset(partial % kv_warps, lane_row + m * 16 + half * 8));
        },
        [&](int input, int m, int own_n, int n) {
            const float* values = O_reg[m][own_n];
            if (keeps_own_fragments && input == 0) return float4{values[0], values[1], values[2], values[3]};
            const int partial = keeps_own_fragments ? own_partial ^ input : input;
            return load_fragment(
                partial_address(O_smem, partial) +
                fragment_offset(partial % kv_warps, thread.row_warp_id, m * value_fragments + n, thread.lane_id));
        },
        emit);
    // Another CTA may still be reading this CTA's shared memory, which must not change or vanish until then.
    if constexpr (cluster_merge) sync_cluster();
}

// How many splits of each query tile have arrived. atomicInc wraps to 0 at the last one, so each call leaves zeros.
__device__ unsigned arrived_splits[workspace_merge ? max_split_tiles : 1];

// The partial output and statistics of one split in the workspace, laid out as in shared memory.
__device__ __forceinline__ char* split_in_workspace(float* workspace, int tile_id, int split) {
    constexpr int floats = tile_m * (head_dim + 2);
    return reinterpret_cast<char*>(workspace + (int64_t(tile_id) * split_kv + split) * floats);
}

__device__ __forceinline__ void store_split(char* split_gmem, const Fragment& fragment, const ThreadIndex& thread) {
    const int index = fragment.m * value_fragments + fragment.n;
    *reinterpret_cast<float4*>(split_gmem + fragment_offset(0, thread.row_warp_id, index, thread.lane_id)) =
        fragment.values;
    if (fragment.n == 0 && thread.lane_id % 4 == 0) {
        const int row = thread.warp_row() + thread.lane_id / 4 + fragment.m * 16;
        char* const statistics_gmem = split_gmem + tile_m * head_dim * 4;
        *reinterpret_cast<float2*>(statistics_gmem + statistics_offset(0, row)) = fragment.upper;
        *reinterpret_cast<float2*>(statistics_gmem + statistics_offset(0, row + 8)) = fragment.lower;
    }
}

// True in the CTA whose split arrives last; it sees what the other CTAs stored.
__device__ __forceinline__ bool is_last_split(int tile_id, uint32_t smem, int thread_id) {
    // Each thread's stores to the workspace become visible to the device before the CTA counts itself.
    __threadfence();
    // All compute warps have stored and fenced.
    sync_compute_warps();
    if (thread_id == 0) {
        const unsigned arrived_before = atomicInc(&arrived_splits[tile_id], split_kv - 1);
        // Loads of the other splits must not move before the count.
        __threadfence();
        asm volatile("st.shared.u32 [%0], %1;" :: "r"(smem + arrival_flag_offset), "r"(arrived_before) : "memory");
    }
    // The count is in shared memory.
    sync_compute_warps();
    unsigned arrived_before;
    asm volatile("ld.shared.u32 %0, [%1];" : "=r"(arrived_before) : "r"(smem + arrival_flag_offset) : "memory");
    return arrived_before == split_kv - 1;
}

// Merge all splits of a query tile from the workspace, and pass this warp's merged fragments to `emit`.
template <class Emit>
__device__ __forceinline__ void merge_splits(
    float* workspace, int tile_id, const ThreadIndex& thread, float scale_log2, Emit&& emit) {
    const int lane_row = thread.warp_row() + thread.lane_id / 4;
    merge_fragments<split_kv, kv_warps>(
        thread.kv_warp_id, scale_log2,
        [&](int split, int m, int half) {
            const char* statistics_gmem = split_in_workspace(workspace, tile_id, split) + tile_m * head_dim * 4;
            return __ldcg(
                reinterpret_cast<const float2*>(statistics_gmem + statistics_offset(0, lane_row + m * 16 + half * 8)));
        },
        [&](int split, int m, int, int n) {
            const char* split_gmem = split_in_workspace(workspace, tile_id, split);
            return __ldcg(reinterpret_cast<const float4*>(
                split_gmem + fragment_offset(0, thread.row_warp_id, m * value_fragments + n, thread.lane_id)));
        },
        emit);
}
