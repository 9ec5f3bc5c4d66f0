/*
 * Sums of weight rows, bit by bit, an output channel a lane: of the rows that lists name.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_WIDE_ROWS_SUM_H
#define EBNN_WIDE_ROWS_SUM_H

#include "ebnn_wide.h"
#include "wide_add.h"

#define EBNN_ROWS_MOST 16u   /* planes of a sum */
#define EBNN_ROWS_STREAMS 3u /* bit planes of inputs that are added up together, at most */

/* What one vector of channels adds up. Streams are the bit planes of the codes of a pixel, or of b1 pixels.
 * Inputs are in class k where bit j of k tells whether stream j has a 1: rows that several streams need are
 * added once. */
typedef struct {
    const uint8_t *rows[2];                  /* of the vector: added, and (ternary) subtracted */
    const uint16_t *list;                    /* of class 1, 2 ..., one after another */
    const uint32_t *runs;                    /* [class - 1]: runs of 8 entries */
    const uint8_t *start[EBNN_ROWS_STREAMS]; /* [pixel]: planes that the sum is added to */
    const uint32_t *flipped;                 /* [pixel]: bit by bit of the code: its rows are subtracted */
} ebnn_rows_group_t;

/* c += the rows of the next list; ternary: minus those of rows[1] too, or, swapped, the negative of both. */
static EBNN_WIDE_INLINE const uint16_t *ebnn_rows_class(ebnn_lane_t *c, const ebnn_rows_group_t *g,
                                                        const uint16_t *list, uint32_t runs, uint32_t swapped,
                                                        const uint32_t ternary, const uint32_t width) {
    const uint16_t *end = list;
    for (uint32_t i = 0; i <= ternary; i++) {
        end = ebnn_wide_add_runs(c, g->rows[i ^ swapped], list, runs, width);
        if (ternary != 0u) {
            ebnn_wide_flip(c, width); /* ~(~c + n) = c - n */
        }
    }
    return end;
}

/* out = a + b, or a - b where `minus` is ~0, modulo 2^width. */
static EBNN_WIDE_INLINE void ebnn_rows_add(ebnn_lane_t *out, const ebnn_lane_t *a, const ebnn_lane_t *b,
                                           uint32_t minus, const uint32_t width) {
    const ebnn_lane_t flip = ebnn_lane_splat(minus);
    ebnn_lane_t carry = flip;
    EBNN_WIDE_UNROLL
    for (uint32_t i = 0; i < width; i++) {
        FULL_ADD(carry, out[i], a[i], ebnn_lane_xor(b[i], flip), carry);
    }
}

static EBNN_WIDE_INLINE void ebnn_rows_load(ebnn_lane_t *c, const uint8_t *planes, const uint32_t width) {
    EBNN_WIDE_UNROLL
    for (uint32_t i = 0; i < width; i++) {
        c[i] = ebnn_lane_load(planes + (size_t)i * EBNN_LANE_BYTES);
    }
}

/* One b1 pixel: c = start + sum, or start - sum; without branches, as either comes often. */
static EBNN_WIDE_INLINE void ebnn_rows_one(const ebnn_rows_group_t *g, ebnn_lane_t (*out)[EBNN_ROWS_MOST],
                                           const uint32_t ternary, const uint32_t width) {
    const uint32_t flip = ternary == 0u && g->flipped[0] != 0u;
    ebnn_lane_t c[EBNN_ROWS_MOST];
    ebnn_rows_load(c, g->start[0], width);
    if (flip) {
        ebnn_wide_flip(c, width);
    }
    ebnn_rows_class(c, g, g->list, g->runs[0], ternary & g->flipped[0], ternary, width);
    if (flip) {
        ebnn_wide_flip(c, width);
    }
    EBNN_WIDE_UNROLL
    for (uint32_t i = 0; i < width; i++) {
        out[0][i] = c[i];
    }
}

/* The sums of `classes` classes. */
static EBNN_WIDE_INLINE void ebnn_rows_classes(const ebnn_rows_group_t *g,
                                               ebnn_lane_t (*sums)[EBNN_ROWS_MOST], const uint32_t classes,
                                               const uint32_t ternary, const uint32_t width) {
    const uint16_t *list = g->list;
    for (uint32_t k = 0; k < classes; k++) {
        ebnn_lane_t c[EBNN_ROWS_MOST];
        EBNN_WIDE_UNROLL
        for (uint32_t i = 0; i < width; i++) {
            c[i] = ebnn_lane_splat(0);
        }
        list = ebnn_rows_class(c, g, list, g->runs[k], 0, ternary, width);
        EBNN_WIDE_UNROLL
        for (uint32_t i = 0; i < width; i++) {
            sums[k][i] = c[i];
        }
    }
}

