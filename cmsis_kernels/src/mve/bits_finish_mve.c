/*
 * Outputs of the MVE bits kernel from bit-sliced sums.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_mve_bits.h"

/* s, k = sum and carry of s + x + k. */
#define FULL_ADD(s, x, k)                                                                                    \
    do {                                                                                                     \
        const uint32x4_t a_ = (s), u_ = veorq_u32(a_, (x)), v_ = veorq_u32(a_, (k));                         \
        (s) = veorq_u32(u_, (k));                                                                            \
        (k) = veorq_u32(vandq_u32(u_, v_), a_);                                                              \
    } while (0)

/* two = c + d, where it is wanted, four = a + b + c + d over n bits, two more for the carries. */
static inline void add4(const uint32_t *a, const uint32_t *b, const uint32_t *c, const uint32_t *d,
                        uint32_t n, uint32_t *two, uint32_t *four) {
    const uint32x4_t zero = vdupq_n_u32(0);
    uint32x4_t k1 = zero, k2 = zero, k3 = zero;
    for (; n != 0u; n--, a += EBNN_QUAD, b += EBNN_QUAD, c += EBNN_QUAD, d += EBNN_QUAD) {
        uint32x4_t v = vldrwq_u32(c);
        FULL_ADD(v, vldrwq_u32(d), k2);
        if (two != NULL) {
            vstrwq_u32(two, v);
            two += EBNN_QUAD;
        }
        uint32x4_t u = vldrwq_u32(a);
        FULL_ADD(u, vldrwq_u32(b), k1);
        FULL_ADD(u, v, k3);
        vstrwq_u32(four, u);
        four += EBNN_QUAD;
    }
    if (two != NULL) {
        vstrwq_u32(two, k2);
        vstrwq_u32(two + EBNN_QUAD, zero);
    }
    FULL_ADD(k1, k2, k3);
    vstrwq_u32(four, k1);
    vstrwq_u32(four + EBNN_QUAD, k3);
}

/* a += b over n bits, one more for the carry; b is kept. */
static inline void add_to(uint32_t *a, const uint32_t *b, uint32_t n) {
    uint32x4_t k = vdupq_n_u32(0);
    for (; n != 0u; n--, a += EBNN_QUAD, b += EBNN_QUAD) {
        uint32x4_t s = vldrwq_u32(a);
        FULL_ADD(s, vldrwq_u32(b), k);
        vstrwq_u32(a, s);
    }
    vstrwq_u32(a, k);
}

/* Lowest bit first: c = majority of 2 S + low, not T, c. */
uint32x4_t ebnn_mve_bits_compare(const uint32_t *s, const uint32_t *t, uint32_t bits, uint32_t low,
                                 uint32_t c) {
    uint32x4_t not_less = vdupq_n_u32(c), x = vdupq_n_u32(0u - low);
    for (uint32_t i = 0;; i++, s += EBNN_QUAD, t += EBNN_QUAD) {
        const uint32x4_t differs = veorq_u32(vldrwq_u32(t), not_less);
        not_less = veorq_u32(not_less, vbicq_u32(veorq_u32(x, not_less), differs));
        if (i == bits) {
            return not_less;
        }
        x = vldrwq_u32(s);
    }
}

void ebnn_mve_bits_buckets(const uint32_t *sums, uint32_t bits, uint32_t flags, uint32_t *temp,
                           uint32x4_t *y) {
    const uint32_t apart = EBNN_QUAD * bits;
    const uint32_t array = EBNN_QUAD * (bits + 3u);
    uint32_t *p2 = temp, *n = p2 + array, *p0 = n + array, *p1 = p0 + array, *p3 = p1 + array;
    const uint32_t *s[8];
    for (uint32_t j = 0; j < 8u; j++, sums += apart) {
        s[j] = sums;
    }
    add4(s[4], s[5], s[6], s[7], bits, NULL, p3);
    add4(s[0], s[4], s[2], s[6], bits, p2, p0);
    add4(s[1], s[5], s[3], s[7], bits, n, p1);
    add_to(p2, n, bits + 2u);
    add_to(p0, p1, bits + 2u);
    y[0] = vldrwq_u32(p0 + EBNN_QUAD * (bits + 2u));
    y[1] = ebnn_mve_bits_compare(p1, p0, bits + 2u, 0, (flags & 1u) - 1u);
    y[2] = ebnn_mve_bits_compare(p2, p0, bits + 2u, 0, ((flags >> 1) & 1u) - 1u);
    y[3] = ebnn_mve_bits_compare(p3, p0, bits + 2u, 0, ((flags >> 2) & 1u) - 1u);
}
