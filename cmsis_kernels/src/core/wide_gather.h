/*
 * The words of the taps of output pixels, from an EBNN_NHWC tensor of bits (the im2col of the counting
 * kernels).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_WIDE_GATHER_H
#define EBNN_WIDE_GATHER_H

#include <string.h>

#include "ebnn_params.h"

/* Words of a pixel's taps, of one bit. */
static inline uint32_t ebnn_dot_words(const ebnn_conv_dims_t *d) {
    return (uint32_t)d->kernel_h * d->kernel_w * (((uint32_t)d->in_c + 31u) / 32u);
}

/* The taps of output pixels lie one after another in the input as they are. */
static inline int ebnn_dot_direct(const ebnn_conv_dims_t *d) {
    return d->kernel_h == 1u && d->kernel_w == 1u && d->stride_h == 1u && d->stride_w == 1u &&
           d->pad_h == 0u && d->pad_w == 0u && d->out_h <= d->in_h && d->out_w == d->in_w;
}

/* n words; a call of memcpy costs more than the few words of a tap. */
static inline __attribute__((always_inline)) void ebnn_dot_copy(uint32_t *out, const uint32_t *in,
                                                                uint32_t n) {
    uint32_t i = 0;
    for (; i + 4u <= n; i += 4u) {
        memcpy(out + i, in + i, 16);
    }
    for (; i < n; i++) {
        memcpy(out + i, in + i, 4);
    }
}

/* The taps of kernel row ky of a pixel, kx from..to - 1 of them inside the image; in: the first of these,
 * out: [bit][kx][words], `plane` words from one bit to the next. */
static inline void ebnn_dot_gather_row(const ebnn_conv_dims_t *d, uint32_t bits, const uint32_t *in,
                                       uint32_t from, uint32_t to, size_t plane, uint32_t *out) {
    const uint32_t words = ((uint32_t)d->in_c + 31u) / 32u;
    const size_t step = (size_t)d->dilation_w * bits * words;
    for (uint32_t bit = 0; bit < bits; bit++, out += plane) {
        memset(out, 0, 4u * (size_t)from * words);
        for (uint32_t kx = from; kx < to; kx++) {
            ebnn_dot_copy(out + kx * words, in + bit * words + (kx - from) * step, words);
        }
        memset(out + to * words, 0, 4u * (size_t)(d->kernel_w - to) * words);
    }
}

/* out: [pixel][bit][tap][words] of n pixels from `first` on, zeros outside the image. */
static inline void ebnn_dot_gather(const ebnn_conv_dims_t *d, uint32_t bits, const uint32_t *in,
                                   uint32_t first, uint32_t n, uint32_t *out) {
    const uint32_t words = ((uint32_t)d->in_c + 31u) / 32u;
    const size_t plane = (size_t)d->kernel_h * d->kernel_w * words;
    const uint32_t row = d->kernel_w * words;
    uint32_t oy = first / d->out_w, ox = first % d->out_w;
    for (; n != 0u; n--, out += (bits - 1u) * plane) {
        const int32_t y0 = (int32_t)(oy * d->stride_h) - d->pad_h;
        const int32_t x0 = (int32_t)(ox * d->stride_w) - d->pad_w;
        uint32_t from = 0, to = d->kernel_w; /* the taps inside: x0 + kx * dilation_w in 0..in_w - 1 */
        while (from < to && x0 + (int32_t)(from * d->dilation_w) < 0) {
            from++;
        }
        while (to > from && x0 + (int32_t)((to - 1u) * d->dilation_w) >= d->in_w) {
            to--;
        }
        const int whole = from == 0u && to == d->kernel_w && d->dilation_w == 1u;
        const size_t x = ((size_t)(x0 + (int32_t)(from * d->dilation_w))) * words * bits;
        for (uint32_t ky = 0; ky < d->kernel_h; ky++, out += row) {
            const int32_t y = y0 + (int32_t)(ky * d->dilation_h);
            const uint32_t *at = in + (size_t)(uint32_t)y * d->in_w * words * bits + x;
            if (y < 0 || y >= d->in_h || from == to) {
                ebnn_dot_gather_row(d, bits, in, 0, 0, plane, out);
            } else if (whole && bits == 1u) {
                ebnn_dot_copy(out, at, row);
            } else if (whole) {
                for (uint32_t bit = 0; bit < bits; bit++) {
                    for (uint32_t kx = 0; kx < d->kernel_w; kx++) {
                        ebnn_dot_copy(out + bit * plane + kx * words, at + (kx * bits + bit) * words, words);
                    }
                }
            } else {
                ebnn_dot_gather_row(d, bits, at, from, to, plane, out);
            }
        }
        if (++ox == d->out_w) {
            ox = 0;
            oy++;
        }
    }
}

#endif
