// The exponential of the softmax, with its scale.

#pragma once

#include "cpu_vectors.h"

namespace {

constexpr double log2_e = 1.4426950408889634;
constexpr int mantissa_bits = 23;
// Below 2^-126 a float has no place for the exponent.
constexpr float smallest_exponent = -126.0f;
// 1.5 * 2^23: floats of this size are whole numbers, so that adding it rounds, and its low bits then hold the result.
constexpr float round_to_whole = 12582912.0f;

// softmax(scale * s) = 2^(factor * (s - max)) with factor = scale * log2(e). With 16-bit elements the factor is
// multiplied into Q; with 32-bit ones that rounding would show, so it is applied to the difference in two parts.
struct Exponent {
    float query_factor, high, low;

    explicit Exponent(float scale) {
        const double factor = scale * log2_e;
        query_factor = ELEMENT_BITS == 16 ? float(factor) : __builtin_copysignf(1.0f, scale);
        high = float(__builtin_fabs(factor));
        low = float(__builtin_fabs(factor) - high);
        // The difference is -infinity at a hidden key, and that times 0 is NaN: scale 0 is multiplied into Q too.
        if (ELEMENT_BITS == 32 && scale == 0.0f) {
            query_factor = 0.0f;
            high = 1.0f;
        }
    }

    // 2^(factor * difference) for differences <= 0 or NaN; exactly 1 at 0, exactly 0 below 2^-126. The exponent is
    // split into a whole number and a fraction f in [-1/2, 1/2]. The polynomials are minimax fits of 2^f with constant
    // term 1, relative error 2.9e-6 (FP16 output) and 8e-8 (FP32 output).
    INLINE Vector operator()(Vector difference) const {
        const Vector rounder = splat(round_to_whole);
#if ELEMENT_BITS == 16
        const Vector exponent = difference;
        const Vector shifted = exponent + rounder;
        const Vector f = exponent - (shifted - rounder);
        const Vector power =
            (((0.009582851082f * f + 0.05590642989f) * f + 0.2402409911f) * f + 0.6931241751f) * f + 1.0f;
#else
        const Vector exponent = difference * high;
        const Vector shifted = difference * high + rounder;
        const Vector f = (difference * high - (shifted - rounder)) + difference * low;
        const Vector power =
            (((((0.00015353360504f * f + 0.0013398875017f) * f + 0.0096184368777f) * f + 0.055503323674f) * f +
              0.24022647738f) * f + 0.69314718246f) * f + 1.0f;
#endif
        const Vector scaled = (Vector)((IntVector)power + ((IntVector)shifted << mantissa_bits));
        return exponent < smallest_exponent ? Vector{} : scaled;
    }
};

}  // namespace
