// The sizes and tensors of a call, and the buffers of its threads.

#pragma once

#include "cpu_vectors.h"

namespace {

struct Problem {
    const Element *q, *k, *v;
    Element* out;
    int64_t num_heads, num_queries, num_keys;
    bool causal;

    int64_t query_tiles() const { return (num_queries + TILE_M - 1) / TILE_M; }
    int64_t padded_keys() const { return (num_keys + BLOCK_COLS - 1) / BLOCK_COLS * BLOCK_COLS; }
};

constexpr int64_t round_up(int64_t floats) { return (floats + widest_lanes - 1) / widest_lanes * widest_lanes; }

int64_t packed_floats(Packing packing, int64_t num_keys, int64_t num_heads, bool per_thread) {
    if (packing == Packing::tile && per_thread) return int64_t(TILE_N) * HEAD_DIM;
    if (packing == Packing::head && per_thread) return num_keys * HEAD_DIM;
    if (packing == Packing::shared && !per_thread) return num_heads * num_keys * HEAD_DIM;
    return 0;
}

// Allocates aligned arrays of floats from one block of memory, or only counts them where `base` is null.
struct Arena {
    float* base;
    int64_t used = 0;

    float* take(int64_t floats) {
        float* taken = base == nullptr ? nullptr : base + used;
        used += round_up(floats);
        return taken;
    }
};

// Packed tensors that all threads share: K [num_heads][padded keys / BLOCK_COLS][HEAD_DIM][BLOCK_COLS] and V
// [num_heads][num_keys][HEAD_DIM].
struct SharedBuffers {
    float *packed_k, *packed_v;

    SharedBuffers(Arena& arena, const Problem& problem)
        : packed_k(arena.take(packed_floats(key_packing, problem.padded_keys(), problem.num_heads, false))),
          packed_v(arena.take(packed_floats(value_packing, problem.num_keys, problem.num_heads, false))) {}
};

// The buffers of one thread. `query` and `output` are [TILE_M][HEAD_DIM]. `row_max` is the running maximum of a query's
// scores, and `rescale` the factor that its sum and output are multiplied by at this tile. `lane_max` and `lane_sum`
// hold the maximum and the sum of each vector lane. `packed_k_head` and `packed_v_head` are the heads that `packed_k`
// and `packed_v` hold.
struct ThreadBuffers {
    float *query, *output, *scores, *lane_max, *lane_sum, *row_max, *rescale, *packed_k, *packed_v;
    int64_t packed_k_head = -1, packed_v_head = -1;

    ThreadBuffers(Arena& arena, const Problem& problem)
        : query(arena.take(TILE_M * HEAD_DIM)),
          output(arena.take(TILE_M * HEAD_DIM)),
          scores(arena.take(score_rows * score_stride)),
          lane_max(arena.take(TILE_M * widest_lanes)),
          lane_sum(arena.take(TILE_M * widest_lanes)),
          row_max(arena.take(TILE_M + widest_lanes)),
          rescale(arena.take(TILE_M + widest_lanes)),
          packed_k(arena.take(packed_floats(key_packing, problem.padded_keys(), 1, true))),
          packed_v(arena.take(packed_floats(value_packing, problem.num_keys, 1, true))) {}
};

}  // namespace
