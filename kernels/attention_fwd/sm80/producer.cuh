// Producer warps that copy K and V, and the consumer's side of it. For K and for V each stage has an empty mbarrier, and a
// full one for each group of warps that shares keys: the first groups then start while the others' keys are on their way,
// and the warps of a scheduler fall out of step. Producers wait in mbarriers only, once these are there.
#pragma once

#include <cstdint>

#include "barrier.cuh"
#include "loading.cuh"
#include "schedule.cuh"
#include "shared_memory.cuh"
#include "tensors.cuh"

constexpr int loader_threads = prefetch_warps > 0 ? 32 * prefetch_warps : 32;

// A stage and the parity of the turn it is in; both go on from one work item to the next.
struct Position {
    int slot = 0;
    uint32_t parity = 0;

    __device__ __forceinline__ void advance() {
        if (++slot == stages) {
            slot = 0;
            parity ^= 1;
        }
    }
};

constexpr int full_barriers = 2 * kv_warps * stages;

__device__ __forceinline__ uint32_t mbarrier(uint32_t shared, int number) { return shared + barriers_offset + 8 * number; }
__device__ __forceinline__ uint32_t full_keys(uint32_t shared, int slot, int group) {
    return mbarrier(shared, 2 * slot * kv_warps + group);
}
__device__ __forceinline__ uint32_t full_values(uint32_t shared, int slot, int group) {
    return mbarrier(shared, (2 * slot + 1) * kv_warps + group);
}
__device__ __forceinline__ uint32_t empty_keys(uint32_t shared, int slot) {
    return mbarrier(shared, full_barriers + 2 * slot);
}
__device__ __forceinline__ uint32_t empty_values(uint32_t shared, int slot) {
    return mbarrier(shared, full_barriers + 2 * slot + 1);
}

// One thread sets them all: spread over lanes, this takes 0.3 us of a call longer (H200). Every consumer thread arrives at
// the empty ones: one lane for its warp is no faster, and compute-sanitizer cannot follow it.
__device__ __forceinline__ void initialise_stages(uint32_t shared) {
#pragma unroll
    for (int number = 0; number < full_barriers + 2 * stages; ++number)
        initialise_mbarrier(mbarrier(shared, number), number < full_barriers ? loader_threads : compute_threads);
}

// Waits, once, for the mbarriers' initialisation; the first copies run beside it. Consumers only arrive: they learn of it
// at their first barrier.
class Initialisation {
  public:
    __device__ __forceinline__ bool seen() const { return seen_; }

    __device__ __forceinline__ void wait() {
        if (seen_) return;
        synchronise<threads>(initialisation_barrier);
        seen_ = true;
    }

  private:
    bool seen_ = false;
};

class Producer {
  public:
    __device__ __forceinline__ Producer(uint32_t shared, int thread)
        : shared_(shared), thread_(thread), policy_(make_l2_policy()) {}

    // Copies all tiles of an item, as stages become free.
    __device__ __forceinline__ void produce(
        const WorkItem& item, Matrix<const uint16_t> keys, Matrix<const uint16_t> values, int sequence) {
        for (int t = 0; t < item.tiles; ++t) {
            const int first_key = item.first_key(t), slot = position_.slot;
            // A stage that was never filled counts as released: the parity before the first phase is complete.
            if (initialisation_.seen()) wait_for_phase(empty_keys(shared_, slot), position_.parity ^ 1);
            load_groups(keys, keys_of_stage(shared_, slot), first_key, sequence, [&](int group) {
                initialisation_.wait();
                arrive_after_copies(full_keys(shared_, slot, group));
            });
            wait_for_phase(empty_values(shared_, slot), position_.parity ^ 1);
            load_groups(values, values_of_stage(shared_, slot), first_key, sequence, [&](int group) {
                arrive_after_copies(full_values(shared_, slot, group));
            });
            position_.advance();
        }
        // Consumers arrive also where there is nothing to copy.
        initialisation_.wait();
    }

    // A thread must not exit while its copies are under way.
    __device__ __forceinline__ void finish() {
        commit_copies();
        wait_for_copies<0>();
    }

  private:
    // One group's rows after the other, and `loaded` after each.
    template <class Loaded>
    __device__ __forceinline__ void load_groups(
        Matrix<const uint16_t> source, uint32_t target, int first_key, int sequence, Loaded&& loaded) {
        if (first_key + tile_n <= sequence) {
#pragma unroll
            for (int group = 0; group < kv_warps; ++group) {
                const int row = group * warp_keys;
                load_whole_rows<warp_keys, loader_threads>(
                    target + row * row_bytes, source, first_key + row, thread_, policy_);
                loaded(group);
            }
        } else {
#pragma unroll 1
            for (int group = 0; group < kv_warps; ++group) {
                const int row = group * warp_keys;
                load_rows<warp_keys, loader_threads>(
                    target + row * row_bytes, source, first_key + row, sequence, thread_, policy_);
                loaded(group);
            }
        }
    }

    uint32_t shared_;
    int thread_;
    uint64_t policy_;
    Position position_;
    Initialisation initialisation_;
};

class Consumer {
  public:
    __device__ __forceinline__ Consumer(uint32_t shared, int kv_warp)
        : shared_(shared), kv_warp_(kv_warp), group_offset_(kv_warp * warp_keys * row_bytes) {}

    // The producer loads without being asked.
    __device__ __forceinline__ void start(const WorkItem&, Matrix<const uint16_t>, Matrix<const uint16_t>, int) {
        if (!announced_) arrive_at<threads>(initialisation_barrier);
        announced_ = true;
    }
    __device__ __forceinline__ void wait_for_queries() { wait_for_copies<0>(); }
    __device__ __forceinline__ void start_last_values() {}

    __device__ __forceinline__ uint32_t acquire_keys(int) {
        wait_for_phase(full_keys(shared_, keys_.slot, kv_warp_), keys_.parity);
        return keys_of_stage(shared_, keys_.slot) + group_offset_;
    }

    __device__ __forceinline__ uint32_t acquire_values(int) {
        wait_for_phase(full_values(shared_, values_.slot, kv_warp_), values_.parity);
        return values_of_stage(shared_, values_.slot) + group_offset_;
    }

    __device__ __forceinline__ uint32_t acquire_values_behind(int t) { return acquire_values(t); }
    __device__ __forceinline__ uint32_t acquire_keys_ahead(int t, bool more) { return more ? acquire_keys(t + 1) : 0; }
    // They have landed, since the next tile's K was copied after them; but compute-sanitizer's synccheck wants every phase
    // waited for.
    __device__ __forceinline__ uint32_t values_acquired_with_keys(int t) { return acquire_values(t); }

    __device__ __forceinline__ void release_keys() { release(empty_keys(shared_, keys_.slot), keys_); }
    __device__ __forceinline__ void release_values() { release(empty_values(shared_, values_.slot), values_); }

  private:
    __device__ __forceinline__ void release(uint32_t barrier, Position& position) {
        arrive(barrier);
        position.advance();
    }

    uint32_t shared_;
    int kv_warp_;
    uint32_t group_offset_;
    Position keys_, values_;
    bool announced_ = false;
};
