/*
 * Planes of a block of output pixels from an EBNN_NIBBLES tensor (the im2col of the lanes kernels).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "lanes.h"

#define LOW_NIBBLES 0x0F0F0F0Fu

static uint32_t *put(uint32_t *plane, uint32_t v, uint32_t field_bits) {
    if (field_bits == 4u) {
        *plane++ = v;
    } else {
        *plane++ = v & LOW_NIBBLES;
        *plane++ = (v >> 4) & LOW_NIBBLES;
    }
    return plane;
}

void ebnn_lanes_shift(const ebnn_lanes_strip_t *s) {
    static const uint32_t zero = 0;
    const uint32_t bits = 4u * ((uint32_t)s->shift & 7u);
    const uint32_t start = (uint32_t)((s->shift - (int32_t)((uint32_t)s->shift & 7u)) / 8);
    for (uint32_t i = 0; i < s->words;
         i++) { /* word by word, as the same words are outside for all channels */
        const uint32_t low_at = start + i, high_at = low_at + 1u;
        const int has_low = low_at < s->in_words, has_high = high_at < s->in_words;
        const uint32_t *low = has_low ? s->x + low_at : &zero;
        const uint32_t *high = has_high ? s->x + high_at : &zero;
        const uint32_t mask = s->masks != NULL ? s->masks[i] : ~0u;
        uint32_t *plane = s->plane + i * s->field_bits / 4u;
        for (uint32_t c = 0; c < s->channels; c++, plane += s->stride / 4u) {
            const uint32_t v = (*low >> bits) | ((*high << (28u - bits)) << 4);
            put(plane, (v << s->code_shift) & mask, s->field_bits);
            low += has_low ? s->in_words : 0u;
            high += has_high ? s->in_words : 0u;
        }
    }
}

/* Fields whose tap lies in columns 0 .. in_w - 1 and rows 0 .. rows - 1; those past the last pixel are
 * arbitrary. */
static EBNN_COLD void inside(const ebnn_conv_dims_t *d, int32_t dy, int32_t dx, uint32_t rows, uint32_t first,
                             uint32_t words, uint32_t *masks) {
    uint32_t column = first % d->out_w;
    uint32_t y = first / d->out_w * d->stride_h + (uint32_t)dy, x = column * d->stride_w + (uint32_t)dx;
    for (; words != 0u; words--) {
        uint32_t mask = 0;
        for (uint32_t field = 15u; field != 0u; field <<= 4) {
            if (x < d->in_w && y < rows) {
                mask |= field;
            }
            x += d->stride_w;
            if (++column == d->out_w) {
                column = 0;
                x = (uint32_t)dx;
                y += d->stride_h;
            }
        }
        *masks++ = mask;
    }
}

/* Any stride: pixel by pixel. */
static EBNN_COLD void fill_gathered(const ebnn_bconv_lanes_params_t *p, const uint32_t *x, int32_t dy,
                                    int32_t dx, uint32_t first, uint32_t in_words, const uint32_t *masks,
                                    uint32_t *plane) {
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
            plane = put(plane, v << p->code_shift, p->field_bits);
        }
    }
}

/* The pad code in all fields outside the image, in all planes of a tap (4-bit fields); inside: masks. */
static EBNN_COLD void put_pads(const ebnn_bconv_lanes_params_t *p, const uint32_t *masks, uint32_t *plane) {
    const uint32_t *end = plane + p->block_words;
    for (; plane != end; plane++) {
        const uint32_t pads = ~*masks++ & (p->pad_code * 0x11111111u);
        uint32_t *word = plane;
        for (uint32_t c = pads != 0u ? p->dims.in_c : 0u; c != 0u; c--) {
            *word |= pads;
            word += p->block_words;
        }
    }
}

void ebnn_lanes_fill(const ebnn_bconv_lanes_params_t *p, const uint32_t *in, uint32_t first, uint32_t *planes,
                     uint32_t *masks, ebnn_lanes_shift_t shift_planes) {
    const ebnn_conv_dims_t *d = &p->dims;
    const uint32_t n = p->block_words;
    const uint32_t in_words = ((uint32_t)d->in_h * d->in_w + 7u) / 8u;
    ebnn_lanes_strip_t strip = {in, planes, NULL,          d->in_c,      in_words, ebnn_lanes_stride(p),
                                n,  0,      p->code_shift, p->field_bits};
    const int shifted = d->stride_h == 1u && d->stride_w == 1u && d->out_w == d->in_w;
    /* rows outside the image are words outside the input, which are zeros */
    const int any_row = shifted && p->pad_code == 0u;
    const uint32_t tap = d->in_c * strip.stride / 4u;
    int32_t dx = -(int32_t)d->pad_w;
    for (uint32_t kx = 0; kx < d->kernel_w; kx++, dx += d->dilation_w, planes += tap) {
        int32_t dy = -(int32_t)d->pad_h;
        strip.plane = planes;
        strip.masks = any_row && dx == 0 ? NULL : masks;
        if (any_row && dx != 0) {
            inside(d, 0, dx, ~0u, first, n, masks);
        }
        for (uint32_t ky = 0; ky < d->kernel_h; ky++, dy += d->dilation_h, strip.plane += d->kernel_w * tap) {
            if (!any_row) {
                inside(d, dy, dx, d->in_h, first, n, masks);
            }
            if (shifted) {
                strip.shift = dy * d->in_w + dx + (int32_t)first;
                shift_planes(&strip);
            } else {
                fill_gathered(p, in, dy, dx, first, in_words, masks, strip.plane);
            }
            if (p->pad_code != 0u) {
                put_pads(p, masks, strip.plane);
            }
        }
    }
    memset(masks - strip.stride / 4u, 0, strip.stride);
}
