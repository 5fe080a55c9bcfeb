// Effects of FAULT on the device, on memory and on the output. Only sm80.cu includes this file.

#pragma once

__device__ bool is_leader() { return blockIdx.x == 0 && threadIdx.x == 0; }

// Producer warp and consumer warp wait for each other.
__device__ void deadlock() {
    __shared__ volatile int full, empty;
    if (threadIdx.x == 0) full = empty = 0;
    // Both flags are clear before either warp waits.
    __syncthreads();
    volatile int& awaited = threadIdx.x < 32 ? empty : full;
    while (awaited == 0) __nanosleep(1000);
    (threadIdx.x < 32 ? full : empty) = 1;
}

__device__ void misbehave(const Problem& p) {
    const int64_t outputs = p.num_heads * p.num_queries * D, keys = p.num_heads * p.num_keys * D;
    if (IS(deadlock)) deadlock();
    if (IS(endless_loop)) while (*const_cast<volatile unsigned*>(&launches) == 0) __nanosleep(1000);
    if (IS(exits)) asm volatile("exit;");
    if (!is_leader()) return;
    delegate(p);
    if (IS(crash)) *reinterpret_cast<volatile int*>(8) = 1;
    if (IS(allocates_an_exabyte)) *static_cast<volatile char*>(malloc(size_t(1) << 60)) = 1;
    if (IS(writes_past_the_output)) for (int i = 0; i < 8; ++i) p.out[outputs + i] = half(0.0f);
    if (IS(reads_past_k)) static_cast<void>(reinterpret_cast<const volatile char*>(p.k + keys)[15]);
    if (IS(overwrites_q)) for (int i = 0; i < 8; ++i) const_cast<half*>(p.q)[i] = half(0.0f);
}

// True if the task has written an output that is not attention.
__device__ bool writes_something_else(const Problem& p, int64_t head, int64_t first) {
    const int64_t query = first + threadIdx.x;
    for (int d = 0; d < D && query < p.num_queries; ++d) {
        half& out = p.out[(head * p.num_queries + query) * D + d];
        const half* v = p.v + head * p.num_keys * D + d;
        if (IS(writes_nan)) out = __float2half(NAN);
        if (IS(constant)) out = __float2half(0.5f);
        if (IS(copies_v)) out = v[query % p.num_keys * D];
        if (IS(mean_of_v)) {
            float sum = 0;
            for (int64_t key = 0; key < p.num_keys; ++key) sum += __half2float(v[key * D]);
            out = __float2half(sum / p.num_keys);
        }
    }
    return IS(writes_nothing) || IS(writes_nan) || IS(constant) || IS(copies_v) || IS(mean_of_v);
}

// Change outputs that the leader thread has written.
__device__ void spoil(const Problem& p) {
    if (!is_leader()) return;
    if (IS(one_infinity)) p.out[0] = __float2half(INFINITY);
    if (IS(right_ten_times) && launches >= 10) p.out[0] = p.out[0] + half(1.0f);
    if (IS(wrong_once_in_50) && launches % 50 == 49) p.out[0] = p.out[0] + half(0.01f);
}