/* One u2 pixel: c = start +- sum of bit 0 +- 2 * sum of bit 1. */
static EBNN_WIDE_INLINE void ebnn_rows_two(const ebnn_rows_group_t *g, ebnn_lane_t (*out)[EBNN_ROWS_MOST],
                                           const uint32_t ternary, const uint32_t width) {
    ebnn_lane_t k[3][EBNN_ROWS_MOST], c[EBNN_ROWS_MOST], start[EBNN_ROWS_MOST];
    ebnn_rows_classes(g, k, 3, ternary, width);
    ebnn_rows_load(start, g->start[0], width);
    ebnn_rows_add(c, k[1], k[2], 0, width); /* bit 1, then doubled */
    EBNN_WIDE_UNROLL
    for (uint32_t i = width - 1u; i > 0u; i--) {
        c[i] = c[i - 1u];
    }
    c[0] = ebnn_lane_splat(0);
    ebnn_rows_add(start, start, c, 0u - (g->flipped[0] >> 1), width);
    ebnn_rows_add(c, k[0], k[2], 0, width);
    ebnn_rows_add(out[0], start, c, 0u - (g->flipped[0] & 1u), width);
}

/* Three b1 pixels. */
static EBNN_WIDE_INLINE void ebnn_rows_three(const ebnn_rows_group_t *g, ebnn_lane_t (*out)[EBNN_ROWS_MOST],
                                             const uint32_t ternary, const uint32_t width) {
    ebnn_lane_t k[7][EBNN_ROWS_MOST], a[EBNN_ROWS_MOST], b[EBNN_ROWS_MOST];
    ebnn_rows_classes(g, k, 7, ternary, width);
    ebnn_rows_add(a, k[2], k[6], 0, width); /* classes 3 and 7, of pixels 0 and 1 */
    ebnn_rows_add(b, k[0], k[4], 0, width);
    ebnn_rows_add(out[0], a, b, 0, width);
    ebnn_rows_add(b, k[1], k[5], 0, width);
    ebnn_rows_add(out[1], a, b, 0, width);
    ebnn_rows_add(a, k[3], k[4], 0, width);
    ebnn_rows_add(b, k[5], k[6], 0, width);
    ebnn_rows_add(out[2], a, b, 0, width);
    for (uint32_t i = 0; i < 3u; i++) {
        ebnn_rows_load(a, g->start[i], width);
        ebnn_rows_add(out[i], a, out[i], 0u - g->flipped[i], width);
    }
}

typedef void (*ebnn_rows_sum_t)(const ebnn_rows_group_t *g, ebnn_lane_t (*out)[EBNN_ROWS_MOST]);

/* The widths of sums that there are; pack_rows.py knows the list. */
#define EBNN_ROWS_WIDTHS(X) X(8) X(10) X(12) X(14) X(16)
/* Streams and the kind of weights. */
#define EBNN_ROWS_SUMS(X, n) X(one, 0, n) X(one, 1, n) X(two, 0, n) X(two, 1, n) X(three, 1, n)

#define EBNN_ROWS_INSTANCE(name, ternary, n)                                                                 \
    static __attribute__((noinline)) void rows_##name##_##ternary##_##n(const ebnn_rows_group_t *g,          \
                                                                        ebnn_lane_t(*out)[EBNN_ROWS_MOST]) { \
        ebnn_rows_##name(g, out, ternary, n##u);                                                             \
    }
/* clang-format off */
#define EBNN_ROWS_INSTANCES(n) EBNN_ROWS_SUMS(EBNN_ROWS_INSTANCE, n)
EBNN_ROWS_WIDTHS(EBNN_ROWS_INSTANCES)

/* The instance for so many streams and planes, or NULL. */
static inline ebnn_rows_sum_t ebnn_rows_sum_of(uint32_t streams, uint32_t ternary, uint32_t width) {
    enum { one = 1, two = 2, three = 3 };
    switch (width + 32u * ternary + 64u * streams) {
#define EBNN_ROWS_CASE(name, ternary, n)                                                                     \
    case n##u + 32u * ternary##u + 64u * (uint32_t)name:                                                     \
        return rows_##name##_##ternary##_##n;
#define EBNN_ROWS_CASES(n) EBNN_ROWS_SUMS(EBNN_ROWS_CASE, n)
    EBNN_ROWS_WIDTHS(EBNN_ROWS_CASES)
    default:
        return NULL;
    }
}
/* clang-format on */
#undef EBNN_ROWS_CASES
#undef EBNN_ROWS_CASE
#undef EBNN_ROWS_INSTANCES
#undef EBNN_ROWS_INSTANCE

#endif
