// Addresses of q, k, v and out. Contiguous tensors hold one head after the other. With STRIDED each call passes
// strides, so that views of a joint projection [batch, sequence, heads, head_dim] need no copy. Features are always
// adjacent.
#pragma once

#include <cstdint>

#include "configuration.cuh"
#include "schedule.cuh"

// The rows of one head, `row_stride` elements apart.
template <class T>
struct StridedMatrix {
    T* data;
    int row_stride;
};

template <class T, bool with_strides>
struct MatrixType {
    using Type = T*;
};
template <class T>
struct MatrixType<T, true> {
    using Type = StridedMatrix<T>;
};
// A plain pointer to rows of head_dim elements without STRIDED, so that such builds carry no strides.
template <class T>
using Matrix = typename MatrixType<T, strided>::Type;

template <class T>
__device__ __forceinline__ T* data_pointer(T* matrix) { return matrix; }
template <class T>
__device__ __forceinline__ T* data_pointer(StridedMatrix<T> matrix) { return matrix.data; }

// In elements.
template <class T>
__device__ __forceinline__ constexpr int row_stride(T*) { return head_dim; }
template <class T>
__device__ __forceinline__ int64_t row_stride(StridedMatrix<T> matrix) { return matrix.row_stride; }

// Distances between batches, heads and rows, in elements.
struct Strides {
    int batch, head, row;
};

struct Tensors {
    const uint16_t *q, *k, *v;
    uint16_t* out;
    float* workspace;
    Strides q_strides, k_strides, v_strides, out_strides;
    int heads_per_batch;             // of q and out
    uint32_t heads_reciprocal;       // divides by heads_per_batch
    uint32_t group_size_reciprocal;  // divides by the number of query heads that share one head of k and v
};

// n / divisor, where `reciprocal` holds the low 32 bits of 2^32 / divisor rounded up (0 for divisor 1). Exact while
// n * divisor < 2^32, because the product is then too large by less than 1 / divisor.
__device__ __forceinline__ int fast_divide(int n, uint32_t reciprocal) {
    return reciprocal == 0 ? n : int(__umulhi(uint32_t(n), reciprocal));
}

// Offset in elements of a head's first row. `head` counts over all batches; every head has `num_rows` rows.
__device__ __forceinline__ int64_t head_offset(
    const Tensors& tensors, const Strides& strides, uint32_t group_size_reciprocal, int head, int num_rows) {
    if constexpr (strided) {
        const int batch = fast_divide(head, tensors.heads_reciprocal);
        const int head_in_batch = fast_divide(head - batch * tensors.heads_per_batch, group_size_reciprocal);
        return int64_t(batch) * strides.batch + int64_t(head_in_batch) * strides.head;
    } else {
        return int64_t(head) * num_rows * head_dim;
    }
}

__device__ __forceinline__ int64_t q_offset(const Tensors& tensors, const Problem& problem, int head) {
    return head_offset(tensors, tensors.q_strides, 0, head, problem.num_queries);
}
__device__ __forceinline__ int64_t k_offset(const Tensors& tensors, const Problem& problem, int head) {
    return head_offset(tensors, tensors.k_strides, tensors.group_size_reciprocal, head, problem.num_keys);
}
__device__ __forceinline__ int64_t v_offset(const Tensors& tensors, const Problem& problem, int head) {
    return head_offset(tensors, tensors.v_strides, tensors.group_size_reciprocal, head, problem.num_keys);
}
__device__ __forceinline__ int64_t out_offset(const Tensors& tensors, const Problem& problem, int head) {
    return head_offset(tensors, tensors.out_strides, 0, head, problem.num_queries);
}

template <class T>
__device__ __forceinline__ Matrix<T> make_matrix(T* data, const Strides& strides) {
    if constexpr (strided) {
        return {data, strides.row};
    } else {
        return data;
    }
}
