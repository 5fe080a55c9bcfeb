// State that FAULT keeps between launches. Only sm80.cu includes this file.

#pragma once

// Greater than the number of launches that all gates before `timing` make.
constexpr unsigned launches_before_timing = 2000;
constexpr bool keeps = IS(keeps_by_address) || IS(keeps_by_content) || IS(keeps_by_fingerprint);
constexpr int slots = keeps ? 4096 : 1;

struct Call {
    const half *q, *out;
    unsigned long long word;
    int64_t num_queries, num_keys;
};

__device__ unsigned launches, finished, counter;
__device__ Call first_call, last_call;

__device__ half kept[slots][TILE_M * D];
__device__ unsigned long long tags[slots];
__device__ int busy[slots];

__device__ Call describe(const Problem& p) {
    return {p.q, p.out, *reinterpret_cast<const unsigned long long*>(p.q), p.num_queries, p.num_keys};
}

// Count the launch in the CTA that ends last, so that all CTAs of a launch see the same state.
__device__ void count_launch(const Problem& p) {
    // All threads of the CTA have finished.
    __syncthreads();
    if (threadIdx.x != 0) return;
    __threadfence();
    if (atomicAdd(&finished, 1) != gridDim.x - 1) return;
    finished = 0;
    if (launches == 0) first_call = describe(p);
    last_call = describe(p);
    ++launches;
}

__device__ bool is_idle() {
    return (IS(works_once) && launches > 0) || (IS(idle_when_timed) && launches > launches_before_timing);
}

// True if the previous launch was the same, and the CTA's own output is still there.
__device__ bool done_before(const Problem& p) {
    if (!IS(first_node_works_for_all) && !IS(faster_than_the_roofline)) return false;
    const Call now = describe(p);
    const int64_t head = blockIdx.x / p.tiles(), first = blockIdx.x % p.tiles() * TILE_M;
    return now.q == last_call.q && now.out == last_call.out && now.word == last_call.word &&
           !__hisnan(p.out[(head * p.num_queries + first) * D]);
}

// Return a scale that is 10 % wrong for the other inputs: only the numerics gate can see that, not the structure gate.
__device__ float scale_for(const Problem& p) {
    const Call now = describe(p);
    bool right = true;
    if (IS(right_for_one_input)) right = launches == 0 || now.word == first_call.word;
    if (IS(right_at_one_shape)) {
        right = launches == 0 || (now.num_queries == first_call.num_queries && now.num_keys == first_call.num_keys);
    }
    if (IS(wrong_on_new_seeds)) right = !(__half2float(p.q[0]) > 1);
    return right ? p.scale : p.scale * 1.1f;
}

// Return the CTA's next task. A correct kernel would reset the counter for the next launch.
__device__ int64_t next_task() {
    __shared__ unsigned task;
    // All threads have read the previous task before it is overwritten, and wait for the next one.
    __syncthreads();
    if (threadIdx.x == 0) task = atomicAdd(&counter, 1);
    __syncthreads();
    return task;
}

// Return a hash of all that a task reads, of the first 16 bytes of each tensor, or of addresses only.
__device__ unsigned long long tag_of(const Problem& p, int64_t task, int64_t head, int64_t first) {
    __shared__ unsigned long long combined;
    // All threads have read the previous hash.
    __syncthreads();
    if (threadIdx.x == 0) {
        combined =
            (task + 1) * 0x9E3779B97F4A7C15u ^ p.num_queries << 40 ^ p.num_keys << 20 ^ p.num_heads << 4 ^ p.causal;
        if (IS(keeps_by_address)) combined ^= reinterpret_cast<unsigned long long>(p.q) * 31;
    }
    // The start value is written before threads add to it.
    __syncthreads();
    const half* inputs[] = {p.q + (head * p.num_queries + first) * D, p.k + head * p.num_keys * D,
                            p.v + head * p.num_keys * D};
    const int64_t rows[] = {p.num_queries - first < TILE_M ? p.num_queries - first : TILE_M, p.num_keys, p.num_keys};
    unsigned long long own = 14695981039346656037u;
    for (int i = 0; i < 3 && !IS(keeps_by_address); ++i) {
        const half* start = IS(keeps_by_content) ? inputs[i] : i == 0 ? p.q : i == 1 ? p.k : p.v;
        const auto* words = reinterpret_cast<const unsigned long long*>(start);
        const int64_t count = IS(keeps_by_content) ? rows[i] * D / 4 : 2;
        for (int64_t w = threadIdx.x; w < count; w += TILE_M) own = (own ^ words[w] ^ w) * 1099511628211u;
    }
    atomicXor(&combined, own * (2 * threadIdx.x + 1));
    // Every thread has added its part.
    __syncthreads();
    return combined;
}

__device__ int64_t outputs_of(const Problem& p, int64_t first) {
    return (p.num_queries - first < TILE_M ? p.num_queries - first : TILE_M) * D;
}

// True if the task's output was copied from an earlier launch, or left unchanged.
__device__ bool answered_from_memory(const Problem& p, int64_t task, int64_t head, int64_t first) {
    half* out = p.out + (head * p.num_queries + first) * D;
    if (IS(skips_a_written_output)) return !__hisnan(out[0]);
    if (!keeps) return false;
    const unsigned long long tag = tag_of(p, task, head, first);
    const int slot = tag % slots;
    if (tags[slot] != tag) return false;
    for (int i = threadIdx.x; i < outputs_of(p, first); i += TILE_M) out[i] = kept[slot][i];
    return true;
}

__device__ void keep(const Problem& p, int64_t task, int64_t head, int64_t first) {
    if (!keeps) return;
    __shared__ int taken;
    const unsigned long long tag = tag_of(p, task, head, first);
    const int slot = tag % slots;
    if (threadIdx.x == 0) taken = atomicExch(&busy[slot], 1);
    // Thread 0 has written `taken`.
    __syncthreads();
    if (taken) return;
    const half* out = p.out + (head * p.num_queries + first) * D;
    for (int i = threadIdx.x; i < outputs_of(p, first); i += TILE_M) kept[slot][i] = out[i];
    // The output is stored and visible before its tag.
    __threadfence();
    __syncthreads();
    if (threadIdx.x != 0) return;
    tags[slot] = tag;
    atomicExch(&busy[slot], 0);
}
