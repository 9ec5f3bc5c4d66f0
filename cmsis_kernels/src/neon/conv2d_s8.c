/*
 * s8 convolution and dense layers: the taps of a block of pixels side by side, then tiles of pixels x 8
 * output channels. Weights lie as SDOT reads them, four products of a channel in a lane; without SDOT the
 * same lanes go through SMULL, SMLAL (two products fit 16 bits) and SADALP.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_kernels.h"
#include "ebnn_neon.h"
#include "neon_dotprod.h"
#include "neon_gather_s8.h"
#include "neon_requantize.h"
#include "../core/part.h"

#define DOT_PIXELS 8u
#define MUL_PIXELS 2u
#define BLOCK_PIXELS 16u /* gathered at a time, a multiple of every tile */

/* Sums of n pixels, rows x .. x + (n - 1) * row, and 8 channels: sums[2 * i], sums[2 * i + 1]. */
typedef void (*tile_t)(const int8_t *x, const int8_t *w, uint32_t row, int32x4_t *sums);

#if EBNN_DOTPROD
static NEON_INLINE NEON_DOTPROD void dot_tile(const int8_t *x, const int8_t *w, uint32_t row,
                                              const uint32_t n, int32x4_t *sums) {
    int32x4_t a[2u * DOT_PIXELS];
    NEON_UNROLL
    for (uint32_t i = 0; i < 2u * n; i++) {
        a[i] = vdupq_n_s32(0);
    }
    const int8_t *at[DOT_PIXELS];
    NEON_UNROLL
    for (uint32_t i = 0; i < n; i++) {
        at[i] = x + (size_t)i * row;
    }
    for (uint32_t k = 0; k < row; k += 16u, w += 128) {
        int8x16_t v[DOT_PIXELS];
        NEON_UNROLL
        for (uint32_t i = 0; i < n; i++) {
            v[i] = vld1q_s8(at[i]);
            at[i] += 16;
        }
#define STEP(e, w0, w1)                                                                                      \
    NEON_UNROLL                                                                                              \
    for (uint32_t i = 0; i < n; i++) {                                                                       \
        a[2u * i] = vdotq_laneq_s32(a[2u * i], w0, v[i], e);                                                 \
        a[2u * i + 1u] = vdotq_laneq_s32(a[2u * i + 1u], w1, v[i], e);                                       \
    }
        const int8x16_t w0 = vld1q_s8(w), w1 = vld1q_s8(w + 16), w2 = vld1q_s8(w + 32), w3 = vld1q_s8(w + 48);
        STEP(0, w0, w1)
        const int8x16_t w4 = vld1q_s8(w + 64), w5 = vld1q_s8(w + 80);
        STEP(1, w2, w3)
        const int8x16_t w6 = vld1q_s8(w + 96), w7 = vld1q_s8(w + 112);
        STEP(2, w4, w5)
        STEP(3, w6, w7)
#undef STEP
    }
    NEON_UNROLL
    for (uint32_t i = 0; i < 2u * n; i++) {
        sums[i] = a[i];
    }
}

static NEON_DOTPROD void dot_many(const int8_t *x, const int8_t *w, uint32_t row, int32x4_t *sums) {
    dot_tile(x, w, row, DOT_PIXELS, sums);
}

static NEON_DOTPROD void dot_one(const int8_t *x, const int8_t *w, uint32_t row, int32x4_t *sums) {
    dot_tile(x, w, row, 1, sums);
}
#endif

/* Four products of a pixel in every lane of 32 bits; x is a multiple of 4. */
static NEON_INLINE int8x16_t four(const int8_t *x) {
    return vreinterpretq_s8_s32(vld1q_dup_s32((const int32_t *)(const void *)x));
}

