/*
 * Planes of a block of output pixels from an EBNN_PLANES tensor (the im2col of the wide bit-plane core).
 *
 * First, once a call, the input is laid on grids whose rows are out_w pixels apart, one for each kernel
 * column and row phase: grid bit Y * out_w + X is the input at row Y * stride_h + phase, column X * stride_w
 * + kx * dilation_w - pad_w, 0 outside the image. Then the plane of a tap is a shift of its grid by whole
 * rows.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_WIDE_FILL_H
#define EBNN_WIDE_FILL_H

#include <string.h>

#include "ebnn_wide.h"

typedef struct {
    uint32_t pixels, blocks; /* of the output */
    uint32_t taps, elements; /* elements: taps * in_c */
    uint32_t phases;         /* row phases that a kernel row has: first come, first numbered */
    uint32_t front;          /* words of zeros before a grid */
    uint32_t rows;           /* grid rows that any block reads */
    uint32_t grid_words;     /* 64-bit words of a grid, with zeros before and after */
    uint32_t margin;         /* words of zeros before and after a copied input plane */
    uint32_t copy_words;     /* 64-bit words of such a copy */
} ebnn_wide_geometry_t;

/* Output rows lie as far apart as input rows, so that a grid is a shift of a whole plane. */
static inline int ebnn_wide_whole(const ebnn_conv_dims_t *d) {
    return d->stride_h == 1u && d->stride_w == 1u && d->out_w == d->in_w;
}

/* Row phase and whole rows of kernel row ky: input row = (oy + rows) * stride_h + phase. */
static inline int32_t ebnn_wide_tap_rows(const ebnn_conv_dims_t *d, uint32_t ky, uint32_t *phase) {
    const int32_t v = (int32_t)(ky * d->dilation_h) - d->pad_h;
    const int32_t stride = d->stride_h;
    const int32_t rows = v >= 0 ? v / stride : -((stride - 1 - v) / stride);
    *phase = (uint32_t)(v - rows * stride);
    return rows;
}

/* Number of the first kernel row with the phase of ky, counted in phases. */
static inline uint32_t ebnn_wide_phase_number(const ebnn_conv_dims_t *d, uint32_t ky) {
    uint32_t number = 0;
    uint32_t wanted, phase, earlier;
    (void)ebnn_wide_tap_rows(d, ky, &wanted);
    for (uint32_t i = 0; i < ky; i++) {
        (void)ebnn_wide_tap_rows(d, i, &phase);
        if (phase == wanted) {
            return number;
        }
        uint32_t first = 1;
        for (uint32_t j = 0; j < i; j++) {
            (void)ebnn_wide_tap_rows(d, j, &earlier);
            first = earlier == phase ? 0u : first;
        }
        number += first;
    }
    return number;
}

static inline ebnn_wide_geometry_t ebnn_wide_geometry(const ebnn_bconv_wide_params_t *p,
                                                      uint32_t lane_bytes) {
    const ebnn_conv_dims_t *d = &p->dims;
    const uint32_t lane = 8u * lane_bytes;
    ebnn_wide_geometry_t g;
    g.pixels = (uint32_t)d->out_h * d->out_w;
    g.blocks = (g.pixels + lane - 1u) / lane;
    g.taps = (uint32_t)d->kernel_h * d->kernel_w;
    g.elements = g.taps * d->in_c;
    int32_t low = 0, high = 0;
    g.phases = 0;
    for (uint32_t ky = 0; ky < d->kernel_h; ky++) {
        uint32_t phase;
        const int32_t rows = ebnn_wide_tap_rows(d, ky, &phase);
        const uint32_t number = ebnn_wide_phase_number(d, ky);
        low = rows < low ? rows : low;
        high = rows > high ? rows : high;
        g.phases = number + 1u > g.phases ? number + 1u : g.phases;
    }
    g.front = ((uint32_t)-low * d->out_w + 63u) / 64u;
    g.rows = d->out_h + (uint32_t)high;
    /* blocks reach past the last pixel, one word is read beyond a shifted one, whole lanes are written */
    const uint32_t rows = d->in_h < g.rows ? d->in_h : g.rows;
    const uint32_t content = (rows * (uint32_t)d->out_w + 63u) / 64u + lane / 64u - 1u;
    const uint32_t read = (g.blocks * lane + (uint32_t)high * d->out_w) / 64u + 2u;
    g.grid_words = g.front + (read > content ? read : content);
    const uint32_t reach = (uint32_t)d->kernel_w * d->dilation_w;
    g.margin = ((reach > d->pad_w ? reach : d->pad_w) + (uint32_t)d->stride_w * d->out_w) / 64u + 2u;
    g.copy_words = ((uint32_t)d->in_h * d->in_w + 63u) / 64u + 2u * g.margin + lane / 64u;
    return g;
}

