/*
 * s8 convolution, dense and depthwise layers for SIMD compilers: plain loops over 16-bit products, which
 * become multiply-add-pairs (VPMADDWD, SMLAL) when this is compiled for an instruction set. Exact for any
 * operands: a product of a 9-bit and an 8-bit number and sums of two of them fit 32 bits.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_WIDE_S8_H
#define EBNN_WIDE_S8_H

#include <string.h>

#include "../portable/ebnn_fixed.h"
#include "ebnn_wide.h"
#include "part.h"

#define EBNN_S8_PIXELS 16u   /* gathered at a time */
#define EBNN_S8_CHANNELS 64u /* of a depthwise layer, accumulated at a time */

/* sums[i][j] = x[i] . w[j] for two pixels and four channels, row a multiple of 32. */
static inline void ebnn_s8_wide_dots(const int16_t *x, const int16_t *w, uint32_t row, int32_t (*sums)[4]) {
    const int16_t *x1 = x + row, *w1 = w + row, *w2 = w1 + row, *w3 = w2 + row;
    int32_t a0 = 0, a1 = 0, a2 = 0, a3 = 0, b0 = 0, b1 = 0, b2 = 0, b3 = 0;
    for (uint32_t k = 0; k < row; k++) {
        a0 += x[k] * w[k];
        a1 += x[k] * w1[k];
        a2 += x[k] * w2[k];
        a3 += x[k] * w3[k];
        b0 += x1[k] * w[k];
        b1 += x1[k] * w1[k];
        b2 += x1[k] * w2[k];
        b3 += x1[k] * w3[k];
    }
    sums[0][0] = a0;
    sums[0][1] = a1;
    sums[0][2] = a2;
    sums[0][3] = a3;
    sums[1][0] = b0;
    sums[1][1] = b1;
    sums[1][2] = b2;
    sums[1][3] = b3;
}

/* The taps of one pixel as 16-bit numbers, the zero point taken off; 0 outside the image. */
static inline void ebnn_s8_wide_gather(const ebnn_conv_s8_wide_params_t *p, const int8_t *in, uint32_t pixel,
                                       int16_t *out) {
    const ebnn_conv_dims_t *d = &p->dims;
    const int16_t offset = (int16_t)p->input_offset;
    const int32_t y0 = (int32_t)(pixel / d->out_w * d->stride_h) - d->pad_h;
    const int32_t x0 = (int32_t)(pixel % d->out_w * d->stride_w) - d->pad_w;
    for (uint32_t ky = 0; ky < d->kernel_h; ky++) {
        const int32_t y = y0 + (int32_t)(ky * d->dilation_h);
        for (uint32_t kx = 0; kx < d->kernel_w; kx++, out += d->in_c) {
            const int32_t x = x0 + (int32_t)(kx * d->dilation_w);
            if (y < 0 || y >= d->in_h || x < 0 || x >= d->in_w) {
                memset(out, 0, 2u * d->in_c);
                continue;
            }
            const int8_t *from = in + ((size_t)(uint32_t)y * d->in_w + (uint32_t)x) * d->in_c;
            for (uint32_t c = 0; c < d->in_c; c++) {
                out[c] = (int16_t)(from[c] + offset);
            }
        }
    }
}

static inline uint32_t ebnn_s8_wide_buffer_size(const ebnn_conv_s8_wide_params_t *p) {
    return 2u * EBNN_S8_PIXELS * p->row;
}

/* Where an output element lies. */
static inline size_t ebnn_s8_wide_index(const ebnn_conv_dims_t *d, uint32_t layout, uint32_t pixel,
                                        uint32_t c) {
    const uint32_t pixels = (uint32_t)d->out_h * d->out_w;
    return layout == EBNN_CHW ? (size_t)c * ((pixels + 3u) & ~3u) + pixel : (size_t)pixel * d->out_c + c;
}

/* CHW planes are padded to whole words: the tail is 0. */
static inline void ebnn_s8_wide_clear_tails(const ebnn_conv_dims_t *d, uint32_t layout, int8_t *out) {
    const uint32_t pixels = (uint32_t)d->out_h * d->out_w;
    const uint32_t stride = (pixels + 3u) & ~3u;
    for (uint32_t c = 0; layout == EBNN_CHW && c < d->out_c; c++) {
        memset(out + (size_t)c * stride + pixels, 0, stride - pixels);
    }
}

