/*
 * Class sums of the wide bit-plane core: carry-save adders over the planes of a group's lists, then the four
 * outputs. Counters are two's complement numbers, one bit a lane; their width is a compile-time constant of
 * each instance. With EBNN_WIDE_TERNARY there are instances for groups of two and three ternary channels too.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_WIDE_SUM_H
#define EBNN_WIDE_SUM_H

#include "ebnn_wide.h"
#include "wide_add.h"
#include "wide_fill.h"

#define EBNN_WIDE_MAX_WIDTH 18u
#define EBNN_WIDE_PLANES                                                                                     \
    (EBNN_WIDE_MAX_WIDTH + 6u) /* of an output: 8 classes, two-plane weights, a guard                        \
                                */
typedef struct {
    const uint8_t *planes;   /* areas, one after another: wide_fill.h */
    size_t area;             /* bytes of an area */
    uint32_t bits;           /* of the activations */
    const uint16_t *list;    /* of the group */
    const uint16_t *batches; /* [class][negative, positive] of the group */
} ebnn_wide_group_t;

/* out (n + 1 bits) = a + b (n bits each). */
static EBNN_WIDE_INLINE void ebnn_wide_add(ebnn_lane_t *out, const ebnn_lane_t *a, const ebnn_lane_t *b,
                                           const uint32_t n) {
    ebnn_lane_t carry = ebnn_lane_splat(0);
    ebnn_lane_t top = carry;
    EBNN_WIDE_UNROLL
    for (uint32_t i = 0; i < n; i++) {
        const ebnn_lane_t x = a[i], y = b[i];
        top = ebnn_lane_xor(x, y);
        out[i] = ebnn_lane_xor(top, carry);
        carry = ebnn_lane_majority(x, y, carry);
    }
    out[n] = ebnn_lane_xor(top, carry); /* the sum of the sign extensions: top is x ^ y of the sign bits */
}

/* out (n bits) = 2 * a - b; a has n - 1 bits or fewer (na), b n bits. */
static EBNN_WIDE_INLINE void ebnn_wide_double_minus(ebnn_lane_t *out, const ebnn_lane_t *a, const uint32_t na,
                                                    const ebnn_lane_t *b, const uint32_t n) {
    const ebnn_lane_t ones = ebnn_lane_splat(0xFFFFFFFFu);
    ebnn_lane_t carry = ebnn_lane_xor(b[0], ones); /* bit 0: 0 + ~b + 1 */
    out[0] = b[0];
    EBNN_WIDE_UNROLL
    for (uint32_t i = 1; i < n; i++) {
        const ebnn_lane_t x = a[i - 1u < na ? i - 1u : na - 1u];
        const ebnn_lane_t y = ebnn_lane_xor(b[i], ones);
        out[i] = ebnn_lane_xor3(x, y, carry);
        carry = ebnn_lane_majority(x, y, carry);
    }
}

/* A sum times 2^by, flipped. */
static EBNN_WIDE_INLINE void ebnn_wide_shift(ebnn_lane_t *sum, const uint32_t by, const uint32_t width) {
    EBNN_WIDE_UNROLL
    for (uint32_t i = width; i-- > 0u;) {
        sum[i] = i < by ? ebnn_lane_splat(0) : sum[i - by];
    }
    ebnn_wide_flip(sum, width);
}

/* A lane header may bring this function of its own (same name, same contract). */
#ifdef EBNN_WIDE_CLASS_HEADER
#include EBNN_WIDE_CLASS_HEADER
#else
/* sum = (sum of the positive list's codes) - (sum of the negative list's); runs: of 8 planes, negative and
 * positive; returns the end of the lists. */
