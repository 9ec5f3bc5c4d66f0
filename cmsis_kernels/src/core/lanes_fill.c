/*
 * Planes of a block of output pixels from an EBNN_NIBBLES tensor (the im2col of the lanes kernels).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "lanes.h"
#include "window.h"

#define LOW_NIBBLES 0x0F0F0F0Fu

static uint32_t word_at(const uint32_t *x, int32_t index, uint32_t n) {
    return (uint32_t)index < n ? x[index] : 0u;
}

static uint32_t *put(uint32_t *plane, uint32_t v, uint32_t field_bits) {
    if (field_bits == 4u) {
        *plane++ = v;
    } else {
        *plane++ = v & LOW_NIBBLES;
        *plane++ = (v >> 4) & LOW_NIBBLES;
    }
    return plane;
}

uint32_t *ebnn_lanes_shift(const ebnn_bconv_lanes_params_t *p, const uint32_t *x, int32_t shift,
                           uint32_t in_words, const uint32_t *masks, uint32_t *plane) {
    const uint32_t n = p->block_words;
    const uint32_t bits = 4u * ((uint32_t)shift & 7u);
    const int32_t start = (shift - (int32_t)((uint32_t)shift & 7u)) / 8;
    const uint32_t up = p->code_shift;
    for (uint32_t c = 0; c < p->dims.in_c; c++, x += in_words) {
        uint32_t low = word_at(x, start, in_words);
        for (uint32_t i = 0; i < n; i++) {
            const uint32_t high = word_at(x, start + (int32_t)i + 1, in_words);
            const uint32_t v = (low >> bits) | ((high << (28u - bits)) << 4);
            plane = put(plane, ((v << up) & masks[i]) | masks[n + i], p->field_bits);
            low = high;
        }
    }
    return plane;
}

/* Any stride: pixel by pixel. */
static uint32_t *fill_gathered(const ebnn_bconv_lanes_params_t *p, const uint32_t *x, int32_t dy, int32_t dx,
                               uint32_t first, uint32_t in_words, const uint32_t *masks, uint32_t *plane) {
    const ebnn_conv_dims_t *d = &p->dims;
    const uint32_t n = p->block_words;
    for (uint32_t c = 0; c < d->in_c; c++, x += in_words) {
        int32_t y = (int32_t)(first / d->out_w * d->stride_h) + dy;
        uint32_t column = first % d->out_w;
        for (uint32_t i = 0; i < n; i++) {
            uint32_t v = 0;
            for (uint32_t lane = 0; lane < 32u; lane += 4u) {
                if (((masks[i] >> lane) & 15u) != 0u) {
                    const uint32_t source = (uint32_t)(y * d->in_w + (int32_t)(column * d->stride_w) + dx);
                    v |= ((x[source / 8u] >> (4u * (source % 8u))) & 15u) << lane;
                }
                if (++column == d->out_w) {
                    column = 0;
                    y += d->stride_h;
                }
            }
            plane = put(plane, (v << p->code_shift) | masks[n + i], p->field_bits);
        }
    }
    return plane;
}

void ebnn_lanes_fill(const ebnn_bconv_lanes_params_t *p, const uint32_t *in, uint32_t first, uint32_t *planes,
                     uint32_t *masks, ebnn_lanes_shift_t shift_planes) {
    const ebnn_conv_dims_t *d = &p->dims;
    const uint32_t n = p->block_words;
    const uint32_t in_words = ((uint32_t)d->in_h * d->in_w + 7u) / 8u;
    const int shifted = d->stride_h == 1u && d->stride_w == 1u && d->out_w == d->in_w;
    for (uint32_t ky = 0; ky < d->kernel_h; ky++) {
        const int32_t dy = (int32_t)ky * d->dilation_h - d->pad_h;
        for (uint32_t kx = 0; kx < d->kernel_w; kx++) {
            const int32_t dx = (int32_t)kx * d->dilation_w - d->pad_w;
            /* masks[0 .. n): fields inside the image; masks[n .. 2n): the pad code elsewhere */
            ebnn_window_mask(d, dy, dx, first, n, 4u, masks);
            for (uint32_t i = 0; i < n; i++) {
                masks[n + i] = ~masks[i] & (p->pad_code * 0x11111111u);
            }
            if (shifted) {
                planes = shift_planes(p, in, dy * d->in_w + dx + (int32_t)first, in_words, masks, planes);
            } else {
                planes = fill_gathered(p, in, dy, dx, first, in_words, masks, planes);
            }
        }
    }
}
