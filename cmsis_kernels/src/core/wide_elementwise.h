/*
 * Pools and quantisation for SIMD compilers: plain loops along the innermost axis, which become vectors when
 * this is compiled for an instruction set. A lane header stands before this one (wide.h). Every kernel can be
 * divided (part.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_WIDE_ELEMENTWISE_H
#define EBNN_WIDE_ELEMENTWISE_H

#include <string.h>

#include "../portable/ebnn_fixed.h"
#include "ebnn_params.h"
#include "part.h"

#define EBNN_POOL_CHANNELS 64u /* worked on at a time */
#define EBNN_POOL_MOST 64u     /* pixels of an average's window */

/* The part of a window that lies inside the image: its first pixel, rows, columns. */
typedef struct {
    uint32_t first, rows, columns;
} ebnn_pool_window_t;

static inline uint32_t ebnn_pool_clip(int32_t v, uint32_t size) {
    return v < 0 ? 0u : ((uint32_t)v > size ? size : (uint32_t)v);
}

static inline ebnn_pool_window_t ebnn_pool_window(const ebnn_conv_dims_t *d, uint32_t pixel) {
    const int32_t y = (int32_t)(pixel / d->out_w * d->stride_h) - d->pad_h;
    const int32_t x = (int32_t)(pixel % d->out_w * d->stride_w) - d->pad_w;
    const uint32_t y0 = ebnn_pool_clip(y, d->in_h), x0 = ebnn_pool_clip(x, d->in_w);
    const ebnn_pool_window_t w = {y0 * d->in_w + x0, ebnn_pool_clip(y + d->kernel_h, d->in_h) - y0,
                                  ebnn_pool_clip(x + d->kernel_w, d->in_w) - x0};
    return w;
}

/* in, out: s8 NHWC. */
static inline ebnn_status_t ebnn_wide_max_pool(const ebnn_pool_params_t *p, const ebnn_io_t *io) {
    const ebnn_conv_dims_t *d = &p->dims;
    const int8_t low = (int8_t)p->act_min, high = (int8_t)p->act_max;
    const ebnn_part_t part = ebnn_part(io, (uint32_t)d->out_h * d->out_w, 1);
    for (uint32_t pixel = part.begin; pixel < part.end; pixel++) {
        const ebnn_pool_window_t w = ebnn_pool_window(d, pixel);
        for (uint32_t c = 0; c < d->in_c; c += EBNN_POOL_CHANNELS) {
            const uint32_t n = d->in_c - c < EBNN_POOL_CHANNELS ? d->in_c - c : EBNN_POOL_CHANNELS;
            int8_t best[EBNN_POOL_CHANNELS];
            memset(best, low, sizeof best);
            for (uint32_t y = 0; y < w.rows; y++) {
                const int8_t *in = (const int8_t *)io->in[0] + (size_t)(w.first + y * d->in_w) * d->in_c + c;
                for (uint32_t x = 0; x < w.columns; x++, in += d->in_c) {
                    if (n == EBNN_POOL_CHANNELS) {
                        for (uint32_t i = 0; i < EBNN_POOL_CHANNELS; i++) {
                            best[i] = in[i] > best[i] ? in[i] : best[i];
                        }
                    } else {
                        for (uint32_t i = 0; i < n; i++) {
                            best[i] = in[i] > best[i] ? in[i] : best[i];
                        }
                    }
                }
            }
            int8_t *out = (int8_t *)io->out + (size_t)pixel * d->in_c + c;
            for (uint32_t i = 0; i < n; i++) {
                out[i] = best[i] < high ? best[i] : high;
            }
        }
    }
    return EBNN_OK;
}

/* in, out: s8 NHWC, windows of at most EBNN_POOL_MOST pixels. Division by the count is exact: with |n| <=
 * 128 * 64 + 32 and m = ceil(2^20 / count), n * (m * count - 2^20) < 2^20, and n * m < 2^28. */