/* Two pixels, or one twice, and 8 channels: eight products are in flight at any point. */
static NEON_INLINE void mul_tile(const int8_t *x, const int8_t *x1, const int8_t *w, uint32_t row,
                                 int32x4_t *sums) {
    int32x4_t a[8]; /* two lanes a channel */
    NEON_UNROLL
    for (uint32_t i = 0; i < 8u; i++) {
        a[i] = vdupq_n_s32(0);
    }
    for (uint32_t k = 0; k < row;
         k += 8u, w += 64, x += 8, x1 += 8) { /* 2 groups of 4 products, 8 channels */
        const int8x16_t w0 = vld1q_s8(w), w1 = vld1q_s8(w + 16), w2 = vld1q_s8(w + 32), w3 = vld1q_s8(w + 48);
        const int8x16_t p0 = four(x), p1 = four(x + 4), q0 = four(x1), q1 = four(x1 + 4);
        int16x8_t t[8];
        t[0] = vmull_s8(vget_low_s8(w0), vget_low_s8(p0));
        t[4] = vmull_s8(vget_low_s8(w0), vget_low_s8(q0));
        t[1] = neon_mull_high(w0, p0);
        t[5] = neon_mull_high(w0, q0);
        t[2] = vmull_s8(vget_low_s8(w1), vget_low_s8(p0));
        t[6] = vmull_s8(vget_low_s8(w1), vget_low_s8(q0));
        t[3] = neon_mull_high(w1, p0);
        t[7] = neon_mull_high(w1, q0);
        t[0] = vmlal_s8(t[0], vget_low_s8(w2), vget_low_s8(p1));
        t[4] = vmlal_s8(t[4], vget_low_s8(w2), vget_low_s8(q1));
        t[1] = neon_mlal_high(t[1], w2, p1);
        t[5] = neon_mlal_high(t[5], w2, q1);
        t[2] = vmlal_s8(t[2], vget_low_s8(w3), vget_low_s8(p1));
        t[6] = vmlal_s8(t[6], vget_low_s8(w3), vget_low_s8(q1));
        t[3] = neon_mlal_high(t[3], w3, p1);
        t[7] = neon_mlal_high(t[7], w3, q1);
        NEON_UNROLL
        for (uint32_t i = 0; i < 8u; i++) {
            a[i] = vpadalq_s16(a[i], t[i]);
        }
    }
    NEON_UNROLL
    for (uint32_t i = 0; i < 4u; i++) {
        sums[i] = neon_pair_add(a[2u * i], a[2u * i + 1u]);
    }
}

static void mul_many(const int8_t *x, const int8_t *w, uint32_t row, int32x4_t *sums) {
    mul_tile(x, x + row, w, row, sums);
}

static void mul_one(const int8_t *x, const int8_t *w, uint32_t row, int32x4_t *sums) {
    int32x4_t both[4]; /* the second pixel is not wanted */
    mul_tile(x, x, w, row, both);
    sums[0] = both[0];
    sums[1] = both[1];
}

uint32_t ebnn_conv2d_s8__neon_get_buffer_size(const void *params) {
    const ebnn_conv_s8_neon_params_t *p = params;
    return BLOCK_PIXELS * p->row;
}

ebnn_status_t ebnn_conv2d_s8__neon(const void *params, const ebnn_io_t *io) {
    const ebnn_conv_s8_neon_params_t *p = params;
    const ebnn_conv_dims_t *d = &p->dims;
    const uint32_t pixels = (uint32_t)d->out_h * d->out_w;
    const ebnn_parts_t part = ebnn_parts(io, pixels, d->out_c, 8);
    int8_t *x = io->scratch;
    tile_t many = mul_many, one = mul_one;
    uint32_t size = MUL_PIXELS;
#if EBNN_DOTPROD
    if (neon_has_dotprod()) {
        many = dot_many;
        one = dot_one;
        size = DOT_PIXELS;
    }
#endif
    for (uint32_t first = part.rows.begin; first < part.rows.end; first += BLOCK_PIXELS) {
        const uint32_t left = part.rows.end - first;
        const uint32_t n = left < BLOCK_PIXELS ? left : BLOCK_PIXELS;
        for (uint32_t i = 0; i < n; i++) {
            neon_gather_s8(d, io->in[0], first + i, p->zero_point, p->row, x + (size_t)i * p->row);
        }
        const int8_t *w = p->weights + (size_t)part.columns.begin * p->row;
        for (uint32_t c = part.columns.begin; c < part.columns.end; c += 8u, w += (size_t)p->row * 8u) {
            const uint32_t channels = d->out_c - c < 8u ? d->out_c - c : 8u;
            for (uint32_t i = 0; i < n; i += size) {
                int32x4_t sums[2u * DOT_PIXELS];
                const uint32_t wanted = n - i < size ? n - i : size;
                (wanted == 1u ? one : many)(x + (size_t)i * p->row, w, p->row, sums);
                for (uint32_t j = 0; j < wanted; j++) {
                    const int8x8_t y = neon_requantize8(p, c, sums[2u * j], sums[2u * j + 1u]);
                    neon_store_s8(p, io->out, first + i + j, c, channels, y);
                }
            }
        }
    }
    if (io->part == 0u) {
        neon_clear_tails(p, io->out);
    }
    return EBNN_OK;
}
