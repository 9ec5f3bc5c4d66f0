/*
 * s8 depthwise layers for SIMD compilers: plain loops over channels, which become vectors when this is
 * compiled for an instruction set. A lane header (s8_256.h, s8_512.h) stands before this one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_WIDE_S8_H
#define EBNN_WIDE_S8_H

#include <string.h>

#include "../portable/ebnn_fixed.h"
#include "ebnn_wide.h"
#include "part.h"

#define EBNN_S8_CHANNELS 64u /* of a depthwise layer, accumulated at a time */

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

/* Room for one pixel of the input, its channels repeated where the multiplier is not 1. */
static inline uint32_t ebnn_s8_wide_depthwise_buffer_size(const ebnn_conv_s8_params_t *p) {
    return p->dims.out_c == p->dims.in_c ? 0u : p->dims.out_c;
}

/* Codes of n channels from `first` on; multipliers are not negative. */
static inline void ebnn_s8_wide_codes(const ebnn_conv_s8_params_t *p, uint32_t first, uint32_t n,
                                      const int32_t *acc, int8_t *codes) {
    uint32_t c = 0;
    for (; c + EBNN_S8_LANES <= n; c += EBNN_S8_LANES) {
        const ebnn_s8_lane_t y =
            ebnn_s8_requantize(ebnn_s8_load(acc + c), p->multiplier + first + c, p->shift + first + c);
        ebnn_s8_codes(y, p->output_offset, p->act_min, p->act_max, codes + c);
    }
    for (; c < n; c++) {
        const int32_t y = ebnn_requantize(acc[c], p->multiplier[first + c], p->shift[first + c]);
        codes[c] = (int8_t)ebnn_clamp(y + p->output_offset, p->act_min, p->act_max);
    }
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
            int8_t codes[EBNN_S8_CHANNELS];
            ebnn_s8_wide_codes(p, first, n, acc, codes);
            if (p->out_layout != EBNN_CHW) {
                memcpy(out + (size_t)pixel * d->out_c + first, codes, n);
                continue;
            }
            for (uint32_t c = 0; c < n; c++) {
                out[ebnn_s8_wide_index(d, p->out_layout, pixel, first + c)] = codes[c];
            }
        }
    }
    if (io->part == 0u) {
        ebnn_s8_wide_clear_tails(d, p->out_layout, out);
    }
    return EBNN_OK;
}

#endif
