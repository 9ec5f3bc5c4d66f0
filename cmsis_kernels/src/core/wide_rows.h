/*
 * Low-bit convolution by weight rows: output channels along the lanes, for every pixel the rows of the inputs
 * that are 1 (ebnn_wide.h says what it computes).
 *
 * A lane header stands before this one (wide.h and wide_dot.h list what it defines), and a header with
 * ebnn_rows_ones, ebnn_rows_list and ebnn_rows_list_few (avx2/rows_list.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_WIDE_ROWS_H
#define EBNN_WIDE_ROWS_H

#include "wide_dot.h"
#include "wide_rows_sum.h"

#define EBNN_ROWS_LANES (8u * EBNN_LANE_BYTES)

/* The lists of a group: a pixel, or three b1 pixels. */
typedef struct {
    uint32_t runs[7];                    /* of each class */
    uint32_t ones[EBNN_ROWS_STREAMS];    /* [pixel]: sum of the codes */
    uint32_t flipped[EBNN_ROWS_STREAMS]; /* [pixel]: bit by bit: zeros are listed, as these are fewer */
    uint32_t first, pixels;
} ebnn_rows_lists_t;

/* Where the parts of the scratch lie, in bytes. */
typedef struct {
    size_t words, lists, entries, end; /* after the words of the taps: those of a class, ... */
    size_t stride;                     /* entries of a group */
} ebnn_rows_scratch_t;

/* b1 pixels that are added up together: three with two rows for each input, as they share most. */
static inline uint32_t ebnn_rows_together(const ebnn_bconv_dot_params_t *l) {
    return l->weight_kind == 2u && l->in_bits == 1u ? 3u : 1u;
}

static inline ebnn_rows_scratch_t ebnn_rows_scratch(const ebnn_bconv_rows_params_t *p) {
    const ebnn_bconv_dot_params_t *l = &p->layer;
    const uint32_t words = ebnn_dot_words(&l->dims), together = ebnn_rows_together(l);
    const uint32_t groups = together == 1u ? l->block_pixels : l->block_pixels / 3u + 2u;
    ebnn_rows_scratch_t s;
    s.words = ebnn_dot_buffer_size(l);
    s.lists = s.words + 4u * words;
    s.entries = s.lists + groups * sizeof(ebnn_rows_lists_t);
    /* one stream: half of the inputs at most; classes: every input once, all filled up */
    s.stride = together == 1u && l->in_bits == 1u ? 16u * words + 32u : 32u * words + 7u * 16u + 16u;
    s.end = s.entries + groups * s.stride * sizeof(uint16_t);
    return s;
}

static inline uint32_t ebnn_rows_buffer_size(const ebnn_bconv_rows_params_t *p) {
    return (uint32_t)ebnn_rows_scratch(p).end;
}

/* out = the inputs of class k of n streams x, each flipped as flips say. */
static inline void ebnn_rows_class_words(const uint32_t *const *x, const uint32_t *flips, uint32_t n,
                                         uint32_t k, uint32_t words, uint32_t *out) {
    uint32_t f[EBNN_ROWS_STREAMS] = {0}; /* a class wants 0 of the streams that are no bits of k */
    for (uint32_t j = 0; j < n; j++) {
        f[j] = flips[j] ^ (((k >> j) & 1u) - 1u);
    }
    if (n == 2u) {
        for (uint32_t i = 0; i < words; i++) {
            out[i] = (x[0][i] ^ f[0]) & (x[1][i] ^ f[1]);
        }
    } else {
        for (uint32_t i = 0; i < words; i++) {
            out[i] = (x[0][i] ^ f[0]) & (x[1][i] ^ f[1]) & (x[2][i] ^ f[2]);
        }
    }
}

