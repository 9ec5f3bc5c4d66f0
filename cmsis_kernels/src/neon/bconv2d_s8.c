/*
 * Low-bit weights times s8 activations: convolutions and the matrix-vector products of BitLinear layers.
 * Weights are 2-bit numbers u, unpacked on the way: SDOT, or SMLAL into 16 bits, where a lane gains at most 8
 * * 3 * 128 a block of 64 products and holds ten of them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_kernels.h"
#include "ebnn_neon.h"
#include "neon_dotprod.h"
#include "neon_epilogue.h"
#include "neon_gather_s8.h"
#include "../core/part.h"

#define ROWS 4u
#define BLOCK 64u
#define ROUNDS 10u
#define PIXELS 2u /* of a tile: the unpacking serves both */

/* sums[i] = sum of u * x of pixel i and 4 channels; x: rows `row` apart; w: [blocks][4][16]. */
typedef void (*dots_t)(const uint8_t *w, const int8_t *x, uint32_t row, int32x4_t *sums);

/* The four numbers of each byte. */
static NEON_INLINE void unpack(const uint8_t *w, int8x16_t *u) {
    const uint8x16_t v = vld1q_u8(w), low = vdupq_n_u8(3);
    u[0] = vreinterpretq_s8_u8(vandq_u8(v, low));
    u[1] = vreinterpretq_s8_u8(vandq_u8(vshrq_n_u8(v, 2), low));
    u[2] = vreinterpretq_s8_u8(vandq_u8(vshrq_n_u8(v, 4), low));
    u[3] = vreinterpretq_s8_u8(vshrq_n_u8(v, 6));
}

#if EBNN_DOTPROD
static NEON_INLINE NEON_DOTPROD void dot_rows(const uint8_t *w, const int8_t *x, uint32_t row,
                                              const uint32_t n, int32x4_t *sums) {
    int32x4_t a[PIXELS * ROWS];
    NEON_UNROLL
    for (uint32_t i = 0; i < n * ROWS; i++) {
        a[i] = vdupq_n_s32(0);
    }
    for (uint32_t k = 0; k < row; k += BLOCK) {
        int8x16_t v[4u * PIXELS];
        NEON_UNROLL
        for (uint32_t i = 0; i < 4u * n; i++) {
            v[i] = vld1q_s8(x + (size_t)(i / 4u) * row + k + 16u * (i % 4u));
        }
        NEON_UNROLL
        for (uint32_t j = 0; j < ROWS; j++, w += 16) {
            int8x16_t u[4];
            unpack(w, u);
            NEON_UNROLL
            for (uint32_t i = 0; i < 4u * n; i++) {
                a[i / 4u * ROWS + j] = vdotq_s32(a[i / 4u * ROWS + j], u[i % 4u], v[i]);
            }
        }
    }
    NEON_UNROLL
    for (uint32_t i = 0; i < n; i++) {
        sums[i] = neon_sum4(a[4u * i], a[4u * i + 1u], a[4u * i + 2u], a[4u * i + 3u]);
    }
}

static NEON_DOTPROD void dot_two(const uint8_t *w, const int8_t *x, uint32_t row, int32x4_t *sums) {
    dot_rows(w, x, row, PIXELS, sums);
}

static NEON_DOTPROD void dot_one(const uint8_t *w, const int8_t *x, uint32_t row, int32x4_t *sums) {
    dot_rows(w, x, row, 1, sums);
}
#endif