/* Bits of an activation whose planes lie side by side: an area of the zero plane and the planes of the
 * elements after each other, EBNN_WIDE_BITS of each. The last area of an odd number of bits has gaps, the
 * only one of b1 none. */
#ifdef EBNN_WIDE_PAIRS
#define EBNN_WIDE_BITS 2u
#else
#define EBNN_WIDE_BITS 1u
#endif

/* Bytes from an element's plane to the next one's. */
static inline size_t ebnn_wide_plane_step(uint32_t bits) {
    return (bits == 1u ? 1u : EBNN_WIDE_BITS) * EBNN_LANE_BYTES;
}

/* Bytes of an area. */
static inline size_t ebnn_wide_area(uint32_t bits, uint32_t elements) {
    return (size_t)(elements + 1u) * ebnn_wide_plane_step(bits);
}

/* Where the planes of bit `bit` of `bits` start. */
static inline size_t ebnn_wide_bit_offset(uint32_t bits, uint32_t bit, uint32_t elements) {
    return bit / EBNN_WIDE_BITS * ebnn_wide_area(bits, elements) + bit % EBNN_WIDE_BITS * EBNN_LANE_BYTES;
}

static inline uint64_t ebnn_wide_bits_at(const uint64_t *words, size_t bit) {
    const uint32_t shift = (uint32_t)(bit & 63u);
    const uint64_t *w = words + bit / 64u;
    return (w[0] >> shift) | ((w[1] << 1) << (63u - shift));
}

/* Every second bit, from bit 0 on, in the low half. */
static inline uint64_t ebnn_wide_even_bits(uint64_t v) {
    v &= UINT64_C(0x5555555555555555);
    v = (v | (v >> 1)) & UINT64_C(0x3333333333333333);
    v = (v | (v >> 2)) & UINT64_C(0x0F0F0F0F0F0F0F0F);
    v = (v | (v >> 4)) & UINT64_C(0x00FF00FF00FF00FF);
    v = (v | (v >> 8)) & UINT64_C(0x0000FFFF0000FFFF);
    return (v | (v >> 16)) & UINT64_C(0x00000000FFFFFFFF);
}

/* n <= 32 bits, `stride` apart. */
static inline uint64_t ebnn_wide_gather(const uint64_t *words, size_t bit, uint32_t stride, uint32_t n) {
    if (stride == 1u) {
        return ebnn_wide_bits_at(words, bit);
    }
    if (stride == 2u) {
        return ebnn_wide_even_bits(ebnn_wide_bits_at(words, bit));
    }
    uint64_t v = 0;
    for (uint32_t i = 0; i < n; i++, bit += stride) {
        v |= ((words[bit / 64u] >> (bit & 63u)) & 1u) << i;
    }
    return v;
}

static inline void ebnn_wide_put(uint64_t *words, size_t bit, uint64_t v) {
    const uint32_t shift = (uint32_t)(bit & 63u);
    words[bit / 64u] |= v << shift;
    words[bit / 64u + 1u] |= (v >> 1) >> (63u - shift);
}

/* The output columns [*first, *last) whose kernel column lies inside the image. */
static inline void ebnn_wide_columns(const ebnn_conv_dims_t *d, int32_t shift, uint32_t *first,
                                     uint32_t *last) {
    const int32_t stride = d->stride_w;
    const int32_t low = shift < 0 ? (-shift + stride - 1) / stride : 0;
    const int32_t room = (int32_t)d->in_w - 1 - shift;
    int32_t high = room < 0 ? 0 : room / stride + 1;
    high = high > d->out_w ? d->out_w : high;
    *first = (uint32_t)low;
    *last = (uint32_t)(high > low ? high : low);
}

/* One grid, row by row; grid[front * 64 ...] is cleared. copy: the input plane between its margins. */
static inline void ebnn_wide_grid_rows(const ebnn_conv_dims_t *d, const ebnn_wide_geometry_t *g,
                                       const uint64_t *copy, uint32_t phase, int32_t shift, uint64_t *grid) {
    uint32_t first, last;
    ebnn_wide_columns(d, shift, &first, &last);
    for (uint32_t y = 0; y < g->rows && y * d->stride_h + phase < d->in_h; y++) {
        const int32_t row = (int32_t)((y * d->stride_h + phase) * d->in_w) + shift;
        for (uint32_t x = first; x < last; x += 32u) {
            const uint32_t n = last - x < 32u ? last - x : 32u;
            const size_t from = (size_t)((int32_t)(g->margin * 64u) + row + (int32_t)(x * d->stride_w));
            const uint64_t v = ebnn_wide_gather(copy, from, d->stride_w, n) & ((UINT64_C(1) << n) - 1u);
            ebnn_wide_put(grid, (size_t)g->front * 64u + (size_t)y * d->out_w + x, v);
        }
    }
}