/* Lists of a group whose pixels' words are x: [pixel][bit][words]. */
static inline void ebnn_rows_make(const ebnn_bconv_dot_params_t *l, const uint32_t *x, uint32_t words,
                                  uint32_t *class_words, ebnn_rows_lists_t *lists, uint16_t *entries) {
    const uint32_t *streams[EBNN_ROWS_STREAMS];
    uint32_t flips[EBNN_ROWS_STREAMS], n = 0;
    const int pairs = l->weight_kind == 2u; /* of rows */
    for (uint32_t i = 0; i < lists->pixels; i++) {
        lists->ones[i] = lists->flipped[i] = 0;
        for (uint32_t bit = 0; bit < l->in_bits; bit++, n++, x += words) {
            const uint32_t ones = ebnn_rows_ones(x, words), flip = ones > 16u * words;
            lists->ones[i] += ones << bit;
            lists->flipped[i] |= flip << bit;
            streams[n] = x;
            flips[n] = 0u - flip;
        }
    }
    if (n == 1u) {
        lists->runs[0] = pairs ? ebnn_rows_list(streams[0], words, flips[0], 1, 4, entries)
                               : ebnn_rows_list(streams[0], words, flips[0], 0, 4, entries);
        return;
    }
    for (uint32_t k = 1; k < 1u << n; k++) {
        ebnn_rows_class_words(streams, flips, n, k, words, class_words);
        lists->runs[k - 1u] = n == 3u ? ebnn_rows_list_few(class_words, words, 2, entries)
                              : pairs ? ebnn_rows_list(class_words, words, 0, 1, 2, entries)
                                      : ebnn_rows_list(class_words, words, 0, 0, 2, entries);
        entries += 8u * lists->runs[k - 1u];
    }
}

/* Lanes where the sum of `width` planes is at least `least`. */
static inline ebnn_lane_t ebnn_rows_reaches(const ebnn_lane_t *c, uint32_t width, uint32_t least) {
    ebnn_lane_t carry = ebnn_lane_splat(0xFFFFFFFFu); /* out of sum + ~least + 1 */
    for (uint32_t i = 0; i < width; i++) {
        carry = ebnn_lane_majority(c[i], ebnn_lane_splat(((least >> i) & 1u) - 1u), carry);
    }
    return carry;
}

/* Where a pixel's planes lie among [set][kinds][vector][width] lanes, in bytes. */
static inline size_t ebnn_rows_planes(const ebnn_bconv_rows_params_t *p, uint32_t set, uint32_t kind,
                                      uint32_t v) {
    const size_t vectors = ((size_t)p->layer.dims.out_c + EBNN_ROWS_LANES - 1u) / EBNN_ROWS_LANES;
    return (((size_t)set * p->kinds + kind) * vectors + v) * p->width * EBNN_LANE_BYTES;
}

/* c += the planes of `step` */
static inline void ebnn_rows_step(ebnn_lane_t *c, const uint8_t *step, uint32_t width) {
    ebnn_lane_t carry = ebnn_lane_splat(0);
    for (uint32_t i = 0; i < width; i++) {
        FULL_ADD(carry, c[i], c[i], ebnn_lane_load(step + (size_t)i * EBNN_LANE_BYTES), carry);
    }
}

/* The words of a vector's lanes that the output has. */
static inline void ebnn_rows_put(uint32_t *to, uint32_t n, ebnn_lane_t bits) {
    if (n >= EBNN_LANE_BYTES / 4u) {
        ebnn_lane_store(to, bits);
        return;
    }
    uint32_t all[EBNN_LANE_BYTES / 4u];
    ebnn_lane_store(all, bits);
    ebnn_dot_copy(to, all, n);
}

