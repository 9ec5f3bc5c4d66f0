/*
 * s8 convolution and dense layers: tiles of EBNN_S8_TILE pixels by two lanes of output channels, the taps of
 * a block of pixels laid side by side. Exact for any operands.
 *
 * A lane header (s8_256.h, s8_512.h) stands before this one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_WIDE_CONV_S8_H
#define EBNN_WIDE_CONV_S8_H

#include <string.h>

#include "ebnn_wide.h"
#include "part.h"

#define EBNN_S8_PAIR (2u * EBNN_S8_LANES) /* channels worked on at a time */
#define EBNN_S8_BLOCK 42u                 /* pixels gathered at a time: a multiple of the tiles */

#if defined(__clang__)
#define EBNN_S8_UNROLL _Pragma("clang loop unroll(full)")
#else
#define EBNN_S8_UNROLL _Pragma("GCC unroll 8")
#endif

/* n values: 16 at a time, the last of them overlapping those before. */
static inline void ebnn_s8_copy(const int8_t *from, ebnn_s8_x_t *out, uint32_t n) {
    uint32_t i = 0;
    for (; i + 16u <= n; i += 16u) {
        ebnn_s8_widen(from + i, out + i);
    }
    if (i == n) {
        return;
    }
    if (n >= 16u) {
        ebnn_s8_widen(from + n - 16u, out + n - 16u);
        return;
    }
    for (; i < n; i++) {
        out[i] = (ebnn_s8_x_t)(from[i] ^ EBNN_S8_FLIP);
    }
}

/* Values of a kernel row, filled up to whole steps. */
static inline uint32_t ebnn_s8_row(const ebnn_conv_dims_t *d) {
    return ((uint32_t)d->kernel_w * d->in_c + EBNN_S8_STEP - 1u) / EBNN_S8_STEP * EBNN_S8_STEP;
}

static inline ebnn_s8_x_t ebnn_s8_outside(const ebnn_conv_s8_wide_params_t *p) {
    return (ebnn_s8_x_t)(-p->input_offset ^ EBNN_S8_FLIP);
}

static inline void ebnn_s8_fill(ebnn_s8_x_t *out, ebnn_s8_x_t v, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        out[i] = v;
    }
}

/* The taps of one pixel, the zero point outside the image, each kernel row filled up to whole steps. */
static inline void ebnn_s8_gather(const ebnn_conv_s8_wide_params_t *p, const int8_t *in, uint32_t pixel,
                                  ebnn_s8_x_t *out) {
    const ebnn_conv_dims_t *d = &p->dims;
    const uint32_t channels = d->in_c;
    const ebnn_s8_x_t outside = ebnn_s8_outside(p);
    const int32_t y0 = (int32_t)(pixel / d->out_w * d->stride_h) - d->pad_h;
    const int32_t x0 = (int32_t)(pixel % d->out_w * d->stride_w) - d->pad_w;
    const int together =
        d->dilation_w == 1u && x0 >= 0 && x0 + (int32_t)d->kernel_w <= (int32_t)d->in_w; /* a row of taps */
    const uint32_t steps = together ? 1u : d->kernel_w;
    const uint32_t n = together ? d->kernel_w * channels : channels;
    const uint32_t spare = ebnn_s8_row(d) - d->kernel_w * channels;
    for (uint32_t ky = 0; ky < d->kernel_h; ky++) {
        const int32_t y = y0 + (int32_t)(ky * d->dilation_h);
        for (uint32_t kx = 0; kx < steps; kx++, out += n) {
            const int32_t x = x0 + (int32_t)(kx * d->dilation_w);
            if (y < 0 || y >= d->in_h || x < 0 || x >= d->in_w) {
                ebnn_s8_fill(out, outside, n);
                continue;
            }
            const int8_t *from = in + ((size_t)(uint32_t)y * d->in_w + (uint32_t)x) * channels;
            ebnn_s8_copy(from, out, n);
        }
        ebnn_s8_fill(out, 0, spare);
        out += spare;
    }
}

/* Outputs of one pixel and EBNN_S8_PAIR channels from c on. */
static inline void ebnn_s8_finish(const ebnn_conv_s8_wide_params_t *p, int8_t *out, uint32_t pixel,
                                  uint32_t c, const ebnn_s8_lane_t *acc) {
    const ebnn_conv_dims_t *d = &p->dims;
    const uint32_t n = d->out_c - c < EBNN_S8_PAIR ? d->out_c - c : EBNN_S8_PAIR;
    const int nhwc = p->out_layout != EBNN_CHW;
    int8_t *row = out + (size_t)pixel * d->out_c + c;
    int8_t part[EBNN_S8_PAIR];
    int8_t *codes = nhwc && n == EBNN_S8_PAIR ? row : part;
    EBNN_S8_UNROLL
    for (uint32_t v = 0; v < 2u; v++) {
        const uint32_t at = c + v * EBNN_S8_LANES;
        const ebnn_s8_lane_t sum = ebnn_s8_add(acc[v], ebnn_s8_load(p->bias + at));
        const ebnn_s8_lane_t y = ebnn_s8_requantize(sum, p->multiplier + at, p->shift + at);
        ebnn_s8_codes(y, p->output_offset, p->act_min, p->act_max, codes + v * EBNN_S8_LANES);
    }
    if (codes != part) {
        return;
    }
    const size_t plane = ((size_t)d->out_h * d->out_w + 3u) & ~(size_t)3u;
    for (uint32_t i = 0; i < n; i++) {
        if (nhwc) {
            row[i] = part[i];
        } else {
            out[(c + i) * plane + pixel] = part[i];
        }
    }
}