static inline ebnn_status_t ebnn_wide_avg_pool(const ebnn_pool_params_t *p, const ebnn_io_t *io) {
    const ebnn_conv_dims_t *d = &p->dims;
    if ((uint32_t)d->kernel_h * d->kernel_w > EBNN_POOL_MOST) {
        return EBNN_ERR_ARGUMENT;
    }
    const ebnn_part_t part = ebnn_part(io, (uint32_t)d->out_h * d->out_w, 1);
    for (uint32_t pixel = part.begin; pixel < part.end; pixel++) {
        const ebnn_pool_window_t w = ebnn_pool_window(d, pixel);
        const uint32_t count = w.rows * w.columns;
        const int32_t half = (int32_t)(count / 2u);
        const int32_t m = count != 0u ? (int32_t)(((1u << 20) + count - 1u) / count) : 0;
        for (uint32_t c = 0; c < d->in_c; c += EBNN_POOL_CHANNELS) {
            const uint32_t n = d->in_c - c < EBNN_POOL_CHANNELS ? d->in_c - c : EBNN_POOL_CHANNELS;
            int16_t sums[EBNN_POOL_CHANNELS];
            memset(sums, 0, sizeof sums);
            for (uint32_t y = 0; y < w.rows; y++) {
                const int8_t *in = (const int8_t *)io->in[0] + (size_t)(w.first + y * d->in_w) * d->in_c + c;
                for (uint32_t x = 0; x < w.columns; x++, in += d->in_c) {
                    for (uint32_t i = 0; i < n; i++) {
                        sums[i] = (int16_t)(sums[i] + in[i]);
                    }
                }
            }
            int8_t *out = (int8_t *)io->out + (size_t)pixel * d->in_c + c;
            for (uint32_t i = 0; i < n; i++) {
                const int32_t s = sums[i];
                const int32_t size = ((s < 0 ? -s : s) + half) * m >> 20;
                out[i] = (int8_t)ebnn_clamp(s < 0 ? -size : size, p->act_min, p->act_max);
            }
        }
    }
    return EBNN_OK;
}

/* n codes: with vectors of mul and add (NHWC), or the same for all (CHW). */
static inline void ebnn_wide_codes(const int8_t *in, uint32_t n, const int16_t *mul, const int32_t *add,
                                   int one, uint32_t shift, int32_t low, int32_t high, uint8_t *out) {
    if (one) {
        const int32_t m = mul[0], a = add[0];
        for (uint32_t i = 0; i < n; i++) {
            out[i] = (uint8_t)ebnn_clamp((in[i] * m + a) >> shift, low, high);
        }
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        out[i] = (uint8_t)ebnn_clamp((in[i] * mul[i] + add[i]) >> shift, low, high);
    }
}

/* s8 NHWC to bits NHWC, s8 CHW to bits PLANES, s8 to s8 in the same layout: the innermost axis stays. */
static inline ebnn_status_t ebnn_wide_quantize(const ebnn_quantize_params_t *p, const ebnn_io_t *io) {
    const uint32_t pixels = (uint32_t)p->h * p->w;
    const int chw = p->in_layout == EBNN_CHW;
    const uint32_t rows = chw ? p->c : pixels, used = chw ? pixels : p->c;
    const uint32_t in_row = chw ? (pixels + 3u) & ~3u : p->c;
    const uint32_t words = (used + 31u) / 32u;
    const uint32_t bits = p->out_dtype;
    /* from one row to the next, and from one bit of it to the next */
    const size_t out_row = chw ? words : (size_t)words * bits, out_bit = chw ? (size_t)words * p->c : words;
    const ebnn_part_t part = ebnn_part(io, rows, 1);
    if (!(bits == EBNN_S8 ? p->out_layout == p->in_layout
                          : p->out_layout == (chw ? EBNN_PLANES : EBNN_NHWC))) {
        return EBNN_ERR_ARGUMENT;
    }
    for (uint32_t r = part.begin; r < part.end; r++) {
        const int8_t *in = (const int8_t *)io->in[0] + (size_t)r * in_row;
        if (bits == EBNN_S8) {
            uint8_t *out = (uint8_t *)io->out + (size_t)r * in_row;
            ebnn_wide_codes(in, used, p->mul + (chw ? r : 0u), p->add + (chw ? r : 0u), chw, p->shift,
                            INT8_MIN, INT8_MAX, out);
            memset(out + used, 0, in_row - used);
            continue;
        }
        for (uint32_t i = 0; i < used; i += 8u * EBNN_LANE_BYTES) {
            const uint32_t n = used - i < 8u * EBNN_LANE_BYTES ? used - i : 8u * EBNN_LANE_BYTES;
            const uint32_t at = chw ? r : i;
            uint8_t codes[8u * EBNN_LANE_BYTES];
            if (n < sizeof codes) {
                memset(codes, 0, sizeof codes);
            }
            if (bits == EBNN_B1) { /* t >> 31 is -1 where t is negative, else 0: its low bit is the code */
                ebnn_wide_codes(in + i, n, p->mul + at, p->add + at, chw, 31, -1, 0, codes);
            } else {
                ebnn_wide_codes(in + i, n, p->mul + at, p->add + at, chw, p->shift, 0, (1 << bits) - 1,
                                codes);
            }
            for (uint32_t bit = 0; bit < bits; bit++) {
                const ebnn_lane_t plane = ebnn_lane_plane(codes, bit);
                uint32_t *out = (uint32_t *)io->out + r * out_row + bit * out_bit + i / 32u;
                memcpy(out, &plane, 4u * (size_t)((n + 31u) / 32u));
            }
        }
    }
    return EBNN_OK;
}

#endif
