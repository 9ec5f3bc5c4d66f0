/*
 * Masks of valid pixels of a tap.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "window.h"

#include "ebnn_kernels.h"

/* Sets bits at .. at + n - 1. */
static void set_bits(uint32_t *words, uint32_t at, uint32_t n) {
    words += at / 32u;
    for (at %= 32u; n != 0u; at = 0) {
        const uint32_t room = 32u - at;
        const uint32_t m = n < room ? n : room;
        /* cppcheck-suppress shiftTooManyBits ; m is 1 to 32 */
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

static int32_t live_pixels(const ebnn_conv_dims_t *d, uint32_t first, uint32_t words) {
    const int32_t pixels = (int32_t)(words * 32u);
    const int32_t most = (int32_t)((uint32_t)d->out_h * d->out_w - first);
    return most < pixels ? most : pixels;
}

/* masks = the pixels of rows y0 .. y1 - 1, columns x0 .. x1 - 1. */
static EBNN_COLD void set_window(const ebnn_conv_dims_t *d, int32_t y0, int32_t y1, int32_t x0, int32_t x1,
                                 uint32_t first, uint32_t words, uint32_t *masks) {
    const int32_t w = d->out_w;
    const int32_t from = (int32_t)first;
    const int32_t n = live_pixels(d, first, words);
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
            set_bits(masks, (uint32_t)a, (uint32_t)(b - a));
        }
    }
}

EBNN_COLD void ebnn_window_rectangle(const ebnn_conv_dims_t *d, const uint16_t *r, uint32_t first,
                                     uint32_t words, uint32_t *masks) {
    set_window(d, r[0], r[1], r[2], r[3], first, words, masks);
}

void ebnn_window_columns(const ebnn_conv_dims_t *d, int32_t dx, uint32_t first, uint32_t words,
                         uint32_t *columns) {
    int32_t x0, x1;
    inside(d->in_w, d->out_w, d->stride_w, dx, &x0, &x1);
    set_window(d, 0, d->out_h, x0, x1, first, words, columns);
}

void ebnn_window_rows(const ebnn_conv_dims_t *d, int32_t dy, uint32_t first, uint32_t words,
                      const uint32_t *columns, uint32_t *masks) {
    int32_t y0, y1;
    inside(d->in_h, d->out_h, d->stride_h, dy, &y0, &y1);
    int32_t a = y0 * d->out_w - (int32_t)first;
    int32_t b = y1 * d->out_w - (int32_t)first;
    for (uint32_t i = 0; i < words; i++, a -= 32, b -= 32) {
        uint32_t m = b >= 32 ? columns[i] : b <= 0 ? 0u : columns[i] & ((1u << b) - 1u);
        if (a > 0) {
            m = a >= 32 ? 0u : m & (0xFFFFFFFFu << a);
        }
        masks[i] = m;
    }
}
