/*
 * Tiles of the counting kernel: differing bits of pixels and output channels, 128 products an EOR, CNT and
 * ADD. Sums of bytes hold 31 vectors of up to 8 bits. Eight products are in flight at any point of the loop,
 * for processors that issue in order and finish a vector instruction some cycles later.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_NEON_COUNT_H
#define EBNN_NEON_COUNT_H

#include "neon_vector.h"

#define NEON_BYTE_VECTORS 31u

/* t[4 * i + j] = bits of x[i] ^ w[j], ternary: & n[j], for two pixels; added to a[4 * i + j]. */
static NEON_INLINE void neon_count_two(uint8x16_t *a, uint8x16_t x0, uint8x16_t x1, const uint8x16_t *w,
                                       const uint8x16_t *n, const uint32_t parts) {
    uint8x16_t t[8];
    NEON_UNROLL
    for (uint32_t j = 0; j < 4u; j++) {
        t[j] = veorq_u8(x0, w[j]);
        t[4u + j] = veorq_u8(x1, w[j]);
    }
    if (parts == 2u) {
        NEON_UNROLL
        for (uint32_t j = 0; j < 4u; j++) {
            t[j] = vandq_u8(t[j], n[j]);
            t[4u + j] = vandq_u8(t[4u + j], n[j]);
        }
    }
    NEON_UNROLL
    for (uint32_t j = 0; j < 8u; j++) {
        t[j] = vcntq_u8(t[j]);
    }
    NEON_UNROLL
    for (uint32_t j = 0; j < 8u; j++) {
        a[j] = vaddq_u8(a[j], t[j]);
    }
}

/* Sums of the bytes of four vectors. */
static NEON_INLINE int32x4_t neon_count_reduce(const uint8x16_t *a) {
    int32x4_t s[4];
    NEON_UNROLL
    for (uint32_t j = 0; j < 4u; j++) {
        s[j] = vreinterpretq_s32_u32(vpaddlq_u16(vpaddlq_u8(a[j])));
    }
    return neon_sum4(s[0], s[1], s[2], s[3]);
}

/* counts[i] = bits of pixel i and 4 channels. x: rows `stride` bytes apart; w: [vector][parts][4][16]. */
static NEON_INLINE void neon_count_tile(const uint8_t *x, uint32_t stride, const uint8_t *w, uint32_t vectors,
                                        const uint32_t parts, int32x4_t *counts) {
    const uint8_t *at[NEON_PIXELS];
    NEON_UNROLL
    for (uint32_t i = 0; i < NEON_PIXELS; i++) {
        at[i] = x + (size_t)i * stride;
        counts[i] = vdupq_n_s32(0);
    }
    while (vectors != 0u) {
        uint32_t n = vectors < NEON_BYTE_VECTORS ? vectors : NEON_BYTE_VECTORS;
        vectors -= n;
        uint8x16_t a[4u * NEON_PIXELS];
        NEON_UNROLL
        for (uint32_t i = 0; i < 4u * NEON_PIXELS; i++) {
            a[i] = vdupq_n_u8(0);
        }
        do {
            uint8x16_t sign[4], nonzero[4];
            NEON_UNROLL
            for (uint32_t j = 0; j < 4u; j++) {
                sign[j] = vld1q_u8(w + 16u * j);
                nonzero[j] = parts == 2u ? vld1q_u8(w + 64u + 16u * j) : sign[j];
            }
            w += 64u * parts;
            NEON_UNROLL
            for (uint32_t i = 0; i < NEON_PIXELS; i += 2u) {
                const uint8x16_t x0 = vld1q_u8(at[i]), x1 = vld1q_u8(at[i + 1u]);
                at[i] += 16;
                at[i + 1u] += 16;
                neon_count_two(a + 4u * i, x0, x1, sign, nonzero, parts);
            }
        } while (--n != 0u);
        NEON_UNROLL
        for (uint32_t i = 0; i < NEON_PIXELS; i++) {
            counts[i] = vaddq_s32(counts[i], neon_count_reduce(a + 4u * i));
        }
    }
}

/* The same for one pixel. */
static NEON_INLINE int32x4_t neon_count_row(const uint8_t *x, const uint8_t *w, uint32_t vectors,
                                            const uint32_t parts) {
    int32x4_t count = vdupq_n_s32(0);
    while (vectors != 0u) {
        uint32_t n = vectors < NEON_BYTE_VECTORS ? vectors : NEON_BYTE_VECTORS;
        vectors -= n;
        uint8x16_t a[4];
        NEON_UNROLL
        for (uint32_t j = 0; j < 4u; j++) {
            a[j] = vdupq_n_u8(0);
        }
        for (; n != 0u; n--, x += 16, w += 64u * parts) {
            const uint8x16_t v = vld1q_u8(x);
            NEON_UNROLL
            for (uint32_t j = 0; j < 4u; j++) {
                uint8x16_t t = veorq_u8(v, vld1q_u8(w + 16u * j));
                if (parts == 2u) {
                    t = vandq_u8(t, vld1q_u8(w + 64u + 16u * j));
                }
                a[j] = vaddq_u8(a[j], vcntq_u8(t));
            }
        }
        count = vaddq_s32(count, neon_count_reduce(a));
    }
    return count;
}

#endif
