// The exponential of the softmax, with its scale.

#pragma once

#include "cpu_vectors.h"

namespace {

constexpr double log2_e = 1.4426950408889634;
constexpr int mantissa_bits = 23;
// A normal float cannot represent a smaller exponent.
constexpr float smallest_exponent = -126.0f;
// 1.5 * 2^23. Floats of this size are integers, so adding it rounds, and the low bits of the sum hold the result.
constexpr float round_to_integer = 12582912.0f;

// exp(scale * (s - max)) = 2^(factor * (s - max)) with factor = scale * log2(e). With 16-bit elements Q is multiplied
// by the factor. With 32-bit elements that rounding would be visible, so the difference is multiplied by it in two
// parts.
struct Exponential {
    float query_factor, high, low;

    explicit Exponential(float scale) {
        const double factor = scale * log2_e;
        query_factor = ELEMENT_BITS == 16 ? float(factor) : __builtin_copysignf(1.0f, scale);
        high = float(__builtin_fabs(factor));
        low = float(__builtin_fabs(factor) - high);
        // The difference is -infinity at a masked key, and -infinity * 0 is NaN. So a scale of 0 is multiplied into Q.
        if (ELEMENT_BITS == 32 && scale == 0.0f) {
            query_factor = 0.0f;
            high = 1.0f;
        }
    }

    // Return 2^(factor * difference) for differences <= 0 or NaN: exactly 1 at 0, exactly 0 below 2^-126. The exponent
    // is split into an integer and a fraction f in [-1/2, 1/2]. The polynomials are minimax fits of 2^f with constant
    // term 1, with relative errors 2.9e-6 (FP16 output) and 8e-8 (FP32 output).
    INLINE Vector operator()(Vector difference) const {
        const Vector rounder = broadcast(round_to_integer);
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
