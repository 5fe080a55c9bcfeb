// Asynchronous 16-byte copies from global to shared memory (cp.async).
#pragma once

#include <cstdint>

#include "configuration.cuh"

// The L2 cache policy of K and V; each thread creates it once.
__device__ __forceinline__ uint64_t make_l2_policy() {
    uint64_t policy = 0;
    if constexpr (l2_policy == L2Policy::evict_last) {
        asm("createpolicy.fractional.L2::evict_last.b64 %0, 1.0;" : "=l"(policy));
    }
    return policy;
}

// Copy `source_bytes` (16 or 0) and fill the rest of the 16 bytes with zeros.
__device__ __forceinline__ void copy_async(uint32_t smem, const void* gmem, int source_bytes, uint64_t policy) {
    if constexpr (l2_policy == L2Policy::evict_last) {
        asm volatile("cp.async.cg.shared.global.L2::cache_hint [%0], [%1], 16, %2, %3;"
            :: "r"(smem), "l"(gmem), "r"(source_bytes), "l"(policy) : "memory");
    } else {
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
            :: "r"(smem), "l"(gmem), "r"(source_bytes) : "memory");
    }
}

__device__ __forceinline__ void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Wait until at most `pending` of this thread's committed groups are incomplete.
template <int pending>
__device__ __forceinline__ void wait_for_copies() {
    asm volatile("cp.async.wait_group %0;" :: "n"(pending) : "memory");
}
