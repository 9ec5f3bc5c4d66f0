/*
 * Planes of a block of output pixels from an EBNN_PLANES tensor (the im2col of the bits kernels).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bits.h"
#include "bits_stride.h"
#include "ebnn_kernels.h"
#include "window.h"

/* One plane and its complement. */
static inline uint32_t *put(uint32_t *to, uint32_t v) {
    to[0] = ~v;
    to[1] = v;
    return to + 2;
}

void ebnn_bits_shift_one(const uint32_t *x, uint32_t channels, uint32_t in_words, uint32_t bits,
                         uint32_t mask, uint32_t *to) {
    const uint32_t down = bits < 32u ? bits : 0u, up = bits < 32u ? 0u : bits - 32u;
    for (; channels >= 2u; channels -= 2u) {
        const uint32_t v0 = x[0], v1 = x[in_words];
        x += 2u * in_words;
        to = put(to, ((v0 >> down) << up) & mask);
        to = put(to, ((v1 >> down) << up) & mask);
    }
    if (channels != 0u) {
        put(to, ((*x >> down) << up) & mask);
    }
}

void ebnn_bits_shift(const uint32_t *x, uint32_t channels, uint32_t in_words, uint32_t bits, uint32_t mask,
                     uint32_t *to) {
    const uint32_t up = 32u - bits;
    for (; channels >= 2u; channels -= 2u) {
        const uint32_t v0 = (x[0] >> bits) | (x[1] << up);
        x += in_words;
        const uint32_t v1 = (x[0] >> bits) | (x[1] << up);
        x += in_words;
        to = put(to, v0 & mask);
        to = put(to, v1 & mask);
    }
    if (channels != 0u) {
        put(to, ((x[0] >> bits) | (x[1] << up)) & mask);
    }
}

static EBNN_COLD void from_none(uint32_t channels, uint32_t *to) {
    for (; channels != 0u; channels--) {
        to = put(to, 0u);
    }
}

/* Stride 1 and equal widths: the plane of a tap is the input's, shifted by `shift` pixels and masked. */
static EBNN_COLD void shift_planes(const ebnn_bconv_bits_params_t *p, const uint32_t *x, int32_t shift,
                                   uint32_t in_words, const uint32_t *masks, uint32_t *plane, uint32_t apart,
                                   ebnn_bits_shift_t one, ebnn_bits_shift_t two) {
    const uint32_t bits = (uint32_t)shift & 31u;
    int32_t word = (shift - (int32_t)bits) / 32;
    for (uint32_t i = 0; i < p->block_words; i++, word++, plane += apart) {
        const int low = word >= 0 && word < (int32_t)in_words;
        const int high = bits != 0u && word + 1 >= 0 && word + 1 < (int32_t)in_words;
        if (low && high) {
            two(x + word, p->dims.in_c, in_words, bits, masks[i], plane);
        } else if (low) {
            one(x + word, p->dims.in_c, in_words, bits, masks[i], plane);
        } else if (high) {
            one(x + word + 1, p->dims.in_c, in_words, 64u - bits, masks[i], plane);
        } else {
            from_none(p->dims.in_c, plane);
        }
    }
}

/* Any stride: row by row, 32 pixels of the input at a time. Not inlined, as what calls it is made for size.
 */
static __attribute__((noinline)) void gather_planes(const ebnn_bconv_bits_params_t *p, const uint32_t *in,
                                                    int32_t dy, int32_t dx, uint32_t first, uint32_t in_words,
                                                    uint32_t *plane, uint32_t apart) {
    const ebnn_conv_dims_t *d = &p->dims;
    const uint32_t step = ebnn_bits_per_piece(d->stride_w);
    const uint32_t pixels = (uint32_t)d->out_h * d->out_w;
    const uint32_t end = first + 32u * p->block_words < pixels ? first + 32u * p->block_words : pixels;
    for (uint32_t i = 0; i < p->block_words; i++) {
        from_none(d->in_c, plane + apart * i);
    }
    for (uint32_t at = first; at < end;) {
        const uint32_t oy = at / d->out_w, ox = at % d->out_w;
        const int32_t y = (int32_t)(oy * d->stride_h) + dy;
        const uint32_t row = d->out_w - ox < end - at ? d->out_w - ox : end - at;
        const uint32_t n = row < step ? row : step;
        const uint32_t shift = (at - first) % 32u;
        uint32_t *to = plane + apart * ((at - first) / 32u);
        at += n;
        if (y < 0 || y >= (int32_t)d->in_h) {
            continue;
        }
        const ebnn_bits_piece_t piece =
            ebnn_bits_piece(y * d->in_w, (int32_t)(ox * d->stride_w) + dx, d->in_w, (int32_t)in_words);
        const uint32_t *x = in;
        for (uint32_t c = 0; c < d->in_c; c++, x += in_words, to += 2) {
            const uint32_t v = ebnn_bits_every(ebnn_bits_read(x, &piece) & piece.mask, d->stride_w) &
                               (0xFFFFFFFFu >> (32u - n));
            to[0] ^= v << shift;
            to[1] |= v << shift;
            if (shift + n > 32u) {
                to[apart] ^= v >> (32u - shift);
                to[apart + 1u] |= v >> (32u - shift);
            }
        }
    }
}

EBNN_COLD void ebnn_bits_fill(const ebnn_bconv_bits_params_t *p, const uint32_t *in, uint32_t first,
                              uint32_t *planes, uint32_t *masks, ebnn_bits_shift_t shift_one,
                              ebnn_bits_shift_t shift) {
    const ebnn_conv_dims_t *d = &p->dims;
    const uint32_t in_words = ((uint32_t)d->in_h * d->in_w + 31u) / 32u;
    const uint32_t apart = 2u * (ebnn_bits_k(p) + 1u);
    const int shifted = d->stride_h == 1u && d->stride_w == 1u && d->out_w == d->in_w;
    uint32_t *columns = masks + p->block_words;
    for (uint32_t kx = 0; kx < d->kernel_w; kx++) {
        const int32_t dx = (int32_t)kx * d->dilation_w - d->pad_w;
        uint32_t *plane = planes + 2u * d->in_c * kx;
        ebnn_window_columns(d, dx, first, p->block_words, columns);
        for (uint32_t ky = 0; ky < d->kernel_h; ky++, plane += 2u * d->in_c * d->kernel_w) {
            const int32_t dy = (int32_t)ky * d->dilation_h - d->pad_h;
            ebnn_window_rows(d, dy, first, p->block_words, columns, masks);
            if (shifted) {
                shift_planes(p, in, dy * d->in_w + dx + (int32_t)first, in_words, masks, plane, apart,
                             shift_one, shift);
            } else {
                gather_planes(p, in, dy, dx, first, in_words, plane, apart);
            }
        }
    }
    uint32_t *zero = planes + apart - 2u;
    for (uint32_t i = 0; i < p->block_words; i++, zero += apart) {
        zero[0] = zero[1] = 0;
    }
}