static EBNN_WIDE_INLINE const uint16_t *ebnn_wide_class_sum(const ebnn_wide_group_t *g, const uint16_t *list,
                                                            const uint32_t *runs, ebnn_lane_t *sum,
                                                            const uint32_t width) {
    uint32_t bits = g->bits;
    EBNN_WIDE_UNROLL
    for (uint32_t i = 0; i < width; i++) {
        sum[i] = ebnn_lane_splat(0xFFFFFFFFu); /* 0, flipped: ~(~sum + n) = sum - n */
    }
    while (bits % EBNN_WIDE_BITS != 0u || EBNN_WIDE_BITS == 1u) {
        bits--;
        const uint8_t *base = g->planes + bits / EBNN_WIDE_BITS * g->area;
        const uint16_t *end = ebnn_wide_add_runs(sum, base, list, runs[0], width);
        ebnn_wide_flip(sum, width);
        end = ebnn_wide_add_runs(sum, base, end, runs[1], width);
        if (bits == 0u) {
            return end;
        }
        ebnn_wide_shift(sum, EBNN_WIDE_BITS, width);
    }
#ifdef EBNN_WIDE_PAIRS
    for (;;) {
        bits -= 2u;
        const uint8_t *base = g->planes + bits / 2u * g->area;
        const uint16_t *end = list;
        for (uint32_t sign = 0; sign < 2u; sign++) { /* one copy of the adders of pairs an instance */
            if (sign != 0u) {
                ebnn_wide_flip(sum, width);
            }
            end = ebnn_wide_add_pairs(sum, base, end, runs[sign], width);
        }
        if (bits == 0u) {
            return end;
        }
        ebnn_wide_shift(sum, 2, width);
    }
#endif
}
#endif

/* The sums of all classes of a group, one after another in its lists. */
static EBNN_WIDE_INLINE void ebnn_wide_classes(const ebnn_wide_group_t *g,
                                               ebnn_lane_t (*c)[EBNN_WIDE_MAX_WIDTH], const uint32_t classes,
                                               const uint32_t width) {
    const uint16_t *list = g->list;
    for (uint32_t j = 0; j < classes; j++) {
        const uint32_t runs[2] = {g->batches[2u * j], g->batches[2u * j + 1u]};
        ebnn_lane_t sum[EBNN_WIDE_MAX_WIDTH];
        list = ebnn_wide_class_sum(g, list, runs, sum, width);
        EBNN_WIDE_UNROLL
        for (uint32_t i = 0; i < width; i++) {
            c[j][i] = sum[i];
        }
    }
}

/* The four sums of signed codes of a group: d[i], width + 3 bits. */
static EBNN_WIDE_INLINE void ebnn_wide_sum(const ebnn_wide_group_t *g, ebnn_lane_t (*d)[EBNN_WIDE_PLANES],
                                           const uint32_t width) {
    ebnn_lane_t c[8][EBNN_WIDE_MAX_WIDTH];
    ebnn_wide_classes(g, c, 8, width);
    /* d[0] = sum of all classes, d[i] = 2 * (sum of the classes with bit i - 1) - d[0] */
    ebnn_lane_t s01[EBNN_WIDE_PLANES], s23[EBNN_WIDE_PLANES], s45[EBNN_WIDE_PLANES], s67[EBNN_WIDE_PLANES];
    ebnn_lane_t a[EBNN_WIDE_PLANES], b[EBNN_WIDE_PLANES], p[EBNN_WIDE_PLANES];
    ebnn_wide_add(s01, c[0], c[1], width);
    ebnn_wide_add(s23, c[2], c[3], width);
    ebnn_wide_add(s45, c[4], c[5], width);
    ebnn_wide_add(s67, c[6], c[7], width);
    ebnn_wide_add(a, s01, s23, width + 1u);
    ebnn_wide_add(b, s45, s67, width + 1u);
    ebnn_wide_add(d[0], a, b, width + 2u);
    ebnn_wide_double_minus(d[3], b, width + 2u, d[0], width + 3u);
    ebnn_wide_add(p, s23, s67, width + 1u);
    ebnn_wide_double_minus(d[2], p, width + 2u, d[0], width + 3u);
    ebnn_wide_add(s01, c[1], c[3], width);
    ebnn_wide_add(s45, c[5], c[7], width);
    ebnn_wide_add(p, s01, s45, width + 1u);
    ebnn_wide_double_minus(d[1], p, width + 2u, d[0], width + 3u);
}

