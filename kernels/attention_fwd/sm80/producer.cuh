// Producer warps that copy K and V, and the consumer's side of the pipeline. For each of K and V, each stage has one
// empty mbarrier, and one full mbarrier for each KV group. A group can start while the other groups' keys are still
// being copied, which also staggers the warps of a scheduler. After initialization, producers wait at mbarriers only.
#pragma once

#include <cstdint>

#include "barrier.cuh"
#include "loading.cuh"
#include "schedule.cuh"
#include "shared_memory.cuh"
#include "tensors.cuh"

constexpr int producer_threads = prefetch_warps > 0 ? 32 * prefetch_warps : 32;

// The stage in use and the parity of its mbarrier phase. Both continue from one work item to the next.
struct PipelineState {
    int stage = 0;
    uint32_t parity = 0;

    __device__ __forceinline__ void advance() {
        if (++stage == num_stages) {
            stage = 0;
            parity ^= 1;
        }
    }
};

constexpr int num_full_mbarriers = 2 * kv_warps * num_stages;

__device__ __forceinline__ uint32_t mbarrier_address(uint32_t smem, int index) {
    return smem + mbarriers_offset + 8 * index;
}
__device__ __forceinline__ uint32_t k_full(uint32_t smem, int stage, int kv_group) {
    return mbarrier_address(smem, 2 * stage * kv_warps + kv_group);
}
__device__ __forceinline__ uint32_t v_full(uint32_t smem, int stage, int kv_group) {
    return mbarrier_address(smem, (2 * stage + 1) * kv_warps + kv_group);
}
__device__ __forceinline__ uint32_t k_empty(uint32_t smem, int stage) {
    return mbarrier_address(smem, num_full_mbarriers + 2 * stage);
}
__device__ __forceinline__ uint32_t v_empty(uint32_t smem, int stage) {
    return mbarrier_address(smem, num_full_mbarriers + 2 * stage + 1);
}

// One thread initializes all mbarriers: spread over the lanes, a call takes 0.3 us longer (H200). Every consumer thread
// arrives at the empty mbarriers: one lane per warp is no faster, and compute-sanitizer cannot follow it.
__device__ __forceinline__ void init_pipeline(uint32_t smem) {
#pragma unroll
    for (int index = 0; index < num_full_mbarriers + 2 * num_stages; ++index)
        init_mbarrier(mbarrier_address(smem, index), index < num_full_mbarriers ? producer_threads : compute_threads);
}

// The producers' one wait for the initialization of the mbarriers; their first copies run meanwhile. Consumers only
// arrive here: the compute barrier that follows the load of Q orders them after the initialization.
class PipelineInit {
  public:
    __device__ __forceinline__ bool is_complete() const { return complete_; }

    __device__ __forceinline__ void wait() {
        if (complete_) return;
        // The initializing thread is a consumer, and arrives after it has written the mbarriers.
        sync_named_barrier<num_threads>(init_barrier);
        complete_ = true;
    }

  private:
    bool complete_ = false;
};

class Producer {
  public:
    __device__ __forceinline__ Producer(uint32_t smem, int thread_id)
        : smem_(smem), thread_id_(thread_id), policy_(make_l2_policy()) {}

    // Copy all KV tiles of an item, each as soon as its stage is free.
    __device__ __forceinline__ void produce(
        const WorkItem& item, Matrix<const uint16_t> K, Matrix<const uint16_t> V, int num_keys) {
        for (int t = 0; t < item.num_kv_tiles; ++t) {
            const int first_key = item.first_key(t), stage = state_.stage;
            // Wait until the consumers have read the stage's previous K. A stage that was never filled counts as free:
            // waiting for the parity before the first phase returns at once.
            if (init_.is_complete()) wait_mbarrier(k_empty(smem_, stage), state_.parity ^ 1);
            load_groups(K, k_of_stage(smem_, stage), first_key, num_keys, [&](int kv_group) {
                init_.wait();
                arrive_mbarrier_after_copies(k_full(smem_, stage, kv_group));
            });
            // The same for V, which consumers release later than K.
            wait_mbarrier(v_empty(smem_, stage), state_.parity ^ 1);
            load_groups(V, v_of_stage(smem_, stage), first_key, num_keys, [&](int kv_group) {
                arrive_mbarrier_after_copies(v_full(smem_, stage, kv_group));
            });
            state_.advance();
        }
        // Consumers arrive at the init barrier even for an item without tiles, so producers must arrive too.
        init_.wait();
    }

