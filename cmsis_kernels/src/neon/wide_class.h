/*
 * Class sums of the wide bit-plane core on AArch64: sixteen planes a turn, with half of the adders of a turn
 * left to the next one, so that processors which issue in order always have independent work.
 *
 * A turn adds 16 planes and the counters of weight 1 and 2 with eight and four full adders; the four carries
 * of weight 4 wait. The next turn adds them to the upper counters. They may even wait through the complement
 * between the negative and the positive list: the complement of four waiting bits of weight 4 is 16 minus
 * their sum, where 0 minus it is wanted, and the counter starts that much lower.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_NEON_WIDE_CLASS_H
#define EBNN_NEON_WIDE_CLASS_H

#include <string.h>

#include "wide_128.h"

#define NEON_WAITING 4u

/* a + b + c = low + 2 * high. The empty assembly keeps clang from undoing the selection. */
#if defined(__clang__)
#define NEON_OPAQUE(v) __asm__("" : "+w"(v))
#else
#define NEON_OPAQUE(v) (void)0
#endif
#define NEON_ADD(high, low, a_, b_, c_)                                                                      \
    do {                                                                                                     \
        const ebnn_lane_t na = (a_), nb = (b_), nc = (c_);                                                   \
        ebnn_lane_t differ = veorq_u64(na, nb);                                                              \
        NEON_OPAQUE(differ);                                                                                 \
        (low) = veorq_u64(differ, nc);                                                                       \
        (high) = vbslq_u64(differ, nc, na);                                                                  \
    } while (0)

/* Adds what waits. */
static EBNN_WIDE_INLINE void neon_settle(ebnn_lane_t *c, const ebnn_lane_t *q, const uint32_t width) {
    ebnn_lane_t e0, e1, carry;
    NEON_ADD(e0, c[2], q[0], q[1], c[2]);
    NEON_ADD(e1, c[2], q[2], q[3], c[2]);
    NEON_ADD(carry, c[3], e0, e1, c[3]);
    ebnn_wide_ripple(c, carry, 4, width);
}

/* Four entries of a list at a time: 20 loads instead of 32 a turn, where some processors do one a cycle. */
static EBNN_WIDE_INLINE uint64_t neon_four_entries(const uint16_t *list) {
    uint64_t entries;
    memcpy(&entries, list, sizeof entries);
    return entries;
}

/* The plane of entry i of 4: (entry << 4) from the base, one AND with a shifted operand. */
static EBNN_WIDE_INLINE ebnn_lane_t neon_plane(const uint8_t *base, uint64_t entries, const uint32_t i,
                                               const uint64_t mask) {
    return ebnn_lane_load(base + ((i == 0u ? entries << 4 : entries >> (16u * i - 4u)) & mask));
}

#define NEON_PLANE(i) neon_plane(base, neon_four_entries(list + (i) / 4 * 4), (i) % 4, mask)

/* Eight planes: for a list of an odd number of runs. */
static EBNN_WIDE_INLINE void neon_add_8(ebnn_lane_t *c, ebnn_lane_t *q, const uint8_t *base,
                                        const uint16_t *list, const uint64_t mask, const uint32_t width) {
    ebnn_lane_t h0, h1, h2, h3, a, b;
    NEON_ADD(h0, a, NEON_PLANE(0), NEON_PLANE(1), NEON_PLANE(2));
    NEON_ADD(h1, b, NEON_PLANE(3), NEON_PLANE(4), NEON_PLANE(5));
    neon_settle(c, q, width);
    NEON_ADD(h2, a, a, b, NEON_PLANE(6));
    NEON_ADD(h3, c[0], c[0], a, NEON_PLANE(7));
    NEON_ADD(q[0], h0, h0, h1, h2);
    NEON_ADD(q[1], c[1], h0, h3, c[1]);
    q[2] = q[3] = ebnn_lane_splat(0);
}

/* Sixteen planes. */
static EBNN_WIDE_INLINE void neon_add_16(ebnn_lane_t *c, ebnn_lane_t *q, const uint8_t *base,
                                         const uint16_t *list, const uint64_t mask, const uint32_t width) {
    ebnn_lane_t h0, h1, h2, h3, h4, h5, h6, h7, s0, s1, s2, s3, s4, e0, e1, carry;
    NEON_ADD(h0, s0, NEON_PLANE(0), NEON_PLANE(1), NEON_PLANE(2));
    NEON_ADD(h1, s1, NEON_PLANE(3), NEON_PLANE(4), NEON_PLANE(5));
    NEON_ADD(h2, s2, NEON_PLANE(6), NEON_PLANE(7), NEON_PLANE(8));
    NEON_ADD(e0, c[2], q[0], q[1], c[2]);
    NEON_ADD(h3, s3, NEON_PLANE(9), NEON_PLANE(10), NEON_PLANE(11));
    NEON_ADD(h4, s4, NEON_PLANE(12), NEON_PLANE(13), NEON_PLANE(14));
    NEON_ADD(e1, c[2], q[2], q[3], c[2]);
    NEON_ADD(h5, s0, s0, s1, s2);
    NEON_ADD(q[0], h0, h0, h1, h2);
    NEON_ADD(carry, c[3], e0, e1, c[3]);
    NEON_ADD(h6, s3, s3, s4, NEON_PLANE(15));
    NEON_ADD(q[1], h3, h3, h4, h5);
    NEON_ADD(h7, c[0], s0, s3, c[0]);
    ebnn_wide_ripple(c, carry, 4, width);
    NEON_ADD(q[2], h0, h0, h3, h6);
    NEON_ADD(q[3], c[1], h0, h7, c[1]);
}

/* sum = (sum of the positive list's codes) - (sum of the negative list's); returns the end of the lists. */
static EBNN_WIDE_INLINE const uint16_t *ebnn_wide_class_sum(const ebnn_wide_group_t *g, const uint16_t *list,
                                                            const uint32_t *runs, ebnn_lane_t *sum,
                                                            const uint32_t width) {
    /* With s before a bit's lists the counter holds ~s, and s - negative + positive + 16 after them; the bits
     * of a code are Horner's rule, so it starts low by 16 * (2^bits - 1) / 2^(bits - 1). */
    const uint32_t start = (((1u << g->bits) - 1u) << (5u - g->bits)) - 1u;
    uint64_t mask = 0xFFFF0u; /* an entry, in bytes */
    __asm__("" : "+r"(mask)); /* a register, or GCC takes the AND apart */
    const uint8_t *base = g->planes + g->bits * g->area;
    const uint16_t *end = list;
    EBNN_WIDE_UNROLL
    for (uint32_t i = 0; i < width; i++) {
        sum[i] = ebnn_lane_splat(0u - ((start >> i) & 1u));
    }
    for (uint32_t bit = g->bits; bit-- > 0u;) {
        ebnn_lane_t q[NEON_WAITING];
        q[0] = q[1] = q[2] = q[3] = ebnn_lane_splat(0);
        base -= g->area;
        end = list;
        for (uint32_t sign = 0; sign < 2u; sign++) {
            uint32_t n = runs[sign];
            if (n % 2u != 0u) {
                neon_add_8(sum, q, base, end, mask, width);
                end += 8;
            }
            for (n /= 2u; n != 0u; n--, end += 16) {
                neon_add_16(sum, q, base, end, mask, width);
            }
            if (sign == 0u) {
                ebnn_wide_flip(sum, width);
                ebnn_wide_flip(q, NEON_WAITING);
            }
        }
        neon_settle(sum, q, width);
        if (bit != 0u) {
            ebnn_wide_shift(sum, 1, width);
        }
    }
    return end;
}

#endif
