// Attention for a GPU that is wrong, or cheats, as FAULT says; faults.h lists how. A thread for each query, a block for
// TILE_M queries of a head, tiles of TILE_N keys in shared memory.

#include <cuda_fp16.h>

#include <cstdint>
#include <type_traits>

#include "faults.h"
#include "record.h"

#define IS(name) (fault == Fault::name)

constexpr int D = HEAD_DIM;
constexpr int tile_n = IS(ignores_its_configuration) ? 32 : TILE_N;
using Running = std::conditional_t<IS(fp16_accumulators), half, float>;

struct Problem {
    const half *q, *k, *v;
    half* out;
    int64_t heads, queries, keys;
    float scale;
    bool causal;

    __device__ int64_t tiles() const { return (queries + TILE_M - 1) / TILE_M; }
};

#include "state.cuh"

extern "C" __device__ const Record evotune_configuration = recorded();

__device__ float score_scale(const Problem& p) {
    if (IS(scale_times_ln_2)) return p.scale * 0.69314718f;
    if (IS(scale_times_sqrt_2)) return p.scale * 1.41421356f;
    return p.scale;
}

__device__ int64_t head_met(const Problem& p, int64_t head) {
    if (IS(first_head_for_all)) return 0;
    return IS(heads_permuted) ? (head + 1) % p.heads : head;
}

__device__ int64_t visible_keys(const Problem& p, int64_t query) {
    const bool causal = IS(causal_always) || (p.causal && !IS(causal_never));
    const int64_t diagonal = query + (IS(causal_off_by_one) ? 2 : 1);
    int64_t seen = causal && diagonal < p.keys ? diagonal : p.keys;
    if (IS(last_key_dropped) && seen > 1) --seen;
    if (IS(last_tile_dropped) && seen > tile_n) seen = (seen - 1) / tile_n * tile_n;
    return seen;
}

__device__ float dot(const float* a, const half* b) {
    float sum = 0;
#pragma unroll
    for (int d = 0; d < D; ++d) sum += a[d] * __half2float(b[d]);
    return sum;
}

__device__ float weight_of(float score, float peak, int64_t key) {
    const float weight = expf(score - peak);
    if (IS(first_key_twice) && key == 0) return 2 * weight;
    return IS(weights_in_8_bits) ? nearbyintf(weight * 255) / 255 : weight;
}

__device__ void load_tile(const Problem& p, int64_t head, int64_t first, int count, half* keys, half* values) {
    const int64_t met = head_met(p, head), stride = (IS(wrong_batch_stride) ? p.queries : p.keys) * D;
    const half* k = (IS(k_and_v_swapped) ? p.v : p.k) + met * stride;
    const half* v = (IS(k_and_v_swapped) ? p.k : p.v) + met * stride;
    for (int i = threadIdx.x; i < count * D; i += TILE_M) {
        const int64_t key = first + i / D;
        keys[i] = IS(q_read_as_k) ? p.q[(met * p.queries + key % p.queries) * D + i % D] : k[key * D + i % D];
        values[i] = v[key * D + i % D];
    }
}

// The maximum from which a tile's scores are measured.
__device__ float peak_of(const float* q, const half* keys, int count, float scale, float before, int tile) {
    if (IS(no_maximum)) return 0;
    float peak = before;
    for (int j = 0; j < count; ++j) peak = fmaxf(peak, dot(q, keys + j * D) * scale);
    if (IS(maximum_of_another_row)) {
        __shared__ float first_peak;
        if (threadIdx.x == 0) first_peak = peak;
        __syncthreads();
        peak = first_peak;
        __syncthreads();
    }
    return peak;
}

__device__ void attend_tile(const Problem& p, int64_t head, int64_t first_query) {
    __shared__ half keys[tile_n * D], values[2][tile_n * D];
    const int64_t query = first_query + threadIdx.x;
    const bool own = query < p.queries;
    const int64_t longest = IS(causal_always) || p.causal ? p.keys : visible_keys(p, p.queries - 1);
    const int64_t seen = own ? visible_keys(p, query) : 0;
    float q[D];
    Running output[D];
    for (int d = 0; d < D; ++d) {
        q[d] = own ? __half2float(p.q[(head * p.queries + query) * D + d]) : 0;
        output[d] = Running(0.0f);
    }
    const float scale = score_scale(p);
    float peak = -INFINITY, total = 0;
    for (int64_t first = 0; first < longest; first += tile_n) {
        const int loaded = int(longest - first < tile_n ? longest - first : tile_n), stage = first / tile_n % 2;
        // Everybody must have read the tile before, and then must find this one whole. Where nobody waits, half of the
        // blocks have a warp that comes late.
        if (IS(race) && threadIdx.x >= 32 && blockIdx.x % 2 == 0) __nanosleep(2000);
        if (!IS(race)) __syncthreads();
        load_tile(p, head, first, loaded, keys, values[stage]);
        if (!IS(race)) __syncthreads();
        const int count = int(seen - first < loaded ? seen - first : loaded);
        const float now = peak_of(q, keys, count, scale, peak, stage);
        if (count <= 0) continue;
        const float shrink = expf(peak - now);
        const bool stale = IS(v_of_the_previous_stage) && query == p.queries / 2 && first > 0;
        const half* value = values[stale ? 1 - stage : stage];
        for (int d = 0; d < D && !IS(not_rescaled); ++d) output[d] = Running(float(output[d]) * shrink);
        total *= shrink;
        for (int j = 0; j < count; ++j) {
            const float weight = weight_of(dot(q, keys + j * D) * scale, now, first + j);
            total += weight;
#pragma unroll
            for (int d = 0; d < D; ++d) output[d] += Running(weight * __half2float(value[j * D + d]));
        }
        peak = now;
    }
    const int64_t row = IS(other_strides) ? query * p.heads + head : head * p.queries + query;
    for (int d = 0; d < D && own; ++d) p.out[row * D + d] = __float2half(float(output[d]) / total);
}

#include "elsewhere.cuh"
#include "misbehave.cuh"

__device__ void attend_task(const Problem& p, int64_t task) {
    const int64_t head = task / p.tiles(), first = task % p.tiles() * TILE_M;
    if (writes_something_else(p, head, first) || answered_from_memory(p, task, head, first)) return;
    attend_tile(p, head, first);
    keep(p, task, head, first);
}

__device__ void attend(const Problem& p) {
    const int64_t tasks = p.heads * p.tiles();
    if (IS(counter_not_reset)) {
        // Persistent blocks, which take the next task until there is none.
        for (int64_t task; (task = next_task()) < tasks;) attend_task(p, task);
    } else if (IS(last_worker_skips_its_tail)) {
        // Persistent blocks, which take the same number of tasks each.
        const int64_t each = tasks / gridDim.x;
        for (int64_t i = 0; i < each; ++i) attend_task(p, blockIdx.x * each + i);
    } else {
        attend_task(p, blockIdx.x);
    }
}

// q, out [batch_heads][queries][HEAD_DIM], k, v [batch_heads][keys][HEAD_DIM]; the arguments of attention_fwd's variants.
extern "C" __global__ void __launch_bounds__(TILE_M)
attention_fwd(const half* q, const half* k, const half* v, half* out, void* workspace, int64_t batch_heads,
              int64_t queries, int64_t keys, float scale, int32_t causal) {
    Problem p{q, k, v, out, batch_heads, queries, keys, scale, causal != 0};
    const bool idle = is_idle();
    p.scale = scale_for(p);
    misbehave(p);
    if (!idle && !done_before(p)) attend(p);
    spoil(p);
    count_launch(p);
}