/* b1 and u2 outputs by thresholds: the channels of vector v. */
static inline void ebnn_rows_levels(const ebnn_bconv_rows_params_t *p, void *out, uint32_t pixel, uint32_t v,
                                    uint32_t kind, uint32_t ones, ebnn_lane_t *c) {
    const uint32_t words = ((uint32_t)p->layer.dims.out_c + 31u) / 32u;
    const uint32_t first = v * (EBNN_LANE_BYTES / 4u), n = words - first;
    const uint32_t binary = p->layer.weight_kind == 1u, odd = binary & ones & 1u;
    const uint32_t least = p->least + (binary ? ones / 2u : 0u);
    const ebnn_lane_t flip = ebnn_lane_load(p->layer.flip + first);
    const ebnn_lane_t low = ebnn_lane_xor(ebnn_rows_reaches(c, p->width, least), flip);
    if (p->levels == 1u) {
        ebnn_rows_put((uint32_t *)out + (size_t)pixel * words + first, n, low);
        return;
    }
    const uint8_t *steps = (const uint8_t *)p->steps;
    ebnn_rows_step(c, steps + ebnn_rows_planes(p, odd, kind, v), p->width);
    const ebnn_lane_t middle = ebnn_lane_xor(ebnn_rows_reaches(c, p->width, least), flip);
    ebnn_rows_step(c, steps + ebnn_rows_planes(p, 1u + binary + odd, kind, v), p->width);
    const ebnn_lane_t high = ebnn_lane_xor(ebnn_rows_reaches(c, p->width, least), flip);
    uint32_t *to = (uint32_t *)out + 2u * (size_t)pixel * words + first;
    ebnn_rows_put(to, n, ebnn_lane_xor3(low, middle, high)); /* every level above another is 1 only with it */
    ebnn_rows_put(to + words, n, middle);
}

typedef uint8_t ebnn_rows_u8_t __attribute__((vector_size(EBNN_LANE_BYTES / 4u)));

/* All other outputs: the sums as integers, then the counting kernels' epilogue. */
static inline void ebnn_rows_integers(const ebnn_bconv_rows_params_t *p, const ebnn_io_t *io, uint32_t pixel,
                                      uint32_t v, uint32_t ones, const ebnn_lane_t *c) {
    const uint32_t padded = ((uint32_t)p->layer.dims.out_c + 31u) & ~31u;
    const uint32_t first = v * EBNN_ROWS_LANES;
    const uint32_t n = padded - first < EBNN_ROWS_LANES ? padded - first : EBNN_ROWS_LANES;
    uint8_t low[EBNN_ROWS_LANES], high[EBNN_ROWS_LANES];
    ebnn_lane_bytes(c, 8, low);
    ebnn_lane_bytes(c + 8, p->width - 8u, high);
    const int32_t binary = p->layer.weight_kind == 1u;
    const int32_t base = binary ? (int32_t)ones : -(int32_t)p->least, factor = binary ? -2 : 1;
    for (uint32_t i = 0; i < n; i += EBNN_DOT_TILE) {
        ebnn_rows_u8_t l, h;
        memcpy(&l, low + i, sizeof l);
        memcpy(&h, high + i, sizeof h);
        const ebnn_dot_s32_t sum =
            __builtin_convertvector(l, ebnn_dot_s32_t) + (__builtin_convertvector(h, ebnn_dot_s32_t) << 8);
        const ebnn_lane_t count = (ebnn_lane_t)(base + factor * sum);
        ebnn_dot_finish(&p->layer, io, pixel, first + i, &count);
    }
}

/* A group's sums and outputs for vector v; rows: of the vector. */
static inline void ebnn_rows_group(const ebnn_bconv_rows_params_t *p, const ebnn_io_t *io,
                                   ebnn_rows_sum_t sum, const ebnn_rows_lists_t *lists,
                                   const uint16_t *entries, const uint8_t *rows, uint32_t v) {
    const ebnn_bconv_dot_params_t *l = &p->layer;
    const uint32_t binary = l->weight_kind == 1u;
    ebnn_rows_group_t group = {
        {rows, rows + EBNN_LANE_BYTES}, entries, lists->runs, {NULL, NULL, NULL}, lists->flipped};
    uint32_t kind[EBNN_ROWS_STREAMS];
    for (uint32_t i = 0; i < lists->pixels; i++) {
        const uint32_t set = lists->flipped[i] * (1u + binary) + (binary & lists->ones[i] & 1u);
        kind[i] = p->kinds > 1u ? l->kinds[lists->first + i] : 0u;
        group.start[i] = (const uint8_t *)p->start + ebnn_rows_planes(p, set, kind[i], v);
    }
    ebnn_lane_t c[EBNN_ROWS_STREAMS][EBNN_ROWS_MOST];
    sum(&group, c);
    for (uint32_t i = 0; i < lists->pixels; i++) {
        if (p->levels != 0u) {
            ebnn_rows_levels(p, io->out, lists->first + i, v, kind[i], lists->ones[i], c[i]);
        } else {
            ebnn_rows_integers(p, io, lists->first + i, v, lists->ones[i], c[i]);
        }
    }
}

