// Vectors of FP32 in one register: conversion from and to the tensors' elements, maximum, sum, transposition.

#pragma once

#include <cstdint>
#include <utility>

#include "cpu_parameters.h"

#define PRAGMA(text) _Pragma(#text)
#define UNROLLED(count) PRAGMA(GCC unroll count)
// For loops over a register block, which must be unrolled completely; none has more than 16 iterations.
#define FULLY_UNROLLED UNROLLED(16)
#define INLINE inline __attribute__((always_inline))

namespace {

#if ELEMENT_BITS == 32
typedef float Element;
#elif defined(__aarch64__)
typedef __fp16 Element;
#else
typedef _Float16 Element;
#endif

typedef float Vector __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef int32_t IntVector __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef Element ElementVector
    __attribute__((vector_size(lanes * sizeof(Element)), may_alias, aligned(sizeof(Element))));

constexpr float infinity = __builtin_inff();

INLINE Vector load(const float* from) { return *reinterpret_cast<const Vector*>(from); }
INLINE void store(float* to, Vector values) { *reinterpret_cast<Vector*>(to) = values; }
INLINE Vector broadcast(float value) { return value - Vector{}; }

// Tensors begin at any multiple of 16 bytes. `auto` would drop the alignment that ElementVector declares.
//
// Conversions and maximum are written as instructions: <immintrin.h> alone takes 0.4 s to compile, and GCC 12 converts
// vectors of _Float16 element by element.
INLINE Vector load_elements(const Element* from) {
    const ElementVector& elements = *reinterpret_cast<const ElementVector*>(from);
#if ELEMENT_BITS == 16 && VECTOR_BYTES > 16
    Vector values;
    __asm__("vcvtph2ps\t%1, %0" : "=v"(values) : "m"(elements));
    return values;
#else
    return __builtin_convertvector(elements, Vector);
#endif
}

INLINE void store_elements(Element* to, Vector values) {
    ElementVector& elements = *reinterpret_cast<ElementVector*>(to);
#if ELEMENT_BITS == 16 && VECTOR_BYTES > 16
    __asm__("vcvtps2ph\t$0, %1, %0" : "=m"(elements) : "v"(values));  // $0: round to nearest, ties to even
#else
    elements = __builtin_convertvector(values, ElementVector);
#endif
}

INLINE Vector maximum(Vector a, Vector b) {
#if VECTOR_BYTES > 16
    __asm__("vmaxps\t%1, %0, %0" : "+v"(a) : "v"(b));
    return a;
#else
    return a > b ? a : b;
#endif
}

template <int Shift, int... I>
INLINE Vector rotated(Vector v, std::integer_sequence<int, I...>) {
    return __builtin_shufflevector(v, v, ((I + Shift) % lanes)...);
}

template <int Shift = lanes / 2>
INLINE float horizontal_max(Vector v) {
    if constexpr (Shift == 0) {
        return v[0];
    } else {
        return horizontal_max<Shift / 2>(maximum(v, rotated<Shift>(v, std::make_integer_sequence<int, lanes>())));
    }
}

template <int Shift = lanes / 2>
INLINE float horizontal_sum(Vector v) {
    if constexpr (Shift == 0) {
        return v[0];
    } else {
        return horizontal_sum<Shift / 2>(v + rotated<Shift>(v, std::make_integer_sequence<int, lanes>()));
    }
}

template <int... I>
INLINE void interleave(Vector a, Vector b, Vector& low, Vector& high, std::integer_sequence<int, I...>) {
    low = __builtin_shufflevector(a, b, (I / 2 + I % 2 * lanes)...);
    high = __builtin_shufflevector(a, b, (lanes / 2 + I / 2 + I % 2 * lanes)...);
}

// Transpose lanes x lanes values. Each round interleaves the first half of the rows with the second half, a perfect
// shuffle of the index bits. After log2(lanes) rounds the row bits and the column bits have changed places.
INLINE void transpose(Vector (&rows)[lanes]) {
    FULLY_UNROLLED
    for (int round = 1; round < lanes; round *= 2) {
        Vector shuffled[lanes];
        FULLY_UNROLLED
        for (int i = 0; i < lanes / 2; ++i) {
            interleave(rows[i], rows[i + lanes / 2], shuffled[2 * i], shuffled[2 * i + 1],
                       std::make_integer_sequence<int, lanes>());
        }
        FULLY_UNROLLED
        for (int i = 0; i < lanes; ++i) rows[i] = shuffled[i];
    }
}

}  // namespace
