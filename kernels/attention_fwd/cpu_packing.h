// Packing: K into transposed panels, V into FP32, at the moment that the configuration chooses.

#pragma once

#include "cpu_workspace.h"

namespace {

// Pack `num_keys` keys into panels [HEAD_DIM][BLOCK_COLS]; columns past the last key are zero.
void pack_keys(float* panels, const Element* k, int num_keys) {
    for (int column = 0; column < num_keys; column += lanes) {
        float* panel = panels + int64_t(column / BLOCK_COLS) * BLOCK_COLS * HEAD_DIM + column % BLOCK_COLS;
        for (int d = 0; d < HEAD_DIM; d += lanes) {
            Vector block[lanes];
            FULLY_UNROLLED
            for (int i = 0; i < lanes; ++i) {
                block[i] = column + i < num_keys ? load_elements(k + int64_t(column + i) * HEAD_DIM + d) : Vector{};
            }
            transpose(block);
            FULLY_UNROLLED
            for (int i = 0; i < lanes; ++i) store(panel + (d + i) * BLOCK_COLS, block[i]);
        }
    }
    for (int column = (num_keys + lanes - 1) / lanes * lanes; column % BLOCK_COLS != 0; column += lanes) {
        float* panel = panels + int64_t(column / BLOCK_COLS) * BLOCK_COLS * HEAD_DIM + column % BLOCK_COLS;
        for (int d = 0; d < HEAD_DIM; ++d) store(panel + d * BLOCK_COLS, Vector{});
    }
}

void convert(float* to, const Element* from, int64_t count) {
    for (int64_t i = 0; i < count; i += lanes) store(to + i, load_elements(from + i));
}

// Return panels of `num_keys` keys of a head from `first_key` on; pack them unless they are packed already.
INLINE const float* get_k_panels(const Problem& problem, const SharedBuffers& shared, ThreadBuffers& buffers,
                                 int64_t head, int64_t first_key, int num_keys) {
    const Element* k = problem.k + head * problem.num_keys * HEAD_DIM;
    if constexpr (key_packing == Packing::shared) {
        return shared.packed_k + (head * problem.padded_keys() + first_key) * HEAD_DIM;
    } else if constexpr (key_packing == Packing::head) {
        if (buffers.packed_k_head != head) pack_keys(buffers.packed_k, k, int(problem.num_keys));
        buffers.packed_k_head = head;
        return buffers.packed_k + first_key * HEAD_DIM;
    } else {
        pack_keys(buffers.packed_k, k + first_key * HEAD_DIM, num_keys);
        return buffers.packed_k;
    }
}

// Return V [num_keys][HEAD_DIM] in the same way: the tensor's own elements when V is not packed.
INLINE auto get_v(const Problem& problem, const SharedBuffers& shared, ThreadBuffers& buffers, int64_t head,
                  int64_t first_key, int num_keys) {
    const Element* v = problem.v + head * problem.num_keys * HEAD_DIM;
    if constexpr (value_packing == Packing::direct) {
        return problem.v + (head * problem.num_keys + first_key) * HEAD_DIM;
    } else if constexpr (value_packing == Packing::shared) {
        return shared.packed_v + (head * problem.num_keys + first_key) * HEAD_DIM;
    } else if constexpr (value_packing == Packing::head) {
        if (buffers.packed_v_head != head) convert(buffers.packed_v, v, problem.num_keys * HEAD_DIM);
        buffers.packed_v_head = head;
        return buffers.packed_v + first_key * HEAD_DIM;
    } else {
        convert(buffers.packed_v, v + first_key * HEAD_DIM, num_keys * HEAD_DIM);
        return buffers.packed_v;
    }
}

// Pack the shared tensors. Every thread of the team calls this. The loop's implicit barrier at its end makes the packed
// tensors complete before any task starts.
void pack_shared(const Problem& problem, const SharedBuffers& shared) {
    const int64_t num_panels = problem.padded_keys() / BLOCK_COLS;
#pragma omp for schedule(static)
    for (int64_t i = 0; i < problem.num_heads * num_panels; ++i) {
        const int64_t head = i / num_panels, key = i % num_panels * BLOCK_COLS;
        const int num_keys = int(problem.num_keys - key < BLOCK_COLS ? problem.num_keys - key : BLOCK_COLS);
        const int64_t start = (head * problem.num_keys + key) * HEAD_DIM;
        if constexpr (key_packing == Packing::shared) {
            pack_keys(shared.packed_k + (head * problem.padded_keys() + key) * HEAD_DIM, problem.k + start, num_keys);
        }
        if constexpr (value_packing == Packing::shared) {
            convert(shared.packed_v + start, problem.v + start, num_keys * HEAD_DIM);
        }
    }
}

}  // namespace
