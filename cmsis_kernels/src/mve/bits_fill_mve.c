/*
 * Planes of a block of output pixels for the MVE bits kernel (its im2col).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../core/window.h"
#include "ebnn_mve_bits.h"

/* Lanes whose word, the first being `word`, is one of `words`. */
static inline mve_pred16_t inside(int32_t word, uint32_t words) {
    const uint32x4_t at = vaddq_n_u32(vidupq_n_u32(0, 1), (uint32_t)word);
    return vcmphiq_u32(vdupq_n_u32(words), at);
}

/* Stride 1 and equal widths: the plane of a tap is the input's, shifted by `shift` pixels and masked. */
static void shift_planes(const ebnn_bconv_bits_params_t *p, const uint32_t *x, int32_t shift,
                         uint32_t in_words, const uint32_t *masks, uint32_t *plane) {
    const uint32_t bits = (uint32_t)shift & 31u;
    const int32x4_t down = vdupq_n_s32(-(int32_t)bits);
    const int32x4_t up = vdupq_n_s32(32 - (int32_t)bits); /* a shift by 32 gives 0 */
    int32_t word = (shift - (int32_t)bits) / 32;
    for (uint32_t quad = 0; quad < ebnn_mve_bits_quads(p);
         quad++, word += 4, plane += ebnn_mve_bits_apart(p)) {
        const mve_pred16_t low = inside(word, in_words);
        const mve_pred16_t high = inside(word + 1, in_words);
        const uint32x4_t mask = vldrwq_u32(masks + EBNN_QUAD * quad);
        const uint32_t *from = x + word; /* words outside the plane are not read */
        uint32_t *to = plane;
        for (uint32_t c = p->dims.in_c; c != 0u; c--, from += in_words, to += 2u * EBNN_QUAD) {
            const uint32x4_t a = vshlq_u32(vldrwq_z_u32(from, low), down);
            const uint32x4_t b = vshlq_u32(vldrwq_z_u32(from + 1, high), up);
            const uint32x4_t v = vandq_u32(vorrq_u32(a, b), mask);
            vstrwq_u32(to, vmvnq_u32(v));
            vstrwq_u32(to + EBNN_QUAD, v);
        }
    }
}

/* Any stride: pixel by pixel. */
static void gather_planes(const ebnn_bconv_bits_params_t *p, const uint32_t *x, int32_t dy, int32_t dx,
                          uint32_t first, uint32_t in_words, const uint32_t *masks, uint32_t *plane) {
    const ebnn_conv_dims_t *d = &p->dims;
    for (uint32_t c = 0; c < d->in_c; c++, x += in_words, plane += 2u * EBNN_QUAD) {
        int32_t y = (int32_t)(first / d->out_w * d->stride_h) + dy;
        uint32_t column = first % d->out_w;
        for (uint32_t i = 0; i < EBNN_QUAD * ebnn_mve_bits_quads(p); i++) {
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
            uint32_t *to = plane + ebnn_mve_bits_apart(p) * (i / EBNN_QUAD) + i % EBNN_QUAD;
            to[0] = ~v;
            to[EBNN_QUAD] = v;
        }
    }
}

void ebnn_mve_bits_fill(const ebnn_bconv_bits_params_t *p, const uint32_t *in, uint32_t first,
                        uint32_t *planes, uint32_t *masks) {
    const ebnn_conv_dims_t *d = &p->dims;
    const uint32_t in_words = ((uint32_t)d->in_h * d->in_w + 31u) / 32u;
    const uint32_t words = EBNN_QUAD * ebnn_mve_bits_quads(p);
    const uint32_t of_pixel = 2u * EBNN_QUAD * d->in_c;
    const int shifted = d->stride_h == 1u && d->stride_w == 1u && d->out_w == d->in_w;
    uint32_t *columns = masks + words;
    for (uint32_t kx = 0; kx < d->kernel_w; kx++) {
        const int32_t dx = (int32_t)kx * d->dilation_w - d->pad_w;
        uint32_t *plane = planes + of_pixel * kx;
        ebnn_window_columns(d, dx, first, words, columns);
        for (uint32_t ky = 0; ky < d->kernel_h; ky++, plane += of_pixel * d->kernel_w) {
            const int32_t dy = (int32_t)ky * d->dilation_h - d->pad_h;
            ebnn_window_rows(d, dy, first, words, columns, masks);
            if (shifted) {
                shift_planes(p, in, dy * d->in_w + dx + (int32_t)first, in_words, masks, plane);
            } else {
                gather_planes(p, in, dy, dx, first, in_words, masks, plane);
            }
        }
    }
    uint32_t *zero = planes + 2u * EBNN_QUAD * ebnn_bits_k(p);
    for (uint32_t quad = 0; quad < ebnn_mve_bits_quads(p); quad++, zero += ebnn_mve_bits_apart(p)) {
        vstrwq_u32(zero, vdupq_n_u32(0));
        vstrwq_u32(zero + EBNN_QUAD, vdupq_n_u32(0));
    }
}
