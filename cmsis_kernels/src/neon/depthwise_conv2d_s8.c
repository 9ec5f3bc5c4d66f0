/*
 * s8 depthwise convolution: 8 or 16 channels along the lanes, taps two by two: SMULL, SMLAL (two products fit
 * 16 bits), then a widening addition.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_kernels.h"
#include "ebnn_neon.h"
#include "neon_gather_s8.h"
#include "neon_requantize.h"
#include "../core/part.h"

/* The taps of a pixel: pointers to out_c channels each, then a row for what lies outside the image and, where
 * a channel is read by several, one a tap for the repeated channels. */
typedef struct {
    const int8_t **taps;
    int8_t *outside, *repeated;
} scratch_t;

static scratch_t scratch_of(const ebnn_conv_s8_neon_params_t *p, void *scratch) {
    const uint32_t taps = (uint32_t)p->dims.kernel_h * p->dims.kernel_w;
    scratch_t s;
    s.taps = scratch;
    s.outside = (int8_t *)(s.taps + taps);
    s.repeated = s.outside + p->dims.out_c;
    return s;
}

static void find_taps(const ebnn_conv_s8_neon_params_t *p, const int8_t *in, uint32_t pixel,
                      const scratch_t *s) {
    const ebnn_conv_dims_t *d = &p->dims;
    const uint32_t multiplier = (uint32_t)d->out_c / d->in_c;
    uint32_t tap = 0;
    for (uint32_t ky = 0; ky < d->kernel_h; ky++) {
        for (uint32_t kx = 0; kx < d->kernel_w; kx++, tap++) {
            const int8_t *from = neon_tap_s8(d, in, pixel, ky, kx);
            if (from != NULL && multiplier != 1u) {
                int8_t *to = s->repeated + (size_t)tap * d->out_c;
                for (uint32_t c = 0; c < d->in_c; c++, to += multiplier) {
                    memset(to, from[c], multiplier);
                }
                from = to - d->out_c;
            }
            s->taps[tap] = from != NULL ? from : s->outside;
        }
    }
}

/* Sums of 8 * n channels from c on: sums[2 * n]. */
static NEON_INLINE void sum_taps(const ebnn_conv_s8_neon_params_t *p, const int8_t *const *taps, uint32_t c,
                                 const uint32_t n, int32x4_t *sums) {
    const uint32_t count = (uint32_t)p->dims.kernel_h * p->dims.kernel_w;
    const size_t step = p->dims.out_c;
    const int8_t *w = p->weights + c;
    NEON_UNROLL
    for (uint32_t i = 0; i < 2u * n; i++) {
        sums[i] = vdupq_n_s32(0);
    }
    for (uint32_t tap = 0; tap < count; tap += 2u, w += 2u * step) {
        const uint32_t pair = tap + 1u < count;
        NEON_UNROLL
        for (uint32_t i = 0; i < n; i++) {
            int16x8_t t = vmull_s8(vld1_s8(taps[tap] + c + 8u * i), vld1_s8(w + 8u * i));
            if (pair) {
                t = vmlal_s8(t, vld1_s8(taps[tap + 1u] + c + 8u * i), vld1_s8(w + step + 8u * i));
            }
            sums[2u * i] = vaddw_s16(sums[2u * i], vget_low_s16(t));
            sums[2u * i + 1u] = vaddw_s16(sums[2u * i + 1u], vget_high_s16(t));
        }
    }
}

/* The same for a rest of n < 8 channels. */
static void sum_rest(const ebnn_conv_s8_neon_params_t *p, const int8_t *const *taps, uint32_t c, uint32_t n,
                     int32x4_t *sums) {
    const uint32_t count = (uint32_t)p->dims.kernel_h * p->dims.kernel_w;
    int32_t total[8] = {0};
    for (uint32_t tap = 0; tap < count; tap++) {
        const int8_t *w = p->weights + (size_t)tap * p->dims.out_c + c;
        for (uint32_t i = 0; i < n; i++) {
            total[i] += taps[tap][c + i] * w[i];
        }
    }
    sums[0] = vld1q_s32(total);
    sums[1] = vld1q_s32(total + 4);
}

uint32_t ebnn_depthwise_conv2d_s8__neon_get_buffer_size(const void *params) {
    const ebnn_conv_s8_neon_params_t *p = params;
    const uint32_t taps = (uint32_t)p->dims.kernel_h * p->dims.kernel_w;
    const uint32_t rows = p->dims.out_c == p->dims.in_c ? 1u : taps + 1u;
    return 8u * taps + p->dims.out_c * rows;
}

ebnn_status_t ebnn_depthwise_conv2d_s8__neon(const void *params, const ebnn_io_t *io) {
    const ebnn_conv_s8_neon_params_t *p = params;
    const uint32_t channels = p->dims.out_c;
    const scratch_t s = scratch_of(p, io->scratch);
    memset(s.outside, p->zero_point, channels);
    const ebnn_part_t part = ebnn_part(io, (uint32_t)p->dims.out_h * p->dims.out_w, 1);
    for (uint32_t pixel = part.begin; pixel < part.end; pixel++) {
        int32x4_t sums[4];
        uint32_t c = 0;
        find_taps(p, io->in[0], pixel, &s);
        for (; c + 16u <= channels; c += 16u) {
            sum_taps(p, s.taps, c, 2, sums);
            neon_store_s8(p, io->out, pixel, c, 8, neon_requantize8(p, c, sums[0], sums[1]));
            neon_store_s8(p, io->out, pixel, c + 8u, 8, neon_requantize8(p, c + 8u, sums[2], sums[3]));
        }
        for (; c + 8u <= channels; c += 8u) {
            sum_taps(p, s.taps, c, 1, sums);
            neon_store_s8(p, io->out, pixel, c, 8, neon_requantize8(p, c, sums[0], sums[1]));
        }
        if (c < channels) {
            sum_rest(p, s.taps, c, channels - c, sums);
            neon_store_s8(p, io->out, pixel, c, channels - c, neon_requantize8(p, c, sums[0], sums[1]));
        }
    }
    if (io->part == 0u) {
        neon_clear_tails(p, io->out);
    }
    return EBNN_OK;
}