    // A thread must not exit while its copies are in flight.
    __device__ __forceinline__ void finish() {
        commit_copies();
        wait_for_copies<0>();
    }

  private:
    // Copy the rows of one KV group after the other, and call `on_loaded` after each.
    template <class OnLoaded>
    __device__ __forceinline__ void load_groups(
        Matrix<const uint16_t> gmem, uint32_t tile_smem, int first_key, int num_keys, OnLoaded&& on_loaded) {
        if (first_key + tile_n <= num_keys) {
#pragma unroll
            for (int kv_group = 0; kv_group < kv_warps; ++kv_group) {
                const int row = kv_group * keys_per_warp;
                load_full_rows<keys_per_warp, producer_threads>(
                    tile_smem + row * row_bytes, gmem, first_key + row, thread_id_, policy_);
                on_loaded(kv_group);
            }
        } else {
#pragma unroll 1
            for (int kv_group = 0; kv_group < kv_warps; ++kv_group) {
                const int row = kv_group * keys_per_warp;
                load_rows<keys_per_warp, producer_threads>(
                    tile_smem + row * row_bytes, gmem, first_key + row, num_keys, thread_id_, policy_);
                on_loaded(kv_group);
            }
        }
    }

    uint32_t smem_;
    int thread_id_;
    uint64_t policy_;
    PipelineState state_;
    PipelineInit init_;
};

class Consumer {
  public:
    __device__ __forceinline__ Consumer(uint32_t smem, int kv_warp_id)
        : smem_(smem), kv_group_(kv_warp_id), group_offset_(kv_warp_id * keys_per_warp * row_bytes) {}

    // Producers need no request. At the first item, tell them that this warp is past the mbarriers' initialization.
    __device__ __forceinline__ void start(const WorkItem&, Matrix<const uint16_t>, Matrix<const uint16_t>, int) {
        if (!arrived_) arrive_named_barrier<num_threads>(init_barrier);
        arrived_ = true;
    }
    __device__ __forceinline__ void wait_for_q() { wait_for_copies<0>(); }
    __device__ __forceinline__ void start_last_v() {}

    // Wait until K of the next tile is in shared memory, and return its address.
    __device__ __forceinline__ uint32_t acquire_k(int) {
        wait_mbarrier(k_full(smem_, k_state_.stage, kv_group_), k_state_.parity);
        return k_of_stage(smem_, k_state_.stage) + group_offset_;
    }

    __device__ __forceinline__ uint32_t acquire_v(int) {
        wait_mbarrier(v_full(smem_, v_state_.stage, kv_group_), v_state_.parity);
        return v_of_stage(smem_, v_state_.stage) + group_offset_;
    }

    __device__ __forceinline__ uint32_t acquire_v_behind(int t) { return acquire_v(t); }
    __device__ __forceinline__ uint32_t acquire_k_ahead(int t, bool has_next_tile) {
        return has_next_tile ? acquire_k(t + 1) : 0;
    }
    // V is there already, since K of the next tile was copied after it. But synccheck of compute-sanitizer requires a
    // wait for every phase.
    __device__ __forceinline__ uint32_t v_acquired_with_k(int t) { return acquire_v(t); }

    __device__ __forceinline__ void release_k() { release(k_empty(smem_, k_state_.stage), k_state_); }
    __device__ __forceinline__ void release_v() { release(v_empty(smem_, v_state_.stage), v_state_); }

  private:
    // Tell the producers that this thread has read the stage.
    __device__ __forceinline__ void release(uint32_t mbarrier, PipelineState& state) {
        arrive_mbarrier(mbarrier);
        state.advance();
    }

    uint32_t smem_;
    int kv_group_;
    uint32_t group_offset_;
    PipelineState k_state_, v_state_;
    bool arrived_ = false;
};
