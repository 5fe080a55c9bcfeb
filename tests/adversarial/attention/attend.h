// Attention of one query after the other, online over tiles of keys as the real kernels do it, with what FAULT gets wrong
// in the arithmetic and in the indexing.

#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "faults.h"

using Element = _Float16;
// What the running output is kept in.
using Running = std::conditional_t<fault == Fault::fp16_accumulators, _Float16, float>;
constexpr int D = HEAD_DIM;
// A build that ignores its configuration has one tile of keys, whatever it is asked for.
constexpr int tile_n = fault == Fault::ignores_its_configuration ? 32 : TILE_N;

struct Problem {
    const Element *q, *k, *v;
    Element* out;
    int64_t heads, queries, keys;
    float scale;
    bool causal;
};

namespace {

float score_scale(const Problem& p) {
    if (fault == Fault::scale_times_ln_2) return p.scale * 0.69314718f;
    if (fault == Fault::scale_times_sqrt_2) return p.scale * 1.41421356f;
    return p.scale;
}

// The head that queries of a head meet.
int64_t head_met(const Problem& p, int64_t head) {
    if (fault == Fault::first_head_for_all) return 0;
    return fault == Fault::heads_permuted ? (head + 1) % p.heads : head;
}

int64_t visible_keys(const Problem& p, int64_t query) {
    const bool causal = fault == Fault::causal_always || (p.causal && fault != Fault::causal_never);
    const int64_t diagonal = query + (fault == Fault::causal_off_by_one ? 2 : 1);
    int64_t seen = causal && diagonal < p.keys ? diagonal : p.keys;
    if (fault == Fault::last_key_dropped && seen > 1) --seen;
    if (fault == Fault::last_tile_dropped && seen > tile_n) seen = (seen - 1) / tile_n * tile_n;
    return seen;
}

int64_t key_row(const Problem& p, int64_t key) { return fault == Fault::q_read_as_k ? key % p.queries : key; }

float dot(const Element* a, const Element* b) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int d = 0; d < D; ++d) sum += float(a[d]) * float(b[d]);
    return sum;
}

float rounded_weight(float weight) {
    return fault == Fault::weights_in_8_bits ? std::nearbyint(weight * 255) / 255 : weight;
}

// The maximum that a tile's scores are measured from; `borrowed` is that of the tile's first query.
float peak_of(const float* scores, int count, float before, float borrowed) {
    if (fault == Fault::no_maximum) return 0;
    if (fault == Fault::maximum_of_another_row && borrowed > -INFINITY) return borrowed;
    float peak = before;
    for (int j = 0; j < count; ++j) peak = scores[j] > peak ? scores[j] : peak;
    return peak;
}

// Writes the output of one query, and returns the maximum of its scores.
float attend_query(const Problem& p, int64_t head, int64_t query, float borrowed) {
    const int64_t met = head_met(p, head), seen = visible_keys(p, query);
    const int64_t stride = (fault == Fault::wrong_batch_stride ? p.queries : p.keys) * D;
    const Element* q = p.q + (head * p.queries + query) * D;
    const Element* k = (fault == Fault::k_and_v_swapped ? p.v : p.k) + met * stride;
    const Element* v = (fault == Fault::k_and_v_swapped ? p.k : p.v) + met * stride;
    if (fault == Fault::q_read_as_k) k = p.q + met * p.queries * D;
    Running output[D] = {};
    float peak = -INFINITY, total = 0;
    for (int64_t first = 0; first < seen; first += tile_n) {
        const int count = int(seen - first < tile_n ? seen - first : tile_n);
        float scores[tile_n];
        for (int j = 0; j < count; ++j) scores[j] = dot(q, k + key_row(p, first + j) * D) * score_scale(p);
        const float now = peak_of(scores, count, peak, borrowed), shrink = std::exp(peak - now);
        const bool stale = fault == Fault::v_of_the_previous_stage && query == p.queries / 2 && first > 0;
        if (fault != Fault::not_rescaled) {
            for (int d = 0; d < D; ++d) output[d] = Running(float(output[d]) * shrink);
        }
        total *= shrink;
        for (int j = 0; j < count; ++j) {
            float weight = rounded_weight(std::exp(scores[j] - now));
            if (fault == Fault::first_key_twice && first + j == 0) weight *= 2;
            total += weight;
            const Element* value = v + (first + j - (stale ? tile_n : 0)) * D;
            for (int d = 0; d < D; ++d) output[d] += Running(weight * float(value[d]));
        }
        peak = now;
    }
    const int64_t row = fault == Fault::other_strides ? query * p.heads + head : head * p.queries + query;
    for (int d = 0; d < D; ++d) p.out[row * D + d] = Element(float(output[d]) / total);
    return peak;
}

// TILE_M queries of a head.
void attend_tile(const Problem& p, int64_t head, int64_t first) {
    const int64_t past = first + TILE_M < p.queries ? first + TILE_M : p.queries;
    float borrowed = -INFINITY;
    for (int64_t query = first; query < past; ++query) {
        const float peak = attend_query(p, head, query, borrowed);
        if (query == first) borrowed = peak;
    }
}

void attend(const Problem& p) {
    const int64_t tiles = (p.queries + TILE_M - 1) / TILE_M, tasks = p.heads * tiles;
    // Persistent workers that take the same number of tasks each.
    constexpr int64_t workers = 4;
    const int64_t done = fault == Fault::last_worker_skips_its_tail ? tasks / workers * workers : tasks;
    static int64_t counter = 0;
    int64_t own = 0;
    int64_t& next = fault == Fault::counter_not_reset ? counter : own;
    for (; next < done; ++next) attend_tile(p, next / tiles, next % tiles * TILE_M);
}

}  // namespace