#ifdef EBNN_WIDE_TERNARY
/* out = a + b, or a - b where `minus`: na and nb bits, out one more than the wider. */
static EBNN_WIDE_INLINE void ebnn_wide_combine(ebnn_lane_t *out, const ebnn_lane_t *a, const uint32_t na,
                                               const ebnn_lane_t *b, const uint32_t nb, const int minus) {
    const uint32_t n = na > nb ? na : nb;
    const ebnn_lane_t flip = ebnn_lane_splat(minus ? 0xFFFFFFFFu : 0u);
    ebnn_lane_t carry = flip, top = flip;
    EBNN_WIDE_UNROLL
    for (uint32_t i = 0; i < n; i++) {
        const ebnn_lane_t x = a[i < na ? i : na - 1u];
        const ebnn_lane_t y = minus ? ebnn_lane_xor(b[i < nb ? i : nb - 1u], flip) : b[i < nb ? i : nb - 1u];
        top = ebnn_lane_xor(x, y);
        out[i] = ebnn_lane_xor(top, carry);
        carry = ebnn_lane_majority(x, y, carry);
    }
    out[n] = ebnn_lane_xor(top, carry);
}

/* The two sums of a group of ternary channels a, b: d[i], width + 2 bits. Class 3 a + b - 1 holds the
 * elements with these weights, or their negatives. */
static EBNN_WIDE_INLINE void ebnn_wide_sum_two(const ebnn_wide_group_t *g, ebnn_lane_t (*d)[EBNN_WIDE_PLANES],
                                               const uint32_t width) {
    ebnn_lane_t x[4][EBNN_WIDE_MAX_WIDTH]; /* (a, b) = (0, 1), (1, -1), (1, 0), (1, 1) */
    ebnn_lane_t p[EBNN_WIDE_PLANES];
    ebnn_wide_classes(g, x, 4, width);
    ebnn_wide_combine(p, x[3], width, x[1], width, 0);
    ebnn_wide_combine(d[0], p, width + 1u, x[2], width, 0);
    ebnn_wide_combine(p, x[3], width, x[1], width, 1);
    ebnn_wide_combine(d[1], p, width + 1u, x[0], width, 0);
}

/* The three sums of a group of ternary channels a, b, c: d[i], width + 4 bits. Class 9 a + 3 b + c - 1 holds
 * the elements with these weights, or their negatives. */
static EBNN_WIDE_INLINE void ebnn_wide_sum_three(const ebnn_wide_group_t *g,
                                                 ebnn_lane_t (*d)[EBNN_WIDE_PLANES], const uint32_t width) {
    ebnn_lane_t x[13][EBNN_WIDE_MAX_WIDTH];
    ebnn_lane_t all[4][EBNN_WIDE_PLANES],
        rest[4][EBNN_WIDE_PLANES]; /* (a, b) = (0, 1), (1, -1), (1, 0), (1, 1) */
    ebnn_lane_t p[EBNN_WIDE_PLANES], q[EBNN_WIDE_PLANES], r[EBNN_WIDE_PLANES];
    ebnn_wide_classes(g, x, 13, width);
    for (uint32_t i = 0; i < 4u; i++) {
        const ebnn_lane_t(*of)[EBNN_WIDE_MAX_WIDTH] =
            (const ebnn_lane_t(*)[EBNN_WIDE_MAX_WIDTH])x + 3u * i + 1u;
        ebnn_wide_combine(p, of[0], width, of[2], width, 0);
        ebnn_wide_combine(all[i], p, width + 1u, of[1], width, 0);
        ebnn_wide_combine(rest[i], of[2], width, of[0], width,
                          1); /* those with c = 1 without those with -1 */
    }
    ebnn_wide_combine(p, all[3], width + 2u, all[1], width + 2u, 0);
    ebnn_wide_combine(d[0], p, width + 3u, all[2], width + 2u, 0);
    ebnn_wide_combine(p, all[3], width + 2u, all[1], width + 2u, 1);
    ebnn_wide_combine(d[1], p, width + 3u, all[0], width + 2u, 0);
    ebnn_wide_combine(p, rest[0], width + 1u, rest[1], width + 1u, 0);
    ebnn_wide_combine(q, rest[2], width + 1u, rest[3], width + 1u, 0);
    ebnn_wide_combine(r, p, width + 2u, q, width + 2u, 0);
    ebnn_wide_combine(d[2], r, width + 3u, x[0], width, 0);
}
#endif

