// Producer warps that copy K and V, and the consumer's side of it. Each stage has a full and an empty mbarrier for K and for
// V. Producers wait in mbarriers only: no barrier counts both roles after the one that follows their initialisation.
#pragma once

#include <cstdint>

#include "barrier.cuh"
#include "loading.cuh"
#include "schedule.cuh"
#include "shared_memory.cuh"

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

__device__ __forceinline__ uint32_t full_keys(uint32_t shared, int slot) { return shared + barriers_offset + 8 * slot; }
__device__ __forceinline__ uint32_t full_values(uint32_t shared, int slot) { return full_keys(shared, stages + slot); }
__device__ __forceinline__ uint32_t empty_keys(uint32_t shared, int slot) { return full_keys(shared, 2 * stages + slot); }
__device__ __forceinline__ uint32_t empty_values(uint32_t shared, int slot) { return full_keys(shared, 3 * stages + slot); }

// One thread sets them all: spread over lanes, this takes 0.3 us of a call longer (H200). Every consumer thread arrives at
// the empty ones: one lane for its warp is no faster, and compute-sanitizer cannot follow it.
__device__ __forceinline__ void initialise_stages(uint32_t shared) {
#pragma unroll
    for (int barrier = 0; barrier < 4 * stages; ++barrier)
        initialise_mbarrier(full_keys(shared, barrier), barrier < 2 * stages ? loader_threads : compute_threads);
}

class Producer {
  public:
    __device__ __forceinline__ Producer(uint32_t shared, int thread)
        : shared_(shared), thread_(thread), policy_(make_l2_policy()) {}

    // Copies all tiles of an item, as stages become free.
    __device__ __forceinline__ void produce(const WorkItem& item, const uint16_t* keys, const uint16_t* values, int sequence) {
        for (int t = 0; t < item.tiles; ++t) {
            const int first_key = item.first_key(t), slot = position_.slot;
            // A stage that was never filled counts as released: the parity before the first phase is complete.
            wait_for_phase(empty_keys(shared_, slot), position_.parity ^ 1);
            load(keys, keys_of_stage(shared_, slot), first_key, sequence);
            arrive_after_copies(full_keys(shared_, slot));
            wait_for_phase(empty_values(shared_, slot), position_.parity ^ 1);
            load(values, values_of_stage(shared_, slot), first_key, sequence);
            arrive_after_copies(full_values(shared_, slot));
            position_.advance();
        }
    }

    // A thread must not exit while its copies are under way.
    __device__ __forceinline__ void finish() {
        commit_copies();
        wait_for_copies<0>();
    }

  private:
    __device__ __forceinline__ void load(const uint16_t* source, uint32_t target, int first_key, int sequence) {
        load_rows<tile_n, loader_threads>(target, source, first_key, sequence, thread_, policy_);
    }

    uint32_t shared_;
    int thread_;
    uint64_t policy_;
    Position position_;
};

class Consumer {
  public:
    __device__ __forceinline__ Consumer(uint32_t shared, int kv_warp)
        : shared_(shared), group_offset_(kv_warp * warp_keys * row_bytes) {}

    // The producer loads without being asked.
    __device__ __forceinline__ void start(const WorkItem&, const uint16_t*, const uint16_t*, int) {}
    __device__ __forceinline__ void wait_for_queries() { wait_for_copies<0>(); }
    __device__ __forceinline__ void start_last_values() {}

    __device__ __forceinline__ uint32_t acquire_keys(int) {
        wait_for_phase(full_keys(shared_, keys_.slot), keys_.parity);
        return keys_of_stage(shared_, keys_.slot) + group_offset_;
    }

    __device__ __forceinline__ uint32_t acquire_values(int) {
        wait_for_phase(full_values(shared_, values_.slot), values_.parity);
        return values_of_stage(shared_, values_.slot) + group_offset_;
    }

    __device__ __forceinline__ uint32_t acquire_values_behind(int t) { return acquire_values(t); }
    __device__ __forceinline__ uint32_t acquire_keys_ahead(int t, bool more) { return more ? acquire_keys(t + 1) : 0; }
    __device__ __forceinline__ uint32_t values_acquired_with_keys(int t) { return acquire_values(t); }

    __device__ __forceinline__ void release_keys() { release(empty_keys(shared_, keys_.slot), keys_); }
    __device__ __forceinline__ void release_values() { release(empty_values(shared_, values_.slot), values_); }

  private:
    __device__ __forceinline__ void release(uint32_t barrier, Position& position) {
        arrive(barrier);
        position.advance();
    }

    uint32_t shared_, group_offset_;
    Position keys_, values_;
};
