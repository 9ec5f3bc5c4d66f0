/*
 * Taps of one output pixel of an s8 EBNN_NHWC tensor, side by side.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_NEON_GATHER_S8_H
#define EBNN_NEON_GATHER_S8_H

#include <string.h>

#include "ebnn_params.h"

/* The input pixel of a tap, NULL outside the image. */
static inline const int8_t *neon_tap_s8(const ebnn_conv_dims_t *d, const int8_t *in, uint32_t pixel,
                                        uint32_t ky, uint32_t kx) {
    const int32_t y = (int32_t)(pixel / d->out_w * d->stride_h + ky * d->dilation_h) - d->pad_h;
    const int32_t x = (int32_t)(pixel % d->out_w * d->stride_w + kx * d->dilation_w) - d->pad_w;
    if (y < 0 || y >= d->in_h || x < 0 || x >= d->in_w) {
        return NULL;
    }
    return in + ((size_t)(uint32_t)y * d->in_w + (uint32_t)x) * d->in_c;
}

/* [kernel_h][kernel_w][in_c] of a pixel, the zero point outside the image, zeros up to `row` bytes. */
static inline void neon_gather_s8(const ebnn_conv_dims_t *d, const int8_t *in, uint32_t pixel,
                                  int32_t zero_point, uint32_t row, int8_t *out) {
    int8_t *to = out;
    for (uint32_t ky = 0; ky < d->kernel_h; ky++) {
        for (uint32_t kx = 0; kx < d->kernel_w; kx++, to += d->in_c) {
            const int8_t *from = neon_tap_s8(d, in, pixel, ky, kx);
            if (from == NULL) {
                memset(to, zero_point, d->in_c);
            } else {
                memcpy(to, from, d->in_c);
            }
        }
    }
    memset(to, 0, row - (uint32_t)(to - out));
}

#endif