/* The same where rows keep their distance: a shift of the whole plane, and the mask of the columns inside.
 * Writes whole lanes: up to a lane past `words`. */
static inline void ebnn_wide_grid_shift(const ebnn_wide_geometry_t *g, const uint64_t *copy,
                                        const uint64_t *mask, int32_t shift, uint32_t words, uint64_t *grid) {
    const size_t start = (size_t)((int32_t)(g->margin * 64u) + shift);
    const uint64_t *from = copy + start / 64u;
    grid += g->front;
    for (uint32_t i = 0; i < words; i += EBNN_LANE_BYTES / 8u) {
        const ebnn_lane_t v = ebnn_lane_bits(from + i, (uint32_t)(start & 63u));
        ebnn_lane_store(grid + i, ebnn_lane_and(v, ebnn_lane_load(mask + i)));
    }
}

/* One mask a kernel column: the pixels of a plane whose column lies inside the image. */
static inline void ebnn_wide_column_masks(const ebnn_conv_dims_t *d, const ebnn_wide_geometry_t *g,
                                          uint64_t *masks) {
    for (uint32_t kx = 0; kx < d->kernel_w; kx++, masks += g->grid_words) {
        uint32_t first, last;
        ebnn_wide_columns(d, (int32_t)(kx * d->dilation_w) - d->pad_w, &first, &last);
        memset(masks, 0, 8u * (size_t)g->grid_words);
        for (uint32_t y = 0; y < d->in_h && y < g->rows; y++) {
            for (uint32_t x = first; x < last; x += 64u) {
                const uint32_t n = last - x < 64u ? last - x : 64u;
                ebnn_wide_put(masks, (size_t)y * d->in_w + x, ~UINT64_C(0) >> (64u - n));
            }
        }
    }
}

/* The grids of one input plane, for every row phase and kernel column; per_column words from one column to
 * the next. */
static inline void ebnn_wide_plane_grids(const ebnn_conv_dims_t *d, const ebnn_wide_geometry_t *g,
                                         const uint64_t *copy, const uint64_t *masks, size_t per_column,
                                         uint64_t *grid) {
    const int whole = ebnn_wide_whole(d);
    const uint32_t rows = d->in_h < g->rows ? d->in_h : g->rows;
    const uint32_t content = (rows * (uint32_t)d->in_w + 63u) / 64u;
    uint32_t done = 0;
    for (uint32_t ky = 0; ky < d->kernel_h && done < g->phases; ky++) {
        uint32_t phase;
        (void)ebnn_wide_tap_rows(d, ky, &phase);
        if (ebnn_wide_phase_number(d, ky) != done) {
            continue;
        }
        done++;
        for (uint32_t kx = 0; kx < d->kernel_w; kx++, grid += per_column) {
            const int32_t shift = (int32_t)(kx * d->dilation_w) - d->pad_w;
            memset(grid, 0, 8u * (size_t)(whole ? g->front : g->grid_words));
            if (whole) {
                ebnn_wide_grid_shift(g, copy, masks + (size_t)kx * g->grid_words, shift, content, grid);
                const uint32_t end = g->front + content;
                memset(grid + end, 0, 8u * (size_t)(g->grid_words - end));
            } else {
                ebnn_wide_grid_rows(d, g, copy, phase, shift, grid);
            }
        }
    }
}

/* in: [bit][in_c][ceil(in_h * in_w / 32)] words. grids: [bit][phase][kernel column][in_c][grid_words]. copy,
 * masks: copy_words, and grid_words a kernel column, of scratch. */
