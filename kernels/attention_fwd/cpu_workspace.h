// The sizes and tensors of a call, and the arrays that its threads work in.

#pragma once

#include "cpu_vectors.h"

namespace {

struct Problem {
    const Element *q, *k, *v;
    Element* out;
    int64_t heads, queries, keys;
    bool causal;

    int64_t tiles() const { return (queries + TILE_M - 1) / TILE_M; }
    int64_t padded_keys() const { return (keys + BLOCK_COLS - 1) / BLOCK_COLS * BLOCK_COLS; }
};

constexpr int64_t rounded(int64_t floats) { return (floats + widest_lanes - 1) / widest_lanes * widest_lanes; }

int64_t packed_floats(Packing packing, int64_t keys, int64_t heads, bool of_thread) {
    if (packing == Packing::tile && of_thread) return int64_t(TILE_N) * HEAD_DIM;
    if (packing == Packing::head && of_thread) return keys * HEAD_DIM;
    if (packing == Packing::shared && !of_thread) return heads * keys * HEAD_DIM;
    return 0;
}

// Takes aligned arrays of floats one after the other from a piece of memory, or only counts them.
struct Arena {
    float* base;
    int64_t used = 0;

    float* take(int64_t floats) {
        float* taken = base == nullptr ? nullptr : base + used;
        used += rounded(floats);
        return taken;
    }
};

// Packed tensors that all threads share: K [heads][padded keys / BLOCK_COLS][HEAD_DIM][BLOCK_COLS] and V
// [heads][keys][HEAD_DIM].
struct Shared {
    float *keys, *values;

    Shared(Arena& arena, const Problem& problem)
        : keys(arena.take(packed_floats(key_packing, problem.padded_keys(), problem.heads, false))),
          values(arena.take(packed_floats(value_packing, problem.keys, problem.heads, false))) {}
};

// What one thread works in. Per query of a tile: `query` and `output` [TILE_M][HEAD_DIM], `peak` the running maximum of
// its scores, `alpha` what its sum and output shrink by at this tile, `peak_lanes` and `sum_lanes` the parts of maximum
// and sum that each vector lane has seen. `key_head` and `value_head` are the heads that are packed in `keys` and
// `values`.
struct Local {
    float *query, *output, *scores, *peak_lanes, *sum_lanes, *peak, *alpha, *keys, *values;
    int64_t key_head = -1, value_head = -1;

    Local(Arena& arena, const Problem& problem)
        : query(arena.take(TILE_M * HEAD_DIM)),
          output(arena.take(TILE_M * HEAD_DIM)),
          scores(arena.take(score_rows * score_stride)),
          peak_lanes(arena.take(TILE_M * widest_lanes)),
          sum_lanes(arena.take(TILE_M * widest_lanes)),
          peak(arena.take(TILE_M + widest_lanes)),
          alpha(arena.take(TILE_M + widest_lanes)),
          keys(arena.take(packed_floats(key_packing, problem.padded_keys(), 1, true))),
          values(arena.take(packed_floats(value_packing, problem.keys, 1, true))) {}
};

}  // namespace
