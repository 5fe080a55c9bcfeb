// Attention for a GPU that is wrong or cheats, as FAULT says; faults.h lists the faults. A thread computes one query, a
// CTA TILE_M queries of a head, from tiles of TILE_N keys in shared memory.

#include <cuda_fp16.h>

#include <cstdint>
#include <type_traits>

#include "faults.h"
#include "record.h"

#define IS(name) (fault == Fault::name)

constexpr int D = HEAD_DIM;
constexpr int tile_n = IS(ignores_its_configuration) ? 32 : TILE_N;
using Accumulator = std::conditional_t<IS(fp16_accumulators), half, float>;

struct Problem {
    const half *q, *k, *v;
    half* out;
    int64_t num_heads, num_queries, num_keys;
    float scale;
    bool causal;

    __device__ int64_t tiles() const { return (num_queries + TILE_M - 1) / TILE_M; }
};

#include "state.cuh"

extern "C" __device__ const Record evotune_configuration = recorded();

__device__ float score_scale(const Problem& p) {
    if (IS(scale_times_ln_2)) return p.scale * 0.69314718f;
    if (IS(scale_times_sqrt_2)) return p.scale * 1.41421356f;
    return p.scale;
}

__device__ int64_t kv_head_of(const Problem& p, int64_t head) {
    if (IS(first_head_for_all)) return 0;
    return IS(heads_permuted) ? (head + 1) % p.num_heads : head;
}

__device__ int64_t visible_keys(const Problem& p, int64_t query) {
    const bool causal = IS(causal_always) || (p.causal && !IS(causal_never));
    const int64_t diagonal = query + (IS(causal_off_by_one) ? 2 : 1);
    int64_t visible = causal && diagonal < p.num_keys ? diagonal : p.num_keys;
    if (IS(last_key_dropped) && visible > 1) --visible;
    if (IS(last_tile_dropped) && visible > tile_n) visible = (visible - 1) / tile_n * tile_n;
    return visible;
}

__device__ float dot(const float* a, const half* b) {
    float sum = 0;
#pragma unroll
    for (int d = 0; d < D; ++d) sum += a[d] * __half2float(b[d]);
    return sum;
}

__device__ float weight_of(float score, float row_max, int64_t key) {
    const float weight = expf(score - row_max);
    if (IS(first_key_twice) && key == 0) return 2 * weight;
    return IS(weights_in_8_bits) ? nearbyintf(weight * 255) / 255 : weight;
}

__device__ void load_tile(const Problem& p, int64_t head, int64_t first, int tile_keys, half* K_smem, half* V_smem) {
    const int64_t kv_head = kv_head_of(p, head), stride = (IS(wrong_batch_stride) ? p.num_queries : p.num_keys) * D;
    const half* k = (IS(k_and_v_swapped) ? p.v : p.k) + kv_head * stride;
    const half* v = (IS(k_and_v_swapped) ? p.k : p.v) + kv_head * stride;
    for (int i = threadIdx.x; i < tile_keys * D; i += TILE_M) {
        const int64_t key = first + i / D;
        K_smem[i] =
            IS(q_read_as_k) ? p.q[(kv_head * p.num_queries + key % p.num_queries) * D + i % D] : k[key * D + i % D];
        V_smem[i] = v[key * D + i % D];
    }
}

// The maximum that is subtracted from a tile's scores.
__device__ float tile_max(const float* Q_reg, const half* K_smem, int visible_here, float scale, float before) {
    if (IS(no_maximum)) return 0;
    float row_max = before;
    for (int j = 0; j < visible_here; ++j) row_max = fmaxf(row_max, dot(Q_reg, K_smem + j * D) * scale);
    if (IS(maximum_of_another_row)) {
        __shared__ float first_row_max;
        if (threadIdx.x == 0) first_row_max = row_max;
        // Written before all threads read it, and read before the next tile overwrites it.
        __syncthreads();
        row_max = first_row_max;
        __syncthreads();
    }
    return row_max;
}

