/*
 * Planes of a block of output pixels from an EBNN_PLANES tensor (the im2col of the bits kernels).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bits.h"
#include "window.h"

/* Stride 1 and equal widths: the plane of a tap is the input's, shifted by `shift` pixels and masked. Multiplying by
 * 2^s gives a word's bits and those that go on into the next word. */
static void shift_planes(const ebnn_bconv_bits_params_t *p, const uint32_t *x, int32_t shift, uint32_t in_words,
                         const uint32_t *masks, uint32_t *plane, uint32_t apart) {
    const int32_t n = p->block_words;
    const uint32_t lanes = (uint32_t)shift & 31u;
    /* output word i = input word first + i, shifted up, below the top of the input word before */
    const int32_t first = (shift - (int32_t)lanes) / 32 + (lanes != 0u ? 1 : 0);
    const uint32_t up = lanes != 0u ? 32u - lanes : 0u;
    const uint32_t factor = 1u << up;
    for (uint32_t c = 0; c < p->dims.in_c; c++, x += in_words, plane += 2) {
        uint32_t carry = 0;
        if (first > 0 && first <= (int32_t)in_words) {
            carry = (uint32_t)(((uint64_t)x[first - 1] * factor) >> 32);
        }
        uint32_t *to = plane;
        const uint32_t *from = x + first;
        for (int32_t i = 0; i < n; i++, to += apart, from++) {
            uint32_t v = carry;
            carry = 0;
            if ((uint32_t)(first + i) < in_words) {
                const uint64_t wide = (uint64_t)*from * factor;
                v |= (uint32_t)wide;
                carry = (uint32_t)(wide >> 32);
            }
            v &= masks[i];
            to[0] = ~v;
            to[1] = v;
        }
    }
}

/* Any stride: pixel by pixel. */
static void gather_planes(const ebnn_bconv_bits_params_t *p, const uint32_t *x, int32_t dy, int32_t dx, uint32_t first,
                          uint32_t in_words, const uint32_t *masks, uint32_t *plane, uint32_t apart) {
    const ebnn_conv_dims_t *d = &p->dims;
    for (uint32_t c = 0; c < d->in_c; c++, x += in_words, plane += 2) {
        int32_t y = (int32_t)(first / d->out_w * d->stride_h) + dy;
        uint32_t column = first % d->out_w;
        uint32_t *to = plane;
        for (uint32_t i = 0; i < p->block_words; i++, to += apart) {
            uint32_t v = 0;
            for (uint32_t lane = 0; lane < 32u; lane++) {
                if (((masks[i] >> lane) & 1u) != 0u) {
                    const uint32_t source = (uint32_t)(y * d->in_w + (int32_t)(column * d->stride_w) + dx);
                    v |= ((x[source / 32u] >> (source % 32u)) & 1u) << lane;
                }
                if (++column == d->out_w) {
                    column = 0;
                    y += d->stride_h;
                }
            }
            to[0] = ~v;
            to[1] = v;
        }
    }
}

void ebnn_bits_fill(const ebnn_bconv_bits_params_t *p, const uint32_t *in, uint32_t first, uint32_t *planes,
                    uint32_t *masks) {
    const ebnn_conv_dims_t *d = &p->dims;
    const uint32_t in_words = ((uint32_t)d->in_h * d->in_w + 31u) / 32u;
    const uint32_t apart = 2u * (ebnn_bits_k(p) + 1u);
    const int shifted = d->stride_h == 1u && d->stride_w == 1u && d->out_w == d->in_w;
    uint32_t *plane = planes;
    for (uint32_t ky = 0; ky < d->kernel_h; ky++) {
        const int32_t dy = (int32_t)ky * d->dilation_h - d->pad_h;
        for (uint32_t kx = 0; kx < d->kernel_w; kx++, plane += 2u * d->in_c) {
            const int32_t dx = (int32_t)kx * d->dilation_w - d->pad_w;
            ebnn_window_mask(d, dy, dx, first, p->block_words, 1u, masks);
            if (shifted) {
                shift_planes(p, in, dy * d->in_w + dx + (int32_t)first, in_words, masks, plane, apart);
            } else {
                gather_planes(p, in, dy, dx, first, in_words, masks, plane, apart);
            }
        }
    }
    for (uint32_t i = 0; i < p->block_words; i++, plane += apart) {
        plane[0] = plane[1] = 0;
    }
}