#ifdef EBNN_WIDE_PAIRS
/* n sums of `width` bits, of bit 0 in the lower half of the lane and of bit 1 in the upper: those of the
 * codes in the lower half. */
static inline void ebnn_wide_join(ebnn_lane_t (*d)[EBNN_WIDE_PLANES], uint32_t n, uint32_t width) {
    for (uint32_t i = 0; i < n; i++) {
        ebnn_lane_t carry = ebnn_lane_splat(0), below = d[i][0];
        for (uint32_t bit = 1; bit < width; bit++) { /* + twice the upper half */
            const ebnn_lane_t x = d[i][bit], y = ebnn_lane_upper(below);
            below = x;
            d[i][bit] = ebnn_lane_xor3(x, y, carry);
            carry = ebnn_lane_majority(x, y, carry);
        }
    }
}
#endif

typedef void (*ebnn_wide_sum_t)(const ebnn_wide_group_t *g, ebnn_lane_t (*d)[EBNN_WIDE_PLANES]);

/* The widths of sums that there are; pack_wide.py knows the list. */
#define EBNN_WIDE_WIDTHS(X) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(12) X(14) X(18)
/* Those of groups of two and of three ternary channels: name, classes, width. */
/* clang-format off */
#define EBNN_WIDE_TERNARY_SUMS(X)                                                                            \
    X(two, 4, 4) X(two, 4, 5) X(two, 4, 6) X(two, 4, 7) X(two, 4, 8)                                         \
    X(three, 13, 6) X(three, 13, 7) X(three, 13, 8) X(three, 13, 9) X(three, 13, 10) X(three, 13, 12)
/* clang-format on */

#define EBNN_WIDE_INSTANCE(n)                                                                                \
    static __attribute__((noinline)) void wide_sum_##n(const ebnn_wide_group_t *g,                           \
                                                       ebnn_lane_t(*d)[EBNN_WIDE_PLANES]) {                  \
        ebnn_wide_sum(g, d, n##u);                                                                           \
    }
#define EBNN_WIDE_TERNARY_INSTANCE(name, classes, n)                                                         \
    static __attribute__((noinline)) void wide_##name##_##n(const ebnn_wide_group_t *g,                      \
                                                            ebnn_lane_t(*d)[EBNN_WIDE_PLANES]) {             \
        ebnn_wide_sum_##name(g, d, n##u);                                                                    \
    }
#define EBNN_WIDE_CASE(n)                                                                                    \
    case n##u:                                                                                               \
        return wide_sum_##n;
#define EBNN_WIDE_TERNARY_CASE(name, classes, n)                                                             \
    case n##u + 256u * classes##u:                                                                           \
        return wide_##name##_##n;

/* clang-format off */
EBNN_WIDE_WIDTHS(EBNN_WIDE_INSTANCE)
#ifdef EBNN_WIDE_TERNARY
EBNN_WIDE_TERNARY_SUMS(EBNN_WIDE_TERNARY_INSTANCE)
#endif

/* The instance for sums of `width` bits, or NULL. */
static inline ebnn_wide_sum_t ebnn_wide_sum_of(uint32_t width) {
    switch (width) {
    EBNN_WIDE_WIDTHS(EBNN_WIDE_CASE)
    default:
        return NULL;
    }
}

/* The same for groups of ternary channels: two with 4 classes, three with 13. */
static inline ebnn_wide_sum_t ebnn_wide_ternary_sum_of(uint32_t width, uint32_t classes) {
    switch (width + 256u * classes) {
#ifdef EBNN_WIDE_TERNARY
    EBNN_WIDE_TERNARY_SUMS(EBNN_WIDE_TERNARY_CASE)
#endif
    default:
        return NULL;
    }
}
/* clang-format on */

#endif