/* Where a pixel's values lie: `rows` runs of `n` values; the next pixel's lie `next` values further. */
typedef struct {
    const ebnn_s8_x_t *const *runs;
    uint32_t rows, n;
    size_t next;
} ebnn_s8_taps_t;

/* n pixels from `first` on, their values from `at` on in the runs of x, and EBNN_S8_PAIR channels from c on.
 */
static inline __attribute__((always_inline)) void ebnn_s8_tile(const ebnn_conv_s8_wide_params_t *p,
                                                               const ebnn_s8_taps_t *x, size_t at,
                                                               int8_t *out, uint32_t first, const uint32_t n,
                                                               uint32_t c) {
    const size_t next = x->next;
    const size_t lane = EBNN_S8_LANES * EBNN_S8_STEP * sizeof(ebnn_s8_x_t);
    const uint8_t *w = (const uint8_t *)p->weights + (size_t)c * p->row * sizeof(ebnn_s8_x_t);
    ebnn_s8_lane_t acc[EBNN_S8_TILE][2];
    EBNN_S8_UNROLL
    for (uint32_t i = 0; i < EBNN_S8_TILE; i++) {
        acc[i][0] = acc[i][1] = ebnn_s8_zero();
    }
    for (uint32_t r = 0; r < x->rows; r++) {
        const ebnn_s8_x_t *from = x->runs[r] + at;
        for (uint32_t k = 0; k < x->n; k += EBNN_S8_STEP, w += 2u * lane, from += EBNN_S8_STEP) {
            const ebnn_s8_lane_t w0 = ebnn_s8_load(w), w1 = ebnn_s8_load(w + lane);
            EBNN_S8_UNROLL
            for (uint32_t i = 0; i < n; i++) {
                int32_t four;
                memcpy(&four, from + i * next, 4);
                acc[i][0] = ebnn_s8_mac(acc[i][0], four, w0);
                acc[i][1] = ebnn_s8_mac(acc[i][1], four, w1);
            }
        }
    }
    EBNN_S8_UNROLL
    for (uint32_t i = 0; i < n; i++) {
        ebnn_s8_finish(p, out, first + i, c, acc[i]);
    }
}

/* Pixels `first` to `end` - 1, the first one's values at the start of the runs; all channels of the part.
 * Where there are enough pixels the last ones go together, some of them again. */
static inline void ebnn_s8_pixels(const ebnn_conv_s8_wide_params_t *p, const ebnn_s8_taps_t *x, int8_t *out,
                                  uint32_t first, uint32_t end, ebnn_part_t channels) {
    const uint32_t n = end - first;
    for (uint32_t c = channels.begin; c < channels.end; c += EBNN_S8_PAIR) {
        uint32_t i = 0;
        for (; n >= EBNN_S8_TILE && i < n; i += EBNN_S8_TILE) {
            i = n - i < EBNN_S8_TILE ? n - EBNN_S8_TILE : i;
            ebnn_s8_tile(p, x, i * x->next, out, first + i, EBNN_S8_TILE, c);
        }
        for (; i < n; i++) {
            ebnn_s8_tile(p, x, i * x->next, out, first + i, 1, c);
        }
    }
}

/* Rows of the image are kept in the scratch, with their padding, where rows are long: pixels then share them.
 */
#define EBNN_S8_LONG 24u
#define EBNN_S8_MOST_ROWS 16u

static inline int ebnn_s8_by_rows(const ebnn_conv_dims_t *d) {
    return d->dilation_w == 1u && d->dilation_h == 1u && (uint32_t)d->kernel_h * d->kernel_w > 1u &&
           d->kernel_h <= EBNN_S8_MOST_ROWS && d->out_w >= EBNN_S8_LONG;
}

/* Values of a kept row: those that the last pixel's last step reads included. */
static inline uint32_t ebnn_s8_kept(const ebnn_conv_dims_t *d) {
    return ((uint32_t)(d->out_w - 1u) * d->stride_w + d->kernel_w) * d->in_c + EBNN_S8_STEP;
}

