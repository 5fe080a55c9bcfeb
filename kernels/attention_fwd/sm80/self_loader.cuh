// Compute warps that copy their own KV tiles. Each KV group copies only the keys that it multiplies, so only its own
// warps meet at a barrier. The groups run independently until their outputs are merged.
#pragma once

#include <cstdint>

#include "barrier.cuh"
#include "loading.cuh"
#include "schedule.cuh"
#include "shared_memory.cuh"
#include "tensors.cuh"

class SelfLoader {
  public:
    static constexpr int group_threads = 32 * row_warps;

    __device__ __forceinline__ SelfLoader(uint32_t smem, int kv_warp_id, int thread_in_group)
        : smem_(smem), group_offset_(kv_warp_id * keys_per_warp * row_bytes), group_key_(kv_warp_id * keys_per_warp),
          barrier_(1 + kv_warp_id), thread_in_group_(thread_in_group), policy_(make_l2_policy()) {}

    // Start the copies of the first tiles. Copy groups are committed in the order K0 V0 K1 V1 ..., here and later.
    __device__ __forceinline__ void start(
        const WorkItem& item, Matrix<const uint16_t> K, Matrix<const uint16_t> V, int num_keys) {
        item_ = item;
        K_ = K;
        V_ = V;
        num_keys_ = num_keys;
        stage_ = 0;
        previous_stage_ = num_stages - 1;
#pragma unroll 1
        for (int t = 0; t < num_stages; ++t) {
            load_k(t, t);
            if (!q_overlaps_v || t + 1 < num_stages) load_v(t, t);
        }
    }

    // Wait for the copies that were committed before `start`.
    __device__ __forceinline__ void wait_for_q() {
        wait_for_copies<(q_overlaps_v ? 2 * num_stages - 1 : 2 * num_stages)>();
    }

    // Start the copy that `start` left out because Q was in its memory.
    __device__ __forceinline__ void start_last_v() { load_v(num_stages - 1, num_stages - 1); }

    // Wait for K of tile t, and return its address.
    __device__ __forceinline__ uint32_t acquire_k(int t) {
        if (t == 0) {
            wait_for_copies<2 * num_stages - 1>();
        } else {
            wait_for_copies<(steps_per_tile == 1 ? 2 * num_stages - 2 : 2 * num_stages - 3)>();
            advance();
        }
        // Makes the whole group's copies visible, and ensures that every warp is done with tile t - 1, whose memory the
        // next copies overwrite.
        sync_group();
        if (t > 0) {
            if constexpr (steps_per_tile > 1) load_k(t - 1 + num_stages, previous_stage_);
            load_v(t - 1 + num_stages, previous_stage_);
        }
        return k_of_stage(smem_, stage_) + group_offset_;
    }

    // Wait for V of tile t, and return its address.
    __device__ __forceinline__ uint32_t acquire_v(int t) {
        wait_for_copies<2 * num_stages - 2>();
        // Makes the group's copies of V visible. With one step per tile, every warp is also done with K of tile t,
        // whose memory the next copy overwrites.
        sync_group();
        if constexpr (steps_per_tile == 1) load_k(t + num_stages, stage_);
        return v_of_stage(smem_, stage_) + group_offset_;
    }

    // Wait for V of tile t while scores run a step ahead; K of tile t + 1 may still be in flight.
    __device__ __forceinline__ uint32_t acquire_v_behind(int t) {
        wait_for_copies<2 * num_stages - 3>();
        // Makes the group's copies of V visible.
        sync_group();
        return v_of_stage(smem_, t == 0 ? stage_ : next_stage()) + group_offset_;
    }

    // Wait for K of tile t + 1 (and V of tile t) while scores run a step ahead.
    __device__ __forceinline__ uint32_t acquire_k_ahead(int t, bool) {
        if (t == 0) {
            wait_for_copies<2 * num_stages - 3>();
        } else {
            wait_for_copies<2 * num_stages - 4>();
            advance();
        }
        // Makes the group's copies visible, and ensures that every warp is done with K of tile t and V of tile t - 1,
        // whose memory the next copies overwrite.
        sync_group();
        if (t > 0) load_v(t - 1 + num_stages, previous_stage_);
        load_k(t + num_stages, stage_);
        return k_of_stage(smem_, next_stage()) + group_offset_;
    }

    // V of the tile before the one whose K acquire_k_ahead has just returned.
    __device__ __forceinline__ uint32_t v_acquired_with_k(int) { return v_of_stage(smem_, stage_) + group_offset_; }

    // Nothing to do: the barrier of the next acquisition also releases.
    __device__ __forceinline__ void release_k() {}
    __device__ __forceinline__ void release_v() {}

  private:
    __device__ __forceinline__ void sync_group() { sync_named_barrier<group_threads>(barrier_); }

    __device__ __forceinline__ int next_stage() const { return stage_ + 1 == num_stages ? 0 : stage_ + 1; }

    __device__ __forceinline__ void advance() {
        previous_stage_ = stage_;
        stage_ = next_stage();
    }

    // Past the last tile an empty copy group is committed, so that the wait counts stay the same.
    __device__ __forceinline__ void load_k(int t, int stage) { load(K_, t, k_of_stage(smem_, stage)); }
    __device__ __forceinline__ void load_v(int t, int stage) { load(V_, t, v_of_stage(smem_, stage)); }
    __device__ __forceinline__ void load(Matrix<const uint16_t> gmem, int t, uint32_t tile_smem) {
        if (t < item_.num_kv_tiles)
            load_rows<keys_per_warp, group_threads>(
                tile_smem + group_offset_, gmem, item_.first_key(t) + group_key_, num_keys_, thread_in_group_,
                policy_);
        commit_copies();
    }

    uint32_t smem_, group_offset_;
    int group_key_, barrier_, thread_in_group_;
    uint64_t policy_;
    WorkItem item_;
    Matrix<const uint16_t> K_, V_;
    int num_keys_, stage_, previous_stage_;
};
