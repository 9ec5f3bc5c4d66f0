/*
 * Carry-save adders of the wide bit-plane core: runs of 8 planes onto counters, which are two's complement
 * numbers, one bit a lane. The width of a counter is a compile-time constant of each caller.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_WIDE_ADD_H
#define EBNN_WIDE_ADD_H

#include <string.h>

#include "ebnn_wide.h"

#define EBNN_WIDE_INLINE inline __attribute__((always_inline))

#if defined(__clang__)
#define EBNN_WIDE_UNROLL _Pragma("clang loop unroll(full)")
#else
#define EBNN_WIDE_UNROLL _Pragma("GCC unroll 24")
#endif

/* a + b + c = low + 2 * high. */
#define FULL_ADD(high, low, a_, b_, c_)                                                                      \
    do {                                                                                                     \
        const ebnn_lane_t fa = (a_), fb = (b_), fc = (c_);                                                   \
        (high) = ebnn_lane_majority(fa, fb, fc);                                                             \
        (low) = ebnn_lane_xor3(fa, fb, fc);                                                                  \
    } while (0)

/* Adds a carry of weight 2^from to the counter c of `width` bits. */
static EBNN_WIDE_INLINE void ebnn_wide_ripple(ebnn_lane_t *c, ebnn_lane_t carry, const uint32_t from,
                                              const uint32_t width) {
    EBNN_WIDE_UNROLL
    for (uint32_t i = from; i < width; i++) {
        const ebnn_lane_t next = ebnn_lane_and(c[i], carry);
        c[i] = ebnn_lane_xor(c[i], carry);
        carry = next;
    }
}

/* Entry i of a list: where its plane lies, in units. */
static EBNN_WIDE_INLINE size_t ebnn_wide_entry(const uint16_t *list, const uint32_t i) {
#ifdef EBNN_LANE_ENTRY /* four entries a load */
    uint64_t four;
    memcpy(&four, list + i / 4u * 4u, sizeof four);
    return ebnn_lane_entry(four, i % 4u);
#else
    return list[i];
#endif
}

/* Eight planes, `from` bytes after those of the entries, and s1, s2, s4: counters of weight 1, 2 and 4.
 * Returns the carry of weight 8. */
#define PLANE(i) ebnn_lane_load(base + ebnn_wide_entry(list, i) * EBNN_LANE_UNIT + from)
static EBNN_WIDE_INLINE ebnn_lane_t ebnn_wide_add_eight(ebnn_lane_t *s1, ebnn_lane_t *s2, ebnn_lane_t *s4,
                                                        const uint8_t *base, const uint16_t *list,
                                                        const size_t from) {
    ebnn_lane_t a, b, h0, h1, h2, h3, q0, q1, carry;
    FULL_ADD(h0, a, PLANE(0), PLANE(1), PLANE(2));
    FULL_ADD(h1, b, PLANE(3), PLANE(4), PLANE(5));
    FULL_ADD(h2, a, a, b, PLANE(6));
    FULL_ADD(h3, *s1, *s1, a, PLANE(7));
    FULL_ADD(q0, h0, h0, h1, h2);
    FULL_ADD(q1, *s2, *s2, h0, h3);
    FULL_ADD(carry, *s4, *s4, q0, q1);
    return carry;
}
#undef PLANE

/* Adds n runs of 8 planes to the counter c of `width` bits, four runs at a time, so that only one of four
 * carries of weight 8 goes on to the bits above 16. */
static EBNN_WIDE_INLINE const uint16_t *ebnn_wide_add_runs(ebnn_lane_t *c, const uint8_t *base,
                                                           const uint16_t *list, uint32_t n,
                                                           const uint32_t width) {
    /* cppcheck-suppress ctuArrayIndex ; every caller's counter has `width` planes, 4 or more */
    ebnn_lane_t s1 = c[0], s2 = c[1], s4 = c[2];
#define ADD_EIGHT(carry)                                                                                     \
    do {                                                                                                     \
        (carry) = ebnn_wide_add_eight(&s1, &s2, &s4, base, list, 0);                                         \
        list += 8;                                                                                           \
    } while (0)
#define ADD_SIXTEEN(carry)                                                                                   \
    do {                                                                                                     \
        ebnn_lane_t two[2];                                                                                  \
        ADD_EIGHT(two[0]);                                                                                   \
        ADD_EIGHT(two[1]);                                                                                   \
        FULL_ADD(carry, c[3], c[3], two[0], two[1]);                                                         \
    } while (0)
    for (; width > 4u && n >= 4u; n -= 4u) {
        ebnn_lane_t a, b, carry;
        ADD_SIXTEEN(a);
        ADD_SIXTEEN(b);
        FULL_ADD(carry, c[4], c[4], a, b);
        ebnn_wide_ripple(c, carry, 5, width);
    }
    for (; n >= 2u; n -= 2u) {
        ebnn_lane_t carry;
        ADD_SIXTEEN(carry);
        ebnn_wide_ripple(c, carry, 4, width);
    }
    if (n != 0u) {
        ebnn_lane_t carry;
        ADD_EIGHT(carry);
        ebnn_wide_ripple(c, carry, 3, width);
    }
#undef ADD_SIXTEEN
#undef ADD_EIGHT
    c[0] = s1;
    c[1] = s2;
    c[2] = s4;
    return list;
}