static NEON_INLINE void mul_rows(const uint8_t *w, const int8_t *x, uint32_t row, const uint32_t n,
                                 int32x4_t *sums) {
    int32x4_t total[PIXELS * ROWS];
    NEON_UNROLL
    for (uint32_t i = 0; i < n * ROWS; i++) {
        total[i] = vdupq_n_s32(0);
    }
    for (uint32_t k = 0; k < row;) {
        const uint32_t end = row - k < ROUNDS * BLOCK ? row : k + ROUNDS * BLOCK;
        int16x8_t a[PIXELS * ROWS];
        NEON_UNROLL
        for (uint32_t i = 0; i < n * ROWS; i++) {
            a[i] = vdupq_n_s16(0);
        }
        for (; k < end; k += BLOCK) {
            NEON_UNROLL
            for (uint32_t j = 0; j < ROWS; j++, w += 16) {
                int8x16_t u[4];
                unpack(w, u);
                NEON_UNROLL
                for (uint32_t i = 0; i < 4u * n; i++) {
                    const int8x16_t v = vld1q_s8(x + (size_t)(i / 4u) * row + k + 16u * (i % 4u));
                    int16x8_t *at = &a[i / 4u * ROWS + j];
                    *at = vmlal_s8(*at, vget_low_s8(u[i % 4u]), vget_low_s8(v));
                    *at = vmlal_s8(*at, vget_high_s8(u[i % 4u]), vget_high_s8(v));
                }
            }
        }
        NEON_UNROLL
        for (uint32_t i = 0; i < n * ROWS; i++) {
            total[i] = vpadalq_s16(total[i], a[i]);
        }
    }
    NEON_UNROLL
    for (uint32_t i = 0; i < n; i++) {
        sums[i] = neon_sum4(total[4u * i], total[4u * i + 1u], total[4u * i + 2u], total[4u * i + 3u]);
    }
}

static void mul_two(const uint8_t *w, const int8_t *x, uint32_t row, int32x4_t *sums) {
    mul_rows(w, x, row, PIXELS, sums);
}

static void mul_one(const uint8_t *w, const int8_t *x, uint32_t row, int32x4_t *sums) {
    mul_rows(w, x, row, 1, sums);
}

/* Sum of a row, row a multiple of 64. */
static int32_t sum_row(const int8_t *x, uint32_t row) {
    int32x4_t sum = vdupq_n_s32(0);
    for (uint32_t k = 0; k < row; k += 16u) {
        sum = vpadalq_s16(sum, vpaddlq_s8(vld1q_s8(x + k)));
    }
    return (int32_t)neon_sum(vreinterpretq_u32_s32(sum));
}

uint32_t ebnn_bconv2d_s8__neon_get_buffer_size(const void *params) {
    const ebnn_bconv_s8_neon_params_t *p = params;
    return PIXELS * p->row;
}

ebnn_status_t ebnn_bconv2d_s8__neon(const void *params, const ebnn_io_t *io) {
    const ebnn_bconv_s8_neon_params_t *p = params;
    const uint32_t channels = p->dims.out_c, pixels = (uint32_t)p->dims.out_h * p->dims.out_w;
    const neon_next_t next = {NULL, NULL, 0, 0};
    const ebnn_parts_t part = ebnn_parts(io, pixels, channels, 32);
    int8_t *x = io->scratch;
    dots_t two = mul_two, one = mul_one;
#if EBNN_DOTPROD
    if (neon_has_dotprod()) {
        two = dot_two;
        one = dot_one;
    }
#endif
    for (uint32_t first = part.rows.begin; first < part.rows.end; first += PIXELS) {
        const uint32_t left = part.rows.end - first;
        const uint32_t n = left < PIXELS ? left : PIXELS;
        int32_t sum[PIXELS];
        for (uint32_t i = 0; i < n; i++) {
            neon_gather_s8(&p->dims, io->in[0], first + i, p->zero_point, p->row, x + (size_t)i * p->row);
            sum[i] = sum_row(x + (size_t)i * p->row, p->row) * p->minus;
        }
        const uint8_t *w = p->weights + (size_t)(part.columns.begin / ROWS) * p->row;
        neon_words_t words[PIXELS];
        for (uint32_t c = part.columns.begin; c < part.columns.end;
             c += ROWS, w += p->row) { /* row / 64 * 4 * 16 bytes */
            int32x4_t sums[PIXELS];
            if (c % 32u == 0u) {
                memset(words, 0, sizeof words);
            }
            (n == PIXELS ? two : one)(w, x, p->row, sums);
            for (uint32_t i = 0; i < n; i++) {
                int32x4_t acc = vsubq_s32(vld1q_s32(p->offset + c), vdupq_n_s32(sum[i]));
                acc = vmlaq_n_s32(acc, sums[i], p->gain);
                neon_finish(&p->epilogue, &next, io, channels, first + i, c, acc, &words[i]);
                if (c % 32u == 28u || c + ROWS >= channels) {
                    neon_store_words(&p->epilogue, &next, io, channels, first + i, c, &words[i]);
                }
            }
        }
    }
    return EBNN_OK;
}
