// Merges the outputs of warps, blocks of a cluster, or blocks of the grid that saw different keys of the same queries, by
// log-sum-exp in a fixed order, so that the result has the same bits at every run.
#pragma once

#include <cstdint>

#include "barrier.cuh"
#include "place.cuh"
#include "schedule.cuh"
#include "shared_memory.cuh"
#include "softmax.cuh"

constexpr int output_fragments = row_fragments * value_fragments;

// Where a lane's 16 bytes of a fragment lie among a part's: a warp reads and writes 512 bytes in a row.
__device__ __forceinline__ int fragment_offset(int part, int row_warp, int fragment, int lane) {
    return (((part * row_warps + row_warp) * output_fragments + fragment) * 32 + lane) * 16;
}

__device__ __forceinline__ int statistics_offset(int part, int row) { return (part * tile_m + row) * 8; }

__device__ __forceinline__ void store_shared(uint32_t address, float4 value) {
    asm volatile("st.shared.v4.f32 [%0], {%1, %2, %3, %4};"
        :: "r"(address), "f"(value.x), "f"(value.y), "f"(value.z), "f"(value.w) : "memory");
}

__device__ __forceinline__ void store_shared(uint32_t address, float2 value) {
    asm volatile("st.shared.v2.f32 [%0], {%1, %2};" :: "r"(address), "f"(value.x), "f"(value.y) : "memory");
}

// Reads what a warp of this block or of another one of the cluster has stored.
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
        asm volatile("ld.shared::cluster.v2.f32 {%0, %1}, [%2];" : "=f"(value.x), "=f"(value.y) : "r"(address) : "memory");
    } else {
        asm volatile("ld.shared.v2.f32 {%0, %1}, [%2];" : "=f"(value.x), "=f"(value.y) : "r"(address) : "memory");
    }
    return value;
}

__device__ __forceinline__ uint32_t part_address(uint32_t shared, int part) {
    return cluster_merge ? in_block(shared, part / kv_warps) : shared;
}

// The weight of each part in a row, and the row's maximum and sum over all parts.
template <int parts, class Load>
__device__ __forceinline__ float2 weigh(float (&weights)[parts], float scale_log2, Load&& load) {
    float2 statistics[parts];
    float maximum = -INFINITY;
#pragma unroll
    for (int part = 0; part < parts; ++part) {
        statistics[part] = load(part);
        maximum = fmaxf(maximum, statistics[part].x);
    }
    const float base = finite_maximum(maximum);
    float sum = 0.0f;
#pragma unroll
    for (int part = 0; part < parts; ++part) {
        weights[part] = exp2_approximate((statistics[part].x - base) * scale_log2);
        sum += weights[part] * statistics[part].y;
    }
    return {maximum, sum};
}

// A fragment of 16 rows and 8 features as the lane holds it: two features of an upper row, then of a lower one. The
// statistics are maximum and sum of these rows over all keys merged so far.
struct Fragment {
    int m, n;
    float4 values;
    float2 upper, lower;
};

// Neighbouring fragments that one of `parts` warps finishes at once: two, whose 32 bytes of a row are stored together,
// where that deals all of them out evenly.
template <int parts>
constexpr int run_of = value_fragments % (2 * parts) == 0 ? 2 : 1;

// The fragments that `part` of `parts` is to finish, each as the weighted sum over `shares`. Fragments are dealt out so
// that all warps work; `emit` gets a run of them.
template <int shares, int parts, class LoadStatistics, class LoadFragment, class Emit>
__device__ __forceinline__ void merge_fragments(
    int part, float scale_log2, LoadStatistics&& load_statistics_of, LoadFragment&& load_fragment_of, Emit&& emit) {
#pragma unroll
    for (int m = 0; m < row_fragments; ++m) {
        constexpr int run = run_of<parts>;
        Fragment fragments[run];
        float upper[shares], lower[shares];
        const float2 upper_row = weigh(upper, scale_log2, [&](int share) { return load_statistics_of(share, m, 0); });
        const float2 lower_row = weigh(lower, scale_log2, [&](int share) { return load_statistics_of(share, m, 1); });
        constexpr int turns = (value_fragments + run * parts - 1) / (run * parts);
        constexpr bool even = value_fragments % parts == 0;
        const int dealt = m * value_fragments % parts;
        const int first = even ? part * turns : part >= dealt ? part - dealt : part - dealt + parts;
#pragma unroll
        for (int turn = 0; turn < turns; ++turn) {
            const int n = (first + turn * (even ? 1 : parts)) * run;
            if (!even && turn == turns - 1 && n >= value_fragments) break;
#pragma unroll
            for (int i = 0; i < run; ++i) {
                float4 values[shares], sum = {0.0f, 0.0f, 0.0f, 0.0f};
#pragma unroll
                for (int share = 0; share < shares; ++share)
                    values[share] = load_fragment_of(share, m, turn * run + i, n + i);
#pragma unroll
                for (int share = 0; share < shares; ++share) {
                    sum.x += upper[share] * values[share].x;
                    sum.y += upper[share] * values[share].y;
                    sum.z += lower[share] * values[share].z;
                    sum.w += lower[share] * values[share].w;
                }
                fragments[i] = {m, n + i, sum, upper_row, lower_row};
            }
            emit(fragments);
        }
    }
}

