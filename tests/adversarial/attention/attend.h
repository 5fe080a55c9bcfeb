// Attention for one query after the other, online over tiles of keys as in the real kernels, with the errors of FAULT
// in arithmetic and indexing.

#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "faults.h"

using Element = _Float16;
// Type of the running output.
using Accumulator = std::conditional_t<fault == Fault::fp16_accumulators, _Float16, float>;
constexpr int D = HEAD_DIM;
// A build that ignores its configuration always has the same tile of keys.
constexpr int tile_n = fault == Fault::ignores_its_configuration ? 32 : TILE_N;

struct Problem {
    const Element *q, *k, *v;
    Element* out;
    int64_t num_heads, num_queries, num_keys;
    float scale;
    bool causal;
};

namespace {

float score_scale(const Problem& p) {
    if (fault == Fault::scale_times_ln_2) return p.scale * 0.69314718f;
    if (fault == Fault::scale_times_sqrt_2) return p.scale * 1.41421356f;
    return p.scale;
}

// The head of K and V for a head of Q.
int64_t kv_head_of(const Problem& p, int64_t head) {
    if (fault == Fault::first_head_for_all) return 0;
    return fault == Fault::heads_permuted ? (head + 1) % p.num_heads : head;
}

int64_t visible_keys(const Problem& p, int64_t query) {
    const bool causal = fault == Fault::causal_always || (p.causal && fault != Fault::causal_never);
    const int64_t diagonal = query + (fault == Fault::causal_off_by_one ? 2 : 1);
    int64_t visible = causal && diagonal < p.num_keys ? diagonal : p.num_keys;
    if (fault == Fault::last_key_dropped && visible > 1) --visible;
    if (fault == Fault::last_tile_dropped && visible > tile_n) visible = (visible - 1) / tile_n * tile_n;
    return visible;
}

int64_t key_row(const Problem& p, int64_t key) { return fault == Fault::q_read_as_k ? key % p.num_queries : key; }

float dot(const Element* a, const Element* b) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int d = 0; d < D; ++d) sum += float(a[d]) * float(b[d]);
    return sum;
}

float rounded_weight(float weight) {
    return fault == Fault::weights_in_8_bits ? std::nearbyint(weight * 255) / 255 : weight;
}

// The maximum that a tile's scores are measured from; `first_row_max` is that of the tile's first query.
float tile_max(const float* scores, int count, float before, float first_row_max) {
    if (fault == Fault::no_maximum) return 0;
    if (fault == Fault::maximum_of_another_row && first_row_max > -INFINITY) return first_row_max;
    float row_max = before;
    for (int j = 0; j < count; ++j) row_max = scores[j] > row_max ? scores[j] : row_max;
    return row_max;
}

// Write the output of one query, and return the maximum of its scores.
float attend_query(const Problem& p, int64_t head, int64_t query, float first_row_max) {
    const int64_t kv_head = kv_head_of(p, head), visible = visible_keys(p, query);
    const int64_t stride = (fault == Fault::wrong_batch_stride ? p.num_queries : p.num_keys) * D;
    const Element* q = p.q + (head * p.num_queries + query) * D;
    const Element* k = (fault == Fault::k_and_v_swapped ? p.v : p.k) + kv_head * stride;
    const Element* v = (fault == Fault::k_and_v_swapped ? p.k : p.v) + kv_head * stride;
    if (fault == Fault::q_read_as_k) k = p.q + kv_head * p.num_queries * D;
    Accumulator output[D] = {};
    float row_max = -INFINITY, sum = 0;
    for (int64_t first = 0; first < visible; first += tile_n) {
        const int count = int(visible - first < tile_n ? visible - first : tile_n);
        float scores[tile_n];
        for (int j = 0; j < count; ++j) scores[j] = dot(q, k + key_row(p, first + j) * D) * score_scale(p);
        const float now = tile_max(scores, count, row_max, first_row_max), rescale = std::exp(row_max - now);
        const bool stale = fault == Fault::v_of_the_previous_stage && query == p.num_queries / 2 && first > 0;
        if (fault != Fault::not_rescaled) {
            for (int d = 0; d < D; ++d) output[d] = Accumulator(float(output[d]) * rescale);
        }
        sum *= rescale;
        for (int j = 0; j < count; ++j) {
            float weight = rounded_weight(std::exp(scores[j] - now));
            if (fault == Fault::first_key_twice && first + j == 0) weight *= 2;
            sum += weight;
            const Element* value = v + (first + j - (stale ? tile_n : 0)) * D;
            for (int d = 0; d < D; ++d) output[d] += Accumulator(weight * float(value[d]));
        }
        row_max = now;
    }
    const int64_t row = fault == Fault::other_strides ? query * p.num_heads + head : head * p.num_queries + query;
    for (int d = 0; d < D; ++d) p.out[row * D + d] = Element(float(output[d]) / sum);
    return row_max;
}

// Attend to TILE_M queries of a head.
void attend_tile(const Problem& p, int64_t head, int64_t first) {
    const int64_t end = first + TILE_M < p.num_queries ? first + TILE_M : p.num_queries;
    float first_row_max = -INFINITY;
    for (int64_t query = first; query < end; ++query) {
        const float row_max = attend_query(p, head, query, first_row_max);
        if (query == first) first_row_max = row_max;
    }
}

void attend(const Problem& p) {
    const int64_t tiles = (p.num_queries + TILE_M - 1) / TILE_M, tasks = p.num_heads * tiles;
    // Persistent workers, each of which takes the same number of tasks.
    constexpr int64_t workers = 4;
    const int64_t done = fault == Fault::last_worker_skips_its_tail ? tasks / workers * workers : tasks;
    static int64_t counter = 0;
    int64_t own = 0;
    int64_t& next = fault == Fault::counter_not_reset ? counter : own;
    for (; next < done; ++next) attend_tile(p, next / tiles, next % tiles * TILE_M);
}

}  // namespace
