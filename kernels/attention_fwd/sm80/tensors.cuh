// Where q, k, v and out lie: head after head without gaps; or, with STRIDED, by strides that each call gives, so that views
// of a joint projection, [batch, sequence, heads, head_dim], are read as they are. Features are always adjacent.
#pragma once

#include <cstdint>

#include "configuration.cuh"
#include "schedule.cuh"

// Rows of one head, `stride` elements apart.
template <class Element>
struct StridedMatrix {
    Element* data;
    int stride;
};

template <class Element, bool with_strides>
struct MatrixType {
    using Type = Element*;
};
template <class Element>
struct MatrixType<Element, true> {
    using Type = StridedMatrix<Element>;
};
// Without STRIDED a mere pointer to rows of head_dim elements, so that such builds know nothing of all this.
template <class Element>
using Matrix = typename MatrixType<Element, strided>::Type;

template <class Element>
__device__ __forceinline__ Element* data_of(Element* matrix) { return matrix; }
template <class Element>
__device__ __forceinline__ Element* data_of(StridedMatrix<Element> matrix) { return matrix.data; }

// In elements.
template <class Element>
__device__ __forceinline__ constexpr int row_stride(Element*) { return head_dim; }
template <class Element>
__device__ __forceinline__ int64_t row_stride(StridedMatrix<Element> matrix) { return matrix.stride; }

// From batch to batch, head to head and row to row, in elements.
struct Strides {
    int batch, head, row;
};

struct Tensors {
    const uint16_t *q, *k, *v;
    uint16_t* out;
    float* workspace;
    Strides q_strides, k_strides, v_strides, out_strides;
    int heads;                    // of q and out in each batch
    uint32_t heads_reciprocal;    // to divide by them
    uint32_t sharing_reciprocal;  // to divide by how many of them in turn share a head of k and v
};

// n / divisor: `reciprocal` is 2^32 / divisor rounded up, of which 32 bits are kept: 0 for 1. Exact where n * divisor is
// below 2^32, since the product is then too large by less than 1 / divisor.
__device__ __forceinline__ int divided(int n, uint32_t reciprocal) {
    return reciprocal == 0 ? n : int(__umulhi(uint32_t(n), reciprocal));
}

// Where the matrix of a head starts, in elements. Heads are counted over all batches; each has so many `rows`.
__device__ __forceinline__ int64_t head_start(
    const Tensors& tensors, const Strides& strides, uint32_t sharing_reciprocal, int head, int rows) {
    if constexpr (strided) {
        const int batch = divided(head, tensors.heads_reciprocal);
        const int in_batch = divided(head - batch * tensors.heads, sharing_reciprocal);
        return int64_t(batch) * strides.batch + int64_t(in_batch) * strides.head;
    } else {
        return int64_t(head) * rows * head_dim;
    }
}

__device__ __forceinline__ int64_t queries_start(const Tensors& tensors, const Problem& problem, int head) {
    return head_start(tensors, tensors.q_strides, 0, head, problem.queries);
}
__device__ __forceinline__ int64_t keys_start(const Tensors& tensors, const Problem& problem, int head) {
    return head_start(tensors, tensors.k_strides, tensors.sharing_reciprocal, head, problem.keys);
}
__device__ __forceinline__ int64_t values_start(const Tensors& tensors, const Problem& problem, int head) {
    return head_start(tensors, tensors.v_strides, tensors.sharing_reciprocal, head, problem.keys);
}
__device__ __forceinline__ int64_t output_start(const Tensors& tensors, const Problem& problem, int head) {
    return head_start(tensors, tensors.out_strides, 0, head, problem.queries);
}

template <class Element>
__device__ __forceinline__ Matrix<Element> matrix_at(Element* start, const Strides& strides) {
    if constexpr (strided) {
        return {start, strides.row};
    } else {
        return start;
    }
}