#ifdef EBNN_WIDE_PAIRS
/* The same for runs of 8 elements of two planes each, side by side, the second of twice the weight. */
static EBNN_WIDE_INLINE const uint16_t *ebnn_wide_add_pairs(ebnn_lane_t *c, const uint8_t *base,
                                                            const uint16_t *list, uint32_t n,
                                                            const uint32_t width) {
    ebnn_lane_t s1 = c[0], s2 = c[1], s4 = c[2], s8 = c[3];
#define ADD_EIGHT(low, high)                                                                                 \
    do {                                                                                                     \
        (low) = ebnn_wide_add_eight(&s1, &s2, &s4, base, list, 0);                                           \
        (high) = ebnn_wide_add_eight(&s2, &s4, &s8, base, list, EBNN_LANE_BYTES);                            \
        list += 8;                                                                                           \
    } while (0)
    for (; width > 6u && n >= 4u; n -= 4u) {
        ebnn_lane_t l0, l1, h0, h1, e, f, t, v, carry;
        ADD_EIGHT(l0, h0);
        ADD_EIGHT(l1, h1);
        FULL_ADD(e, s8, s8, l0, l1);
        FULL_ADD(t, c[4], c[4], h0, h1);
        ADD_EIGHT(l0, h0);
        ADD_EIGHT(l1, h1);
        FULL_ADD(f, s8, s8, l0, l1);
        FULL_ADD(v, e, e, f, h0);
        FULL_ADD(f, c[4], c[4], e, h1);
        FULL_ADD(carry, t, t, v, f);
        v = ebnn_lane_and(c[5], t);
        c[5] = ebnn_lane_xor(c[5], t);
        FULL_ADD(carry, c[6], c[6], v, carry);
        ebnn_wide_ripple(c, carry, 7, width);
    }
    for (; n >= 2u; n -= 2u) {
        ebnn_lane_t two[2], four[2], carry;
        ADD_EIGHT(two[0], four[0]);
        ADD_EIGHT(two[1], four[1]);
        FULL_ADD(carry, s8, s8, two[0], two[1]);
        if (width > 4u) {
            ebnn_lane_t twice, and;
            FULL_ADD(twice, carry, carry, four[0], four[1]);
            and = ebnn_lane_and(c[4], carry);
            c[4] = ebnn_lane_xor(c[4], carry);
            if (width > 5u) {
                FULL_ADD(carry, c[5], c[5], twice, and);
                ebnn_wide_ripple(c, carry, 6, width);
            }
        }
    }
    if (n != 0u) {
        ebnn_lane_t a8, a16, carry;
        ADD_EIGHT(a8, a16);
        carry = ebnn_lane_and(s8, a8);
        s8 = ebnn_lane_xor(s8, a8);
        if (width > 4u) {
            FULL_ADD(carry, c[4], c[4], carry, a16);
            ebnn_wide_ripple(c, carry, 5, width);
        }
    }
#undef ADD_EIGHT
    c[0] = s1;
    c[1] = s2;
    c[2] = s4;
    c[3] = s8;
    return list;
}
#endif

static EBNN_WIDE_INLINE void ebnn_wide_flip(ebnn_lane_t *c, const uint32_t width) {
    const ebnn_lane_t ones = ebnn_lane_splat(0xFFFFFFFFu);
    EBNN_WIDE_UNROLL
    for (uint32_t i = 0; i < width; i++) {
        c[i] = ebnn_lane_xor(c[i], ones);
    }
}

#endif