// Hands to `emit` the merged fragments that fall to this warp, of all warps of the block or cluster.
template <class Emit>
__device__ __forceinline__ void merge_on_chip(
    const Output& output, const RowStatistics& statistics, uint32_t shared, const Place& place, float scale_log2,
    Emit&& emit) {
    const uint32_t partials = shared + merge_offset, rows = partials + partials_bytes;
    const int first_row = place.warp_row() + place.lane / 4;
    const int own = place.rank * kv_warps + place.kv_warp, own_first = keeps_own ? own * part_fragments : 0;
    // The memory may hold K and V that other warps still read.
    if constexpr (!merge_apart) synchronise_compute_warps();
#pragma unroll
    for (int m = 0; m < row_fragments; ++m) {
#pragma unroll
        for (int n = keeps_own ? part_fragments : 0; n < value_fragments; ++n) {
            const float* values = output[m][n];
            store_shared(
                partials + fragment_offset(place.kv_warp, place.row_warp, m * value_fragments + (n ^ own_first), place.lane),
                float4{values[0], values[1], values[2], values[3]});
        }
        if (place.lane % 4 < 2) {
            const bool upper = place.lane % 4 == 0;
            const float2 row = {upper ? statistics.maximum[m][0] : statistics.maximum[m][1],
                                upper ? statistics.sum(m, 0) : statistics.sum(m, 1)};
            store_shared(rows + statistics_offset(place.kv_warp, first_row + m * 16 + (upper ? 0 : 8)), row);
        }
    }
    if constexpr (cluster_merge) {
        synchronise_cluster();
    } else {
        synchronise_compute_warps();
    }
    merge_fragments<merge_parts, merge_parts>(
        own, scale_log2,
        [&](int share, int m, int half) {
            if (keeps_own && share == 0) return float2{statistics.maximum[m][half], statistics.sum(m, half)};
            const int part = keeps_own ? own ^ share : share;
            return load_statistics(
                part_address(rows, part) + statistics_offset(part % kv_warps, first_row + m * 16 + half * 8));
        },
        [&](int share, int m, int place_in_own, int n) {
            const float* values = output[m][place_in_own];
            if (keeps_own && share == 0) return float4{values[0], values[1], values[2], values[3]};
            const int part = keeps_own ? own ^ share : share;
            return load_fragment(
                part_address(partials, part) +
                fragment_offset(part % kv_warps, place.row_warp, m * value_fragments + n, place.lane));
        },
        emit);
    // Another block may still be reading this one's shared memory.
    if constexpr (cluster_merge) synchronise_cluster();
}

// How many shares of a block of queries have arrived. atomicInc wraps to 0 at the last, so each call leaves zeros.
__device__ unsigned arrived_shares[workspace_merge ? split_blocks_most : 1];

// A share's partial output and statistics in the workspace, laid out as in shared memory.
__device__ __forceinline__ char* share_in_workspace(float* workspace, int block, int split) {
    constexpr int floats = tile_m * (head_dim + 2);
    return reinterpret_cast<char*>(workspace + (int64_t(block) * split_kv + split) * floats);
}

__device__ __forceinline__ void store_share(char* share, const Fragment& fragment, const Place& place) {
    const int index = fragment.m * value_fragments + fragment.n;
    *reinterpret_cast<float4*>(share + fragment_offset(0, place.row_warp, index, place.lane)) = fragment.values;
    if (fragment.n == 0 && place.lane % 4 == 0) {
        const int row = place.warp_row() + place.lane / 4 + fragment.m * 16;
        char* const rows = share + tile_m * head_dim * 4;
        *reinterpret_cast<float2*>(rows + statistics_offset(0, row)) = fragment.upper;
        *reinterpret_cast<float2*>(rows + statistics_offset(0, row + 8)) = fragment.lower;
    }
}

// True in the block whose share of the keys arrived last; it sees what the others stored.
__device__ __forceinline__ bool arrived_last(int block, uint32_t shared, int thread) {
    __threadfence();
    synchronise_compute_warps();
    if (thread == 0) {
        const unsigned before = atomicInc(&arrived_shares[block], split_kv - 1);
        __threadfence();
        asm volatile("st.shared.u32 [%0], %1;" :: "r"(shared + flag_offset), "r"(before) : "memory");
    }
    synchronise_compute_warps();
    unsigned before;
    asm volatile("ld.shared.u32 %0, [%1];" : "=r"(before) : "r"(shared + flag_offset) : "memory");
    return before == split_kv - 1;
}

template <class Emit>
__device__ __forceinline__ void merge_shares(
    float* workspace, int block, const Place& place, float scale_log2, Emit&& emit) {
    const int first_row = place.warp_row() + place.lane / 4;
    merge_fragments<split_kv, kv_warps>(
        place.kv_warp, scale_log2,
        [&](int split, int m, int half) {
            const char* rows = share_in_workspace(workspace, block, split) + tile_m * head_dim * 4;
            return __ldcg(
                reinterpret_cast<const float2*>(rows + statistics_offset(0, first_row + m * 16 + half * 8)));
        },
        [&](int split, int m, int, int n) {
            const char* share = share_in_workspace(workspace, block, split);
            return __ldcg(reinterpret_cast<const float4*>(
                share + fragment_offset(0, place.row_warp, m * value_fragments + n, place.lane)));
        },
        emit);
}
