/*
 * Low-bit convolution by counting bits (ebnn_neon.h says what it computes): the taps of a block of pixels are
 * laid side by side, then tiles of pixels x 4 output channels.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_kernels.h"
#include "ebnn_neon.h"
#include "neon_count.h"
#include "neon_epilogue.h"
#include "../core/part.h"

/* One bit plane of a pixel's taps, zeros outside the image and up to the end of the row. */
static void gather_row(const ebnn_bconv_neon_params_t *p, const uint32_t *in, int32_t y0, int32_t x0,
                       uint32_t *out) {
    const ebnn_conv_dims_t *d = &p->dims;
    const uint32_t words = ((uint32_t)d->in_c + 31u) / 32u;
    const size_t step = (size_t)words * p->in_bits; /* from pixel to pixel */
    const uint32_t *end = out + p->row / 4u;
    for (uint32_t ky = 0; ky < d->kernel_h; ky++) {
        const int32_t y = y0 + (int32_t)(ky * d->dilation_h);
        const int inside = y >= 0 && y < d->in_h;
        for (uint32_t kx = 0; kx < d->kernel_w; kx++) {
            const int32_t x = x0 + (int32_t)(kx * d->dilation_w);
            if (!inside || x < 0 || x >= d->in_w) {
                for (uint32_t i = 0; i < words; i++) {
                    *out++ = 0;
                }
            } else {
                const uint32_t *from = in + ((size_t)(uint32_t)y * d->in_w + (uint32_t)x) * step;
                for (uint32_t i = 0; i < words; i++) {
                    *out++ = from[i];
                }
            }
        }
    }
    while (out != end) {
        *out++ = 0;
    }
}

/* out: [pixel][bit][row] of n pixels from `first` on. */
static void gather(const ebnn_bconv_neon_params_t *p, const uint32_t *in, uint32_t first, uint32_t n,
                   uint8_t *out) {
    const ebnn_conv_dims_t *d = &p->dims;
    const uint32_t words = ((uint32_t)d->in_c + 31u) / 32u;
    for (uint32_t pixel = first; pixel < first + n; pixel++) {
        const int32_t y0 = (int32_t)(pixel / d->out_w * d->stride_h) - d->pad_h;
        const int32_t x0 = (int32_t)(pixel % d->out_w * d->stride_w) - d->pad_w;
        for (uint32_t bit = 0; bit < p->in_bits; bit++, out += p->row) {
            gather_row(p, in + (size_t)bit * words, y0, x0, (uint32_t *)(void *)out);
        }
    }
}

/* D of n pixels, NEON_PIXELS or 1, and a group of 4 channels; w: the group's weights. */
static NEON_INLINE void group_counts(const ebnn_bconv_neon_params_t *p, const uint8_t *x, const uint8_t *w,
                                     const uint32_t n, const uint32_t parts, int32x4_t *sums) {
    const uint32_t planes = p->weight_kind == 3u ? 2u : 1u;
    const uint32_t vectors = p->row / 16u;
    for (uint32_t i = 0; i < n; i++) {
        sums[i] = vdupq_n_s32(0);
    }
    for (uint32_t plane = 0; plane < planes; plane++, w += (size_t)p->row * 4u * parts) {
        for (uint32_t bit = 0; bit < p->in_bits; bit++) {
            const int32x4_t shift = vdupq_n_s32((int32_t)(bit + planes - 1u - plane));
            const uint8_t *row = x + (size_t)bit * p->row;
            int32x4_t counts[NEON_PIXELS];
            if (n == 1u) {
                counts[0] = neon_count_row(row, w, vectors, parts);
            } else {
                neon_count_tile(row, p->row * p->in_bits, w, vectors, parts, counts);
            }
            for (uint32_t i = 0; i < n; i++) {
                sums[i] = vaddq_s32(sums[i], vshlq_s32(counts[i], shift));
            }
        }
    }
}