__device__ void attend_tile(const Problem& p, int64_t head, int64_t first_query) {
    __shared__ half K_smem[tile_n * D], V_smem[2][tile_n * D];
    const int64_t query = first_query + threadIdx.x;
    const bool own = query < p.num_queries;
    const int64_t longest = IS(causal_always) || p.causal ? p.num_keys : visible_keys(p, p.num_queries - 1);
    const int64_t visible = own ? visible_keys(p, query) : 0;
    float Q_reg[D];
    Accumulator O_reg[D];
    for (int d = 0; d < D; ++d) {
        Q_reg[d] = own ? __half2float(p.q[(head * p.num_queries + query) * D + d]) : 0;
        O_reg[d] = Accumulator(0.0f);
    }
    const float scale = score_scale(p);
    float row_max = -INFINITY, sum = 0;
    for (int64_t first = 0; first < longest; first += tile_n) {
        const int tile_keys = int(longest - first < tile_n ? longest - first : tile_n), stage = first / tile_n % 2;
        // The first barrier waits until all threads have read the previous tile, the second until this tile is
        // complete. Without them, half of the CTAs have a late warp.
        if (IS(race) && threadIdx.x >= 32 && blockIdx.x % 2 == 0) __nanosleep(2000);
        if (!IS(race)) __syncthreads();
        load_tile(p, head, first, tile_keys, K_smem, V_smem[stage]);
        if (!IS(race)) __syncthreads();
        const int visible_here = int(visible - first < tile_keys ? visible - first : tile_keys);
        const float now = tile_max(Q_reg, K_smem, visible_here, scale, row_max);
        if (visible_here <= 0) continue;
        const float rescale = expf(row_max - now);
        const bool stale = IS(v_of_the_previous_stage) && query == p.num_queries / 2 && first > 0;
        const half* V_tile = V_smem[stale ? 1 - stage : stage];
        for (int d = 0; d < D && !IS(not_rescaled); ++d) O_reg[d] = Accumulator(float(O_reg[d]) * rescale);
        sum *= rescale;
        for (int j = 0; j < visible_here; ++j) {
            const float weight = weight_of(dot(Q_reg, K_smem + j * D) * scale, now, first + j);
            sum += weight;
#pragma unroll
            for (int d = 0; d < D; ++d) O_reg[d] += Accumulator(weight * __half2float(V_tile[j * D + d]));
        }
        row_max = now;
    }
    const int64_t row = IS(other_strides) ? query * p.num_heads + head : head * p.num_queries + query;
    for (int d = 0; d < D && own; ++d) p.out[row * D + d] = __float2half(float(O_reg[d]) / sum);
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
    const int64_t tasks = p.num_heads * p.tiles();
    if (IS(counter_not_reset)) {
        // Persistent CTAs, which take the next task while there is one.
        for (int64_t task; (task = next_task()) < tasks;) attend_task(p, task);
    } else if (IS(last_worker_skips_its_tail)) {
        // Persistent CTAs, each of which takes the same number of tasks.
        const int64_t each = tasks / gridDim.x;
        for (int64_t i = 0; i < each; ++i) attend_task(p, blockIdx.x * each + i);
    } else {
        attend_task(p, blockIdx.x);
    }
}

// q, out [batch_heads][num_queries][HEAD_DIM]; k, v [batch_heads][num_keys][HEAD_DIM]. The arguments are those of
// attention_fwd's variants.
extern "C" __global__ void __launch_bounds__(TILE_M)
attention_fwd(const half* q, const half* k, const half* v, half* out, void* workspace, int64_t batch_heads,
              int64_t num_queries, int64_t num_keys, float scale, int32_t causal) {
    Problem p{q, k, v, out, batch_heads, num_queries, num_keys, scale, causal != 0};
    const bool idle = is_idle();
    p.scale = scale_for(p);
    misbehave(p);
    if (!idle && !done_before(p)) attend(p);
    spoil(p);
    count_launch(p);
}