static inline void ebnn_wide_make_grids(const ebnn_bconv_wide_params_t *p, const ebnn_wide_geometry_t *g,
                                        const uint32_t *in, uint64_t *grids, uint64_t *copy,
                                        uint64_t *masks) {
    const ebnn_conv_dims_t *d = &p->dims;
    const uint32_t in_words = ((uint32_t)d->in_h * d->in_w + 31u) / 32u;
    const size_t per_column = (size_t)d->in_c * g->grid_words;
    if (ebnn_wide_whole(d)) {
        ebnn_wide_column_masks(d, g, masks);
    }
    memset(copy, 0, 8u * (size_t)g->copy_words);
    for (uint32_t bit = 0; bit < p->in_bits; bit++) {
        uint64_t *grid = grids + (size_t)bit * g->phases * d->kernel_w * per_column;
        for (uint32_t c = 0; c < d->in_c; c++, in += in_words, grid += g->grid_words) {
            memcpy(copy + g->margin, in, 4u * (size_t)in_words);
            ebnn_wide_plane_grids(d, g, copy, masks, per_column, grid);
        }
    }
}

/* Bits `at` to `at` + a lane of the grids of bit `bit` and kernel row `ky`: that of the first column and
 * channel, the others follow at g->grid_words. */
typedef struct {
    const uint64_t *from;
    uint32_t shift;
} ebnn_wide_source_t;

static inline ebnn_wide_source_t ebnn_wide_source(const ebnn_bconv_wide_params_t *p,
                                                  const ebnn_wide_geometry_t *g, const uint64_t *grids,
                                                  uint32_t first, uint32_t bit, uint32_t ky) {
    const ebnn_conv_dims_t *d = &p->dims;
    uint32_t phase;
    const int32_t rows = ebnn_wide_tap_rows(d, ky, &phase);
    const size_t number = (size_t)bit * g->phases + ebnn_wide_phase_number(d, ky);
    const size_t at = (size_t)((int32_t)(g->front * 64u + first) + rows * d->out_w);
    const ebnn_wide_source_t source = {grids + number * d->kernel_w * d->in_c * g->grid_words + at / 64u,
                                       (uint32_t)(at & 63u)};
    return source;
}

/* planes: the zero plane and the planes of all elements, for the output pixels from `first` on. */
static inline void ebnn_wide_fill(const ebnn_bconv_wide_params_t *p, const ebnn_wide_geometry_t *g,
                                  const uint64_t *grids, uint32_t first, uint8_t *planes) {
    const uint32_t n = p->dims.kernel_w * (uint32_t)p->dims.in_c;
    const size_t step = ebnn_wide_plane_step(p->in_bits);
    for (uint32_t bit = 0; bit < p->in_bits; bit++) {
        uint8_t *to = planes + ebnn_wide_bit_offset(p->in_bits, bit, g->elements);
        ebnn_lane_store(to, ebnn_lane_splat(0));
        for (uint32_t ky = 0; ky < p->dims.kernel_h; ky++) {
            ebnn_wide_source_t s = ebnn_wide_source(p, g, grids, first, bit, ky);
#ifdef EBNN_LANE_BYTEWISE
            if (s.shift % 8u == 0u) {
                const uint8_t *from = (const uint8_t *)s.from + s.shift / 8u;
                for (uint32_t i = 0; i < n; i++, from += 8u * (size_t)g->grid_words) {
                    to += step;
                    ebnn_lane_store(to, ebnn_lane_load(from));
                }
                continue;
            }
#endif
            for (uint32_t i = 0; i < n; i++, s.from += g->grid_words) {
                to += step;
                ebnn_lane_store(to, ebnn_lane_bits(s.from, s.shift));
            }
        }
    }
}

#ifdef EBNN_WIDE_PAIRS
/* The same for half a lane of pixels of 2-bit activations: bit 0 in the lower half of an element's first
 * plane, bit 1 in the upper. */
static inline void ebnn_wide_fill_halves(const ebnn_bconv_wide_params_t *p, const ebnn_wide_geometry_t *g,
                                         const uint64_t *grids, uint32_t first, uint8_t *planes) {
    const uint32_t n = p->dims.kernel_w * (uint32_t)p->dims.in_c;
    const size_t step = ebnn_wide_plane_step(p->in_bits);
    ebnn_lane_store(planes, ebnn_lane_splat(0));
    for (uint32_t ky = 0; ky < p->dims.kernel_h; ky++) {
        ebnn_wide_source_t low = ebnn_wide_source(p, g, grids, first, 0, ky);
        ebnn_wide_source_t high = ebnn_wide_source(p, g, grids, first, 1, ky);
        for (uint32_t i = 0; i < n; i++, low.from += g->grid_words, high.from += g->grid_words) {
            planes += step;
            ebnn_lane_store(planes, ebnn_lane_join_halves(ebnn_lane_bits(low.from, low.shift),
                                                          ebnn_lane_bits(high.from, high.shift)));
        }
    }
}
#endif

#endif
