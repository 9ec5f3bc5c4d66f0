/*
 * Fixed-point arithmetic of SPEC.md section 4 (TFLite's reference rounding) and small helpers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_FIXED_H
#define EBNN_FIXED_H

#include <stdint.h>

static inline int32_t ebnn_clamp(int32_t v, int32_t lo, int32_t hi) {
    return v < lo ? lo : (v > hi ? hi : v);
}

/* Saturating rounding doubling high multiply: a * b / 2^31 to nearest, ties up. */
static inline int32_t ebnn_srdhm(int32_t a, int32_t b) {
    if (a == INT32_MIN && b == INT32_MIN) {
        return INT32_MAX;
    }
    return (int32_t)(((int64_t)a * b + (INT64_C(1) << 30)) >> 31);
}

/* Rounding divide by 2^e, 0 <= e <= 31, ties away from zero. */
static inline int32_t ebnn_rdbpot(int32_t x, int32_t e) {
    const int32_t mask = (int32_t)((UINT32_C(1) << e) - 1u);
    const int32_t remainder = x & mask;
    const int32_t threshold = (mask >> 1) + (x < 0 ? 1 : 0);
    return (x >> e) + (remainder > threshold ? 1 : 0);
}

/* acc * multiplier * 2^(shift - 31), multiplier in Q31, shift > 0 to the left. */
static inline int32_t ebnn_requantize(int32_t acc, int32_t multiplier, int32_t shift) {
    const int32_t left = shift > 0 ? shift : 0;
    const int32_t right = shift > 0 ? 0 : -shift;
    return ebnn_rdbpot(ebnn_srdhm((int32_t)((uint32_t)acc << left), multiplier), right);
}

static inline int32_t ebnn_popcount(uint32_t x) {
    x = x - ((x >> 1) & 0x55555555u);
    x = (x & 0x33333333u) + ((x >> 2) & 0x33333333u);
    x = (x + (x >> 4)) & 0x0F0F0F0Fu;
    return (int32_t)((x * 0x01010101u) >> 24);
}

#endif
