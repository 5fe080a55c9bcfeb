// Barriers: named barriers among warps, mbarriers between producer and consumer warps, and the cluster barrier.
#pragma once

#include <cstdint>

#include "configuration.cuh"

// Named barriers: 1 to 8 belong to the KV groups, 14 to all threads, 15 to all compute warps.
constexpr int init_barrier = 14, compute_barrier = 15;

template <int participants>
__device__ __forceinline__ void sync_named_barrier(int barrier) {
    if constexpr (participants == 32) {
        __syncwarp();
    } else {
        asm volatile("bar.sync %0, %1;" :: "r"(barrier), "n"(participants) : "memory");
    }
}

// Arrive without waiting; other warps wait at the barrier.
template <int participants>
__device__ __forceinline__ void arrive_named_barrier(int barrier) {
    asm volatile("bar.arrive %0, %1;" :: "r"(barrier), "n"(participants) : "memory");
}

__device__ __forceinline__ void sync_compute_warps() { sync_named_barrier<compute_threads>(compute_barrier); }

__device__ __forceinline__ void init_mbarrier(uint32_t mbarrier, int arrivals) {
    asm volatile("mbarrier.init.shared.b64 [%0], %1;" :: "r"(mbarrier), "r"(arrivals) : "memory");
}

__device__ __forceinline__ void arrive_mbarrier(uint32_t mbarrier) {
    asm volatile("{ .reg .b64 state; mbarrier.arrive.shared.b64 state, [%0]; }" :: "r"(mbarrier) : "memory");
}

// Arrive once all earlier cp.async of this thread have completed.
__device__ __forceinline__ void arrive_mbarrier_after_copies(uint32_t mbarrier) {
    asm volatile("cp.async.mbarrier.arrive.noinc.shared.b64 [%0];" :: "r"(mbarrier) : "memory");
}

// Wait until the phase of parity `parity` is complete.
__device__ __forceinline__ void wait_mbarrier(uint32_t mbarrier, uint32_t parity) {
    uint32_t done = 0;
    while (done == 0) {
#if __CUDA_ARCH__ >= 900
        asm volatile("{ .reg .pred p; mbarrier.try_wait.parity.shared.b64 p, [%1], %2; selp.u32 %0, 1, 0, p; }"
            : "=r"(done) : "r"(mbarrier), "r"(parity) : "memory");
#else
        asm volatile("{ .reg .pred p; mbarrier.test_wait.parity.shared.b64 p, [%1], %2; selp.u32 %0, 1, 0, p; }"
            : "=r"(done) : "r"(mbarrier), "r"(parity) : "memory");
#endif
    }
}

// Synchronize every thread of every CTA of the cluster; shared memory written before is visible after.
__device__ __forceinline__ void sync_cluster() {
#if __CUDA_ARCH__ >= 900
    asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::: "memory");
#endif
}

// The shared::cluster address of `address` in the shared memory of the CTA with rank `cta_rank`.
__device__ __forceinline__ uint32_t map_to_cta(uint32_t address, int cta_rank) {
    uint32_t mapped = address;
#if __CUDA_ARCH__ >= 900
    asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(mapped) : "r"(address), "r"(cta_rank));
#endif
    return mapped;
}
