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

#define DOT_PIXELS 8u
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
    for (uint32_t k = 0; k < row; k += 16u, w += 128) {
        int8x16_t v[DOT_PIXELS];
        NEON_UNROLL
        for (uint32_t i = 0; i < n; i++) {
            v[i] = vld1q_s8(x + (size_t)i * row + k);
        }
#define STEP(e)                                                                                              \
    do {                                                                                                     \
        const int8x16_t w0 = vld1q_s8(w + 32 * (e)), w1 = vld1q_s8(w + 32 * (e) + 16);                       \
        NEON_UNROLL                                                                                          \
        for (uint32_t i = 0; i < n; i++) {                                                                   \
            a[2u * i] = vdotq_laneq_s32(a[2u * i], w0, v[i], e);                                             \
            a[2u * i + 1u] = vdotq_laneq_s32(a[2u * i + 1u], w1, v[i], e);                                   \
        }                                                                                                    \
    } while (0)
        STEP(0);
        STEP(1);
        STEP(2);
        STEP(3);
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

static NEON_INLINE void mul_tile(const int8_t *x, const int8_t *w, uint32_t row, const uint32_t n,
                                 int32x4_t *sums) {
    int32x4_t a[4u * NEON_PIXELS]; /* two lanes a channel */
    NEON_UNROLL
    for (uint32_t i = 0; i < 4u * n; i++) {
        a[i] = vdupq_n_s32(0);
    }
    for (uint32_t k = 0; k < row; k += 8u, w += 64) { /* 2 groups of 4 products, 8 channels */
        int8x8_t v[8];
        NEON_UNROLL
        for (uint32_t j = 0; j < 8u; j++) {
            v[j] = vld1_s8(w + 8u * j);
        }
        NEON_UNROLL
        for (uint32_t i = 0; i < n; i++) {
            const int32x2_t both = vreinterpret_s32_s8(vld1_s8(x + (size_t)i * row + k));
            const int8x8_t first = vreinterpret_s8_s32(vdup_lane_s32(both, 0));
            const int8x8_t second = vreinterpret_s8_s32(vdup_lane_s32(both, 1));
            int16x8_t t[4];
            NEON_UNROLL
            for (uint32_t j = 0; j < 4u; j++) {
                t[j] = vmull_s8(v[j], first);
            }
            NEON_UNROLL
            for (uint32_t j = 0; j < 4u; j++) {
                t[j] = vmlal_s8(t[j], v[4u + j], second);
            }
            NEON_UNROLL
            for (uint32_t j = 0; j < 4u; j++) {
                a[4u * i + j] = vpadalq_s16(a[4u * i + j], t[j]);
            }
        }
    }
    NEON_UNROLL
    for (uint32_t i = 0; i < 2u * n; i++) {
        sums[i] = neon_pair_add(a[2u * i], a[2u * i + 1u]);
    }
}

static void mul_many(const int8_t *x, const int8_t *w, uint32_t row, int32x4_t *sums) {
    mul_tile(x, w, row, NEON_PIXELS, sums);
}

static void mul_one(const int8_t *x, const int8_t *w, uint32_t row, int32x4_t *sums) {
    mul_tile(x, w, row, 1, sums);
}

uint32_t ebnn_conv2d_s8__neon_get_buffer_size(const void *params) {
    const ebnn_conv_s8_neon_params_t *p = params;
    return BLOCK_PIXELS * p->row;
}

ebnn_status_t ebnn_conv2d_s8__neon(const void *params, const ebnn_io_t *io) {
    const ebnn_conv_s8_neon_params_t *p = params;
    const ebnn_conv_dims_t *d = &p->dims;
    const uint32_t pixels = (uint32_t)d->out_h * d->out_w;
    int8_t *x = io->scratch;
    tile_t many = mul_many, one = mul_one;
    uint32_t size = NEON_PIXELS;
#if EBNN_DOTPROD
    if (neon_has_dotprod()) {
        many = dot_many;
        one = dot_one;
        size = DOT_PIXELS;
    }
#endif
    for (uint32_t first = 0; first < pixels; first += BLOCK_PIXELS) {
        const uint32_t n = pixels - first < BLOCK_PIXELS ? pixels - first : BLOCK_PIXELS;
        for (uint32_t i = 0; i < n; i++) {
            neon_gather_s8(d, io->in[0], first + i, p->zero_point, p->row, x + (size_t)i * p->row);
        }
        const int8_t *w = p->weights;
        for (uint32_t c = 0; c < d->out_c; c += 8u, w += (size_t)p->row * 8u) {
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
    neon_clear_tails(p, io->out);
    return EBNN_OK;
}