/* 32 output channels from c on of pixels first .. first + n - 1; tile: pixels worked on, n of them wanted. */
static NEON_INLINE void tile(const ebnn_bconv_neon_params_t *p, const ebnn_io_t *io, const uint8_t *x,
                             uint32_t first, uint32_t n, uint32_t c, const uint32_t pixels,
                             const uint32_t parts) {
    const uint32_t channels = p->dims.out_c;
    const size_t padded = (channels + 31u) & ~31u;
    const size_t per_group = (size_t)p->row * 4u * parts * (p->weight_kind == 3u ? 2u : 1u);
    const uint8_t *w = p->weights + c / 4u * per_group;
    const neon_next_t next = {p->next_mul, p->next_add, p->next_dtype, p->next_shift};
    neon_words_t words[NEON_PIXELS];
    memset(words, 0, sizeof words);
    const uint32_t end = c + 32u < channels ? c + 32u : channels;
    for (uint32_t at = c; at < end; at += 4u, w += per_group) {
        int32x4_t sums[NEON_PIXELS];
        group_counts(p, x, w, pixels, parts, sums);
        for (uint32_t i = 0; i < n; i++) {
            const size_t index = (p->kinds != NULL ? p->kinds[first + i] * padded : 0u) + at;
            if (p->threshold != NULL) {
                const uint32x4_t ge = vcgeq_s32(sums[i], vld1q_s32(p->threshold + index));
                words[i].out[0] |= neon_mask_bits(ge) << (at - c);
            } else {
                const int32x4_t acc = vmlaq_n_s32(vld1q_s32(p->offset + index), sums[i], p->gain);
                neon_finish(&p->epilogue, &next, io, channels, first + i, at, acc, &words[i]);
            }
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        if (p->threshold != NULL) {
            words[i].out[0] ^= p->flip[c / 32u];
        }
        neon_store_words(&p->epilogue, &next, io, channels, first + i, c, &words[i]);
    }
}

static NEON_INLINE void block(const ebnn_bconv_neon_params_t *p, const ebnn_io_t *io, const uint8_t *x,
                              uint32_t first, uint32_t n, const uint32_t parts) {
    const size_t stride = (size_t)p->row * p->in_bits;
    const ebnn_part_t part =
        ebnn_parts(io, (uint32_t)p->dims.out_h * p->dims.out_w, p->dims.out_c, 32).columns;
    for (uint32_t c = part.begin; c < part.end; c += 32u) {
        uint32_t i = 0;
        for (; n - i > 1u; i += n - i < NEON_PIXELS ? n - i : NEON_PIXELS) {
            const uint32_t wanted = n - i < NEON_PIXELS ? n - i : NEON_PIXELS;
            tile(p, io, x + i * stride, first + i, wanted, c, NEON_PIXELS, parts);
        }
        if (i < n) {
            tile(p, io, x + i * stride, first + i, 1, c, 1, parts);
        }
    }
}

uint32_t ebnn_bconv2d_dot__neon_get_buffer_size(const void *params) {
    const ebnn_bconv_neon_params_t *p = params;
    return p->block_pixels * p->in_bits * p->row;
}

ebnn_status_t ebnn_bconv2d_dot__neon(const void *params, const ebnn_io_t *io) {
    const ebnn_bconv_neon_params_t *p = params;
    const uint32_t pixels = (uint32_t)p->dims.out_h * p->dims.out_w;
    const ebnn_part_t part = ebnn_parts(io, pixels, p->dims.out_c, 32).rows;
    uint8_t *x = io->scratch;
    for (uint32_t first = part.begin; first < part.end; first += p->block_pixels) {
        const uint32_t left = part.end - first;
        const uint32_t n = left < p->block_pixels ? left : p->block_pixels;
        gather(p, io->in[0], first, n, x);
        if (p->weight_kind == 2u) {
            block(p, io, x, first, n, 2);
        } else {
            block(p, io, x, first, n, 1);
        }
    }
    return EBNN_OK;
}
