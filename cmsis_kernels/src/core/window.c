/*
 * Masks of valid pixels of a tap.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "window.h"

/* Sets bits at .. at + n - 1. */
static void set_bits(uint32_t *words, uint32_t at, uint32_t n) {
    words += at / 32u;
    for (at %= 32u; n != 0u; at = 0) {
        const uint32_t room = 32u - at;
        const uint32_t m = n < room ? n : room;
        *words++ |= (0xFFFFFFFFu >> (32u - m)) << at;
        n -= m;
    }
}

/* The output columns or rows [*first, *last) whose tap lies inside the image. */
static void inside(int32_t in, int32_t out, int32_t stride, int32_t shift, int32_t *first, int32_t *last) {
    const int32_t room = in - 1 - shift; /* largest out * stride that still reads inside */
    int32_t low = 0;
    int32_t high = out;
    if (stride == 1) { /* the usual case, without divisions */
        low = shift < 0 ? -shift : 0;
        high = room + 1 < out ? room + 1 : out;
    } else {
        low = shift < 0 ? (-shift + stride - 1) / stride : 0;
        if (room < 0) {
            high = 0;
        } else if (room / stride + 1 < out) {
            high = room / stride + 1;
        }
    }
    *first = low;
    *last = high > low ? high : low;
}

void ebnn_window_mask(const ebnn_conv_dims_t *d, int32_t dy, int32_t dx, uint32_t first, uint32_t words, uint32_t bits,
                      uint32_t *masks) {
    const int32_t w = d->out_w;
    const int32_t from = (int32_t)first;
    const int32_t pixels = (int32_t)(words * (32u / bits));
    const int32_t most = d->out_h * w - from;
    const int32_t n = most < pixels ? most : pixels;
    int32_t y0, y1, x0, x1;
    inside(d->in_h, d->out_h, d->stride_h, dy, &y0, &y1);
    inside(d->in_w, d->out_w, d->stride_w, dx, &x0, &x1);
    for (uint32_t i = 0; i < words; i++) {
        masks[i] = 0;
    }
    if (x0 == 0 && x1 == w) { /* whole rows are one run */
        x1 = (y1 - y0) * w;
        y1 = y1 > y0 ? y0 + 1 : y0;
    }
    int32_t at = y0 * w - from;
    for (int32_t y = y0; y < y1 && at < n; y++, at += w) {
        int32_t a = at + x0, b = at + x1;
        a = a < 0 ? 0 : a;
        b = b > n ? n : b;
        if (b > a) {
            set_bits(masks, (uint32_t)a * bits, (uint32_t)(b - a) * bits);
        }
    }
}