/* Part i of n of the bytes from `rows` on, soon to be used here and there, where hardware foresees nothing;
 * not worth it for few groups, which do not come back to a row. */
static inline void ebnn_rows_prefetch(const uint8_t *rows, size_t bytes, uint32_t i, uint32_t n) {
    const size_t lines = bytes / 64u;
    for (size_t line = lines * i / n; n >= 8u && line < lines * (i + 1u) / n; line++) {
        __builtin_prefetch(rows + 64u * line, 0, 2);
    }
}

static inline ebnn_status_t ebnn_rows_run(const ebnn_bconv_rows_params_t *p, const ebnn_io_t *io) {
    const ebnn_bconv_dot_params_t *l = &p->layer;
    const uint32_t ternary = l->weight_kind == 2u, together = ebnn_rows_together(l);
    const ebnn_rows_sum_t sum = ebnn_rows_sum_of(l->in_bits, ternary, p->width);
    const ebnn_rows_sum_t three = together == 3u ? ebnn_rows_sum_of(3, ternary, p->width) : sum;
    if (p->lane_bytes != EBNN_LANE_BYTES || sum == NULL || three == NULL || l->in_bits > 2u) {
        return EBNN_ERR_ARGUMENT;
    }
    const uint32_t words = ebnn_dot_words(&l->dims), pixels = (uint32_t)l->dims.out_h * l->dims.out_w;
    const uint32_t vectors = ((uint32_t)l->dims.out_c + EBNN_ROWS_LANES - 1u) / EBNN_ROWS_LANES;
    const ebnn_parts_t part = ebnn_parts(io, pixels, vectors, 1);
    const ebnn_rows_scratch_t s = ebnn_rows_scratch(p);
    const size_t vector = (1u + ternary) * (32u * (size_t)words + 1u) * EBNN_LANE_BYTES;
    uint8_t *scratch = io->scratch;
    uint32_t *x = io->scratch, *class_words = (uint32_t *)(void *)(scratch + s.words);
    ebnn_rows_lists_t *lists = (ebnn_rows_lists_t *)(void *)(scratch + s.lists);
    uint16_t *entries = (uint16_t *)(void *)(scratch + s.entries);
    for (uint32_t first = part.rows.begin; first < part.rows.end; first += l->block_pixels) {
        const uint32_t n = part.rows.end - first < l->block_pixels ? part.rows.end - first : l->block_pixels;
        const uint8_t *rows = (const uint8_t *)l->weights + part.columns.begin * vector;
        uint32_t groups = 0;
        ebnn_dot_gather(&l->dims, l->in_bits, io->in[0], first, n, x);
        for (uint32_t i = 0; i < n; i += lists[groups++].pixels) {
            ebnn_rows_prefetch(rows, vector, i / together, (n + together - 1u) / together);
            lists[groups].first = first + i;
            lists[groups].pixels = n - i >= together ? together : 1u;
            ebnn_rows_make(l, x + (size_t)i * l->in_bits * words, words, class_words, &lists[groups],
                           entries + groups * s.stride);
        }
        for (uint32_t v = part.columns.begin; v < part.columns.end; v++, rows += vector) {
            for (uint32_t i = 0; i < groups; i++) {
                if (v + 1u < part.columns.end) {
                    ebnn_rows_prefetch(rows + vector, vector, i, groups);
                }
                ebnn_rows_group(p, io, lists[i].pixels == 3u ? three : sum, &lists[i], entries + i * s.stride,
                                rows, v);
            }
        }
    }
    return EBNN_OK;
}

#endif