static inline void ebnn_s8_keep(const ebnn_conv_s8_wide_params_t *p, const int8_t *in, int32_t y,
                                ebnn_s8_x_t *out) {
    const ebnn_conv_dims_t *d = &p->dims;
    const uint32_t all = ebnn_s8_kept(d), left = (uint32_t)d->pad_w * d->in_c;
    const uint32_t inside = (uint32_t)d->in_w * d->in_c;
    if (y < 0 || y >= d->in_h || left >= all) {
        ebnn_s8_fill(out, ebnn_s8_outside(p), all);
        return;
    }
    const uint32_t n = all - left < inside ? all - left : inside;
    ebnn_s8_fill(out, ebnn_s8_outside(p), left);
    ebnn_s8_copy(in + (size_t)(uint32_t)y * inside, out + left, n);
    ebnn_s8_fill(out + left + n, ebnn_s8_outside(p), all - left - n);
}

static inline void ebnn_s8_rows(const ebnn_conv_s8_wide_params_t *p, const ebnn_io_t *io,
                                const ebnn_parts_t *part) {
    const ebnn_conv_dims_t *d = &p->dims;
    const uint32_t kept = ebnn_s8_kept(d);
    ebnn_s8_x_t *rows = io->scratch;
    const ebnn_s8_x_t *runs[EBNN_S8_MOST_ROWS];
    ebnn_s8_taps_t taps = {runs, d->kernel_h, ebnn_s8_row(d), (size_t)d->stride_w * d->in_c};
    uint32_t done = 0; /* rows of the padded image up to here are kept, each in the place of its number */
    for (uint32_t first = part->rows.begin; first < part->rows.end;) {
        const uint32_t oy = first / d->out_w, ox = first % d->out_w;
        const uint32_t left = part->rows.end - first, row = d->out_w - ox;
        const uint32_t n = left < row ? left : row;
        for (uint32_t ky = 0; ky < d->kernel_h; ky++) {
            const uint32_t y = oy * d->stride_h + ky;
            ebnn_s8_x_t *to = rows + (size_t)(y % d->kernel_h) * kept;
            if (y >= done) {
                ebnn_s8_keep(p, io->in[0], (int32_t)y - d->pad_h, to);
                done = y + 1u;
            }
            runs[ky] = to + ox * taps.next;
        }
        ebnn_s8_pixels(p, &taps, io->out, first, first + n, part->columns);
        first += n;
    }
}

static inline uint32_t ebnn_s8_conv_buffer_size(const ebnn_conv_s8_wide_params_t *p) {
    const uint32_t kept = (uint32_t)p->dims.kernel_h * ebnn_s8_kept(&p->dims);
    return (uint32_t)sizeof(ebnn_s8_x_t) * (ebnn_s8_by_rows(&p->dims) ? kept : EBNN_S8_BLOCK * p->row);
}

/* CHW planes are padded to whole words: the tail is 0. */
static inline void ebnn_s8_conv_tails(const ebnn_conv_s8_wide_params_t *p, int8_t *out) {
    const uint32_t pixels = (uint32_t)p->dims.out_h * p->dims.out_w;
    const uint32_t plane = (pixels + 3u) & ~3u;
    for (uint32_t c = 0; p->out_layout == EBNN_CHW && c < p->dims.out_c; c++) {
        memset(out + (size_t)c * plane + pixels, 0, plane - pixels);
    }
}

/* in: s8 NHWC; out: s8 NHWC or CHW. */
static inline ebnn_status_t ebnn_s8_conv(const ebnn_conv_s8_wide_params_t *p, const ebnn_io_t *io) {
    if (p->lanes != EBNN_S8_LANES || p->step != EBNN_S8_STEP) {
        return EBNN_ERR_ARGUMENT;
    }
    const ebnn_parts_t part =
        ebnn_parts(io, (uint32_t)p->dims.out_h * p->dims.out_w, p->dims.out_c, EBNN_S8_PAIR);
    ebnn_s8_x_t *x = io->scratch;
    const ebnn_s8_x_t *run = x;
    const ebnn_s8_taps_t taps = {&run, 1, p->row, p->row};
    int8_t *out = io->out;
    if (ebnn_s8_by_rows(&p->dims)) {
        ebnn_s8_rows(p, io, &part);
    } else {
        for (uint32_t first = part.rows.begin; first < part.rows.end; first += EBNN_S8_BLOCK) {
            const uint32_t left = part.rows.end - first;
            const uint32_t n = left < EBNN_S8_BLOCK ? left : EBNN_S8_BLOCK;
            for (uint32_t i = 0; i < n; i++) {
                ebnn_s8_gather(p, io->in[0], first + i, x + (size_t)i * p->row);
            }
            ebnn_s8_pixels(p, &taps, out, first, first + n, part.columns);
        }
    }
    if (io->part == 0u) {
        ebnn_s8_conv_tails(p, out);
    }
    return EBNN_OK;
}

#endif