/* in: s8 NHWC; out: s8 NHWC or CHW. */
static inline ebnn_status_t ebnn_s8_wide_conv(const ebnn_conv_s8_wide_params_t *p, const ebnn_io_t *io) {
    const ebnn_conv_dims_t *d = &p->dims;
    const uint32_t pixels = (uint32_t)d->out_h * d->out_w;
    const uint32_t used = (uint32_t)d->kernel_h * d->kernel_w * d->in_c;
    const ebnn_parts_t part = ebnn_parts(io, pixels, d->out_c, 4);
    int16_t *x = io->scratch;
    int8_t *out = io->out;
    for (uint32_t first = part.rows.begin; first < part.rows.end; first += EBNN_S8_PIXELS) {
        const uint32_t left = part.rows.end - first;
        const uint32_t n = left < EBNN_S8_PIXELS ? left : EBNN_S8_PIXELS;
        for (uint32_t i = 0; i < n; i++) {
            ebnn_s8_wide_gather(p, io->in[0], first + i, x + (size_t)i * p->row);
            memset(x + (size_t)i * p->row + used, 0, 2u * (p->row - used));
        }
        if (n % 2u != 0u) { /* pixels go in pairs */
            memset(x + (size_t)n * p->row, 0, 2u * p->row);
        }
        for (uint32_t c = part.columns.begin; c < part.columns.end; c += 4u) {
            for (uint32_t i = 0; i < n; i += 2u) {
                int32_t sums[2][4];
                ebnn_s8_wide_dots(x + (size_t)i * p->row, p->weights + (size_t)c * p->row, p->row, sums);
                for (uint32_t j = 0; j < 8u; j++) {
                    const uint32_t channel = c + j % 4u;
                    const uint32_t pixel = i + j / 4u;
                    if (channel < part.columns.end && pixel < n) {
                        const int32_t acc = sums[j / 4u][j % 4u] + p->bias[channel];
                        int32_t y = ebnn_requantize(acc, p->multiplier[channel], p->shift[channel]);
                        y = ebnn_clamp(y + p->output_offset, p->act_min, p->act_max);
                        out[ebnn_s8_wide_index(d, p->out_layout, first + pixel, channel)] = (int8_t)y;
                    }
                }
            }
        }
    }
    if (io->part == 0u) {
        ebnn_s8_wide_clear_tails(d, p->out_layout, out);
    }
    return EBNN_OK;
}

/* Room for one pixel of the input, its channels repeated where the multiplier is not 1. */
static inline uint32_t ebnn_s8_wide_depthwise_buffer_size(const ebnn_conv_s8_params_t *p) {
    return p->dims.out_c == p->dims.in_c ? 0u : p->dims.out_c;
}

/* in: s8 NHWC; out: s8 NHWC or CHW; output channel c reads input channel c / (out_c / in_c). */
static inline ebnn_status_t ebnn_s8_wide_depthwise(const ebnn_conv_s8_params_t *p, const ebnn_io_t *io) {
    const ebnn_conv_dims_t *d = &p->dims;
    const uint32_t multiplier = (uint32_t)d->out_c / d->in_c;
    const int8_t *in = io->in[0];
    int8_t *out = io->out;
    int8_t *repeated = io->scratch;
    const ebnn_part_t part = ebnn_part(io, (uint32_t)d->out_h * d->out_w, 1);
    for (uint32_t pixel = part.begin; pixel < part.end; pixel++) {
        const int32_t y0 = (int32_t)(pixel / d->out_w * d->stride_h) - d->pad_h;
        const int32_t x0 = (int32_t)(pixel % d->out_w * d->stride_w) - d->pad_w;
        for (uint32_t first = 0; first < d->out_c; first += EBNN_S8_CHANNELS) {
            const uint32_t n = d->out_c - first < EBNN_S8_CHANNELS ? d->out_c - first : EBNN_S8_CHANNELS;
            int32_t acc[EBNN_S8_CHANNELS];
            memcpy(acc, p->bias + first, 4u * n);
            for (uint32_t tap = 0; tap < (uint32_t)d->kernel_h * d->kernel_w; tap++) {
                const int32_t y = y0 + (int32_t)(tap / d->kernel_w * d->dilation_h);
                const int32_t x = x0 + (int32_t)(tap % d->kernel_w * d->dilation_w);
                if (y < 0 || y >= d->in_h || x < 0 || x >= d->in_w) {
                    continue;
                }
                const int8_t *from = in + ((size_t)(uint32_t)y * d->in_w + (uint32_t)x) * d->in_c;
                const int8_t *w = p->weights + (size_t)tap * d->out_c + first;
                if (multiplier != 1u) {
                    for (uint32_t c = 0; c < n; c++) {
                        repeated[c] = from[(first + c) / multiplier];
                    }
                    from = repeated;
                } else {
                    from += first;
                }
                for (uint32_t c = 0; c < n; c++) {
                    acc[c] += (from[c] + p->input_offset) * w[c];
                }
            }
            for (uint32_t c = 0; c < n; c++) {
                int32_t y = ebnn_requantize(acc[c], p->multiplier[first + c], p->shift[first + c]);
                y = ebnn_clamp(y + p->output_offset, p->act_min, p->act_max);
                out[ebnn_s8_wide_index(d, p->out_layout, pixel, first + c)] = (int8_t)y;
            }
        }
    }
    if (io->part == 0u) {
        ebnn_s8_wide_clear_tails(d, p->out_layout, out);
    }
    return EBNN_OK;
}

#endif
