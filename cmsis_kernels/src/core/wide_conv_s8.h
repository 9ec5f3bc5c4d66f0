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

/* The taps of one pixel, the zero point outside the image, and zeros up to `row`. */
static inline void ebnn_s8_gather(const ebnn_conv_s8_wide_params_t *p, const int8_t *in, uint32_t pixel,
                                  ebnn_s8_x_t *out) {
    const ebnn_conv_dims_t *d = &p->dims;
    const uint32_t channels = d->in_c;
    const ebnn_s8_x_t outside = (ebnn_s8_x_t)(-p->input_offset ^ EBNN_S8_FLIP);
    const int32_t y0 = (int32_t)(pixel / d->out_w * d->stride_h) - d->pad_h;
    const int32_t x0 = (int32_t)(pixel % d->out_w * d->stride_w) - d->pad_w;
    const int together =
        d->dilation_w == 1u && x0 >= 0 && x0 + (int32_t)d->kernel_w <= (int32_t)d->in_w; /* a row of taps */
    const uint32_t steps = together ? 1u : d->kernel_w;
    const uint32_t n = together ? d->kernel_w * channels : channels;
    ebnn_s8_x_t *end = out + p->row;
    for (uint32_t ky = 0; ky < d->kernel_h; ky++) {
        const int32_t y = y0 + (int32_t)(ky * d->dilation_h);
        for (uint32_t kx = 0; kx < steps; kx++, out += n) {
            const int32_t x = x0 + (int32_t)(kx * d->dilation_w);
            if (y < 0 || y >= d->in_h || x < 0 || x >= d->in_w) {
                for (uint32_t i = 0; i < n; i++) {
                    out[i] = outside;
                }
                continue;
            }
            const int8_t *from = in + ((size_t)(uint32_t)y * d->in_w + (uint32_t)x) * channels;
            ebnn_s8_copy(from, out, n);
        }
    }
    while (out != end) {
        *out++ = 0;
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

/* n pixels from `first` on, x theirs, and EBNN_S8_PAIR channels from c on. */
static inline __attribute__((always_inline)) void ebnn_s8_tile(const ebnn_conv_s8_wide_params_t *p,
                                                               const ebnn_s8_x_t *x, int8_t *out,
                                                               uint32_t first, const uint32_t n, uint32_t c) {
    const size_t row = p->row;
    const size_t lane = EBNN_S8_LANES * EBNN_S8_STEP * sizeof(ebnn_s8_x_t);
    const uint8_t *w = (const uint8_t *)p->weights + (size_t)c * row * sizeof(ebnn_s8_x_t);
    ebnn_s8_lane_t acc[EBNN_S8_TILE][2];
    EBNN_S8_UNROLL
    for (uint32_t i = 0; i < EBNN_S8_TILE; i++) {
        acc[i][0] = acc[i][1] = ebnn_s8_zero();
    }
    for (size_t k = 0; k < row; k += EBNN_S8_STEP, w += 2u * lane) {
        const ebnn_s8_lane_t w0 = ebnn_s8_load(w), w1 = ebnn_s8_load(w + lane);
        EBNN_S8_UNROLL
        for (uint32_t i = 0; i < n; i++) {
            int32_t four;
            memcpy(&four, x + i * row + k, 4);
            acc[i][0] = ebnn_s8_mac(acc[i][0], four, w0);
            acc[i][1] = ebnn_s8_mac(acc[i][1], four, w1);
        }
    }
    EBNN_S8_UNROLL
    for (uint32_t i = 0; i < n; i++) {
        ebnn_s8_finish(p, out, first + i, c, acc[i]);
    }
}

static inline uint32_t ebnn_s8_conv_buffer_size(const ebnn_conv_s8_wide_params_t *p) {
    return (uint32_t)sizeof(ebnn_s8_x_t) * EBNN_S8_BLOCK * p->row;
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
    int8_t *out = io->out;
    for (uint32_t first = part.rows.begin; first < part.rows.end; first += EBNN_S8_BLOCK) {
        const uint32_t left = part.rows.end - first;
        const uint32_t n = left < EBNN_S8_BLOCK ? left : EBNN_S8_BLOCK;
        for (uint32_t i = 0; i < n; i++) {
            ebnn_s8_gather(p, io->in[0], first + i, x + (size_t)i * p->row);
        }
        for (uint32_t c = part.columns.begin; c < part.columns.end; c += EBNN_S8_PAIR) {
            uint32_t i = 0;
            for (; i + EBNN_S8_TILE <= n; i += EBNN_S8_TILE) {
                ebnn_s8_tile(p, x + (size_t)i * p->row, out, first + i, EBNN_S8_TILE, c);
            }
            for (; i < n; i++) {
                ebnn_s8_tile(p, x + (size_t)i * p->row, out, first + i, 1, c);
            }
        }
    }
    if (io->part == 0u) {
        ebnn_s8_conv_tails(p, out);
    }
    return EBNN_OK;
}

#endif
