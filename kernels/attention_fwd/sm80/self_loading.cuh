// Compute warps that copy their own tiles. The row_warps warps that share keys copy just those, so that only they meet at
// a barrier; groups with different keys run apart until their outputs are merged.
#pragma once

#include <cstdint>

#include "barrier.cuh"
#include "loading.cuh"
#include "schedule.cuh"
#include "shared_memory.cuh"
#include "tensors.cuh"

class SelfLoading {
  public:
    static constexpr int group_threads = 32 * row_warps;

    __device__ __forceinline__ SelfLoading(uint32_t shared, int kv_warp, int thread)
        : shared_(shared), group_offset_(kv_warp * warp_keys * row_bytes), first_key_of_group_(kv_warp * warp_keys),
          barrier_(1 + kv_warp), thread_(thread), policy_(make_l2_policy()) {}

    // Starts the copies of the first tiles. Order of the committed groups, here and later: K0 V0 K1 V1 ...
    __device__ __forceinline__ void start(
        const WorkItem& item, Matrix<const uint16_t> keys, Matrix<const uint16_t> values, int sequence) {
        item_ = item;
        keys_ = keys;
        values_ = values;
        sequence_ = sequence;
        slot_ = 0;
        previous_slot_ = stages - 1;
#pragma unroll 1
        for (int t = 0; t < stages; ++t) {
            load_keys(t, t);
            if (!queries_lie_in_values || t + 1 < stages) load_values(t, t);
        }
    }

    // Waits for what was committed before `start`.
    __device__ __forceinline__ void wait_for_queries() {
        wait_for_copies<(queries_lie_in_values ? 2 * stages - 1 : 2 * stages)>();
    }

    // The copy that `start` left out because Q was in its place.
    __device__ __forceinline__ void start_last_values() { load_values(stages - 1, stages - 1); }

    // K of tile t; from here on every warp of the group is done with tile t - 1.
    __device__ __forceinline__ uint32_t acquire_keys(int t) {
        if (t == 0) {
            wait_for_copies<2 * stages - 1>();
        } else {
            wait_for_copies<(steps == 1 ? 2 * stages - 2 : 2 * stages - 3)>();
            advance();
        }
        synchronise<group_threads>(barrier_);
        if (t > 0) {
            if constexpr (steps > 1) load_keys(t - 1 + stages, previous_slot_);
            load_values(t - 1 + stages, previous_slot_);
        }
        return keys_of_stage(shared_, slot_) + group_offset_;
    }

    // V of tile t; with one step per tile every warp of the group is done with K of tile t.
    __device__ __forceinline__ uint32_t acquire_values(int t) {
        wait_for_copies<2 * stages - 2>();
        synchronise<group_threads>(barrier_);
        if constexpr (steps == 1) load_keys(t + stages, slot_);
        return values_of_stage(shared_, slot_) + group_offset_;
    }

    // V of tile t where scores run a step ahead; K of tile t + 1 may still be under way.
    __device__ __forceinline__ uint32_t acquire_values_behind(int t) {
        wait_for_copies<2 * stages - 3>();
        synchronise<group_threads>(barrier_);
        return values_of_stage(shared_, t == 0 ? slot_ : next_slot()) + group_offset_;
    }

    // K of tile t + 1 (and V of tile t) where scores run a step ahead: every warp of the group is done with K of tile t
    // and V of tile t - 1.
    __device__ __forceinline__ uint32_t acquire_keys_ahead(int t, bool) {
        if (t == 0) {
            wait_for_copies<2 * stages - 3>();
        } else {
            wait_for_copies<2 * stages - 4>();
            advance();
        }
        synchronise<group_threads>(barrier_);
        if (t > 0) load_values(t - 1 + stages, previous_slot_);
        load_keys(t + stages, slot_);
        return keys_of_stage(shared_, next_slot()) + group_offset_;
    }

    // V of the tile before the one that acquire_keys_ahead has just returned.
    __device__ __forceinline__ uint32_t values_acquired_with_keys(int) {
        return values_of_stage(shared_, slot_) + group_offset_;
    }

    // The barrier of the next acquisition says the same.
    __device__ __forceinline__ void release_keys() {}
    __device__ __forceinline__ void release_values() {}

  private:
    __device__ __forceinline__ int next_slot() const { return slot_ + 1 == stages ? 0 : slot_ + 1; }

    __device__ __forceinline__ void advance() {
        previous_slot_ = slot_;
        slot_ = next_slot();
    }

    // Beyond the last tile an empty group is committed, which keeps the waits' counts the same.
    __device__ __forceinline__ void load_keys(int t, int slot) { load(keys_, t, keys_of_stage(shared_, slot)); }
    __device__ __forceinline__ void load_values(int t, int slot) { load(values_, t, values_of_stage(shared_, slot)); }
    __device__ __forceinline__ void load(Matrix<const uint16_t> source, int t, uint32_t target) {
        if (t < item_.tiles)
            load_rows<warp_keys, group_threads>(
                target + group_offset_, source, item_.first_key(t) + first_key_of_group_, sequence_, thread_, policy_);
        commit_copies();
    }

    uint32_t shared_, group_offset_;
    int first_key_of_group_, barrier_, thread_;
    uint64_t policy_;
    WorkItem item_;
    Matrix<const uint16_t> keys_, values_;
    int sequence_, slot_, previous_slot_;
};
