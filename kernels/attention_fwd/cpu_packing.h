// K as transposed panels and V as FP32, at whichever moment the configuration says.

#pragma once

#include "cpu_workspace.h"

namespace {

// `count` keys as panels [HEAD_DIM][BLOCK_COLS]; columns past the last key are zero.
void pack_keys(float* panels, const Element* keys, int count) {
    for (int column = 0; column < count; column += lanes) {
        float* panel = panels + int64_t(column / BLOCK_COLS) * BLOCK_COLS * HEAD_DIM + column % BLOCK_COLS;
        for (int d = 0; d < HEAD_DIM; d += lanes) {
            Vector block[lanes];
            FULLY_UNROLLED
            for (int i = 0; i < lanes; ++i) {
                block[i] = column + i < count ? load_elements(keys + int64_t(column + i) * HEAD_DIM + d) : Vector{};
            }
            transpose(block);
            FULLY_UNROLLED
            for (int i = 0; i < lanes; ++i) store(panel + (d + i) * BLOCK_COLS, block[i]);
        }
    }
    for (int column = (count + lanes - 1) / lanes * lanes; column % BLOCK_COLS != 0; column += lanes) {
        float* panel = panels + int64_t(column / BLOCK_COLS) * BLOCK_COLS * HEAD_DIM + column % BLOCK_COLS;
        for (int d = 0; d < HEAD_DIM; ++d) store(panel + d * BLOCK_COLS, Vector{});
    }
}

void convert(float* to, const Element* from, int64_t count) {
    for (int64_t i = 0; i < count; i += lanes) store(to + i, load_elements(from + i));
}

// Panels of `count` keys of a head from `first_key` on, packed now unless they are already.
INLINE const float* packed_keys(const Problem& problem, const Shared& shared, Local& local, int64_t head,
                                int64_t first_key, int count) {
    const Element* k = problem.k + head * problem.keys * HEAD_DIM;
    if constexpr (key_packing == Packing::shared) {
        return shared.keys + (head * problem.padded_keys() + first_key) * HEAD_DIM;
    } else if constexpr (key_packing == Packing::head) {
        if (local.key_head != head) pack_keys(local.keys, k, int(problem.keys));
        local.key_head = head;
        return local.keys + first_key * HEAD_DIM;
    } else {
        pack_keys(local.keys, k + first_key * HEAD_DIM, count);
        return local.keys;
    }
}

// The same for V, [count][HEAD_DIM]; the tensor's own elements when it is not packed.
INLINE auto packed_values(const Problem& problem, const Shared& shared, Local& local, int64_t head, int64_t first_key,
                          int count) {
    const Element* v = problem.v + head * problem.keys * HEAD_DIM;
    if constexpr (value_packing == Packing::direct) {
        return problem.v + (head * problem.keys + first_key) * HEAD_DIM;
    } else if constexpr (value_packing == Packing::shared) {
        return shared.values + (head * problem.keys + first_key) * HEAD_DIM;
    } else if constexpr (value_packing == Packing::head) {
        if (local.value_head != head) convert(local.values, v, problem.keys * HEAD_DIM);
        local.value_head = head;
        return local.values + first_key * HEAD_DIM;
    } else {
        convert(local.values, v + first_key * HEAD_DIM, count * HEAD_DIM);
        return local.values;
    }
}

// Packs what is shared. Called by every thread of the team; ends with a barrier.
void pack_shared(const Problem& problem, const Shared& shared) {
    const int64_t panels = problem.padded_keys() / BLOCK_COLS;
#pragma omp for schedule(static)
    for (int64_t i = 0; i < problem.heads * panels; ++i) {
        const int64_t head = i / panels, key = i % panels * BLOCK_COLS;
        const int count = int(problem.keys - key < BLOCK_COLS ? problem.keys - key : BLOCK_COLS);
        const int64_t start = (head * problem.keys + key) * HEAD_DIM;
        if constexpr (key_packing == Packing::shared) {
            pack_keys(shared.keys + (head * problem.padded_keys() + key) * HEAD_DIM, problem.k + start, count);
        }
        if constexpr (value_packing == Packing::shared) {
            convert(shared.values + start, problem.v + start, count * HEAD_DIM);
        }
    }
}

}  // namespace
