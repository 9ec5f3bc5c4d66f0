/*
 * Epilogue of low-bit layers, SPEC.md section 5, for four output channels of a pixel, EBNN_NHWC. Bits of
 * u2..u4 and b1 outputs are gathered to words of 32 channels.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_NEON_EPILOGUE_H
#define EBNN_NEON_EPILOGUE_H

#include "../portable/ebnn_epilogue.h"
#include "neon_vector.h"

/* The quantiser behind an s8 output; dtype 0: none. */
typedef struct {
    const int16_t *mul;
    const int32_t *add;
    uint32_t dtype, shift;
} neon_next_t;

/* Words of 32 channels of one pixel, one a bit: out, and out2 of the quantiser. */
typedef struct {
    uint32_t out[4], next[4];
} neon_words_t;

static NEON_INLINE int32x4_t neon_affine(int32x4_t acc, const int16_t *mul, const int32_t *add, uint32_t c) {
    return vmlaq_s32(vld1q_s32(add + c), acc, vmovl_s16(vld1_s16(mul + c)));
}

static NEON_INLINE int32x4_t neon_clamp(int32x4_t v, int32_t low, int32_t high) {
    return vminq_s32(vmaxq_s32(v, vdupq_n_s32(low)), vdupq_n_s32(high));
}

/* Codes of dtype (b1: its bit is the sign of the code) into channels c % 32 on of words. */
static NEON_INLINE void neon_put_codes(uint32_t *words, uint32_t dtype, uint32_t c, int32x4_t code) {
    if (dtype == EBNN_B1) {
        code = vreinterpretq_s32_u32(vcltq_s32(code, vdupq_n_s32(0)));
    }
    for (uint32_t bit = 0; bit < dtype; bit++) {
        const uint32x4_t mask = vtstq_s32(code, vdupq_n_s32((int32_t)(1u << bit)));
        words[bit] |= neon_mask_bits(mask) << (c % 32u);
    }
}

/* The same for a group that out_c ends in: the arrays end there too. */
static void neon_finish_rest(const ebnn_epilogue_t *e, const neon_next_t *next, const ebnn_io_t *io,
                             uint32_t channels, uint32_t pixel, uint32_t c, int32x4_t accs,
                             neon_words_t *words) {
    int32_t acc[4];
    vst1q_s32(acc, accs);
    for (uint32_t i = 0; c + i < channels; i++) {
        const size_t index = (size_t)pixel * channels + c + i;
        if (e->out_dtype == EBNN_S32) {
            ((int32_t *)io->out)[index] = acc[i];
            continue;
        }
        if (e->out_dtype == EBNN_B1) {
            words->out[0] |= ebnn_epilogue_bit(e, acc[i], c + i) << ((c + i) % 32u);
            continue;
        }
        const int32_t residual = e->residual != 0u ? ((const int8_t *)io->in[1])[index] : 0;
        const int32_t y = ebnn_epilogue_code(e, acc[i], c + i, residual);
        if (e->out_dtype != EBNN_S8) {
            for (uint32_t bit = 0; bit < e->out_dtype; bit++) {
                words->out[bit] |= (((uint32_t)y >> bit) & 1u) << ((c + i) % 32u);
            }
            continue;
        }
        ((int8_t *)io->out)[index] = (int8_t)y;
        if (next->dtype != 0u) {
            const int32_t t = y * next->mul[c + i] + next->add[c + i];
            const uint32_t code = next->dtype == EBNN_B1
                                      ? (uint32_t)(t < 0)
                                      : (uint32_t)ebnn_clamp(t >> next->shift, 0, (1 << next->dtype) - 1);
            for (uint32_t bit = 0; bit < next->dtype; bit++) {
                words->next[bit] |= ((code >> bit) & 1u) << ((c + i) % 32u);
            }
        }
    }
}

/* Output channels c .. c + 3 of a pixel from their accumulators: s8 and s32 are stored, bits go to words. */
static NEON_INLINE void neon_finish(const ebnn_epilogue_t *e, const neon_next_t *next, const ebnn_io_t *io,
                                    uint32_t channels, uint32_t pixel, uint32_t c, int32x4_t acc,
                                    neon_words_t *words) {
    if (c + 4u > channels) {
        neon_finish_rest(e, next, io, channels, pixel, c, acc, words);
        return;
    }
    const size_t index = (size_t)pixel * channels + c;
    if (e->out_dtype == EBNN_S32) {
        vst1q_s32((int32_t *)io->out + index, acc);
        return;
    }
    if (e->threshold != NULL) {
        words->out[0] |= neon_mask_bits(vcltq_s32(acc, vld1q_s32(e->threshold + c))) << (c % 32u);
        return;
    }
    int32x4_t t = neon_affine(acc, e->mul, e->add, c);
    if (e->combine != 0u) {
        const int32x4_t u = neon_affine(acc, e->mul2, e->add2, c);
        t = e->combine == 1u ? vmaxq_s32(t, u) : vminq_s32(t, u);
    }
    if (e->out_dtype == EBNN_B1) {
        neon_put_codes(words->out, EBNN_B1, c, t);
        return;
    }
    int32x4_t y = vshlq_s32(t, vdupq_n_s32(-(int32_t)e->shift));
    if (e->residual != 0u) {
        y = vaddq_s32(y, neon_load_s8x4((const int8_t *)io->in[1] + index));
    }
    y = neon_clamp(y, e->act_min, e->act_max);
    if (e->out_dtype != EBNN_S8) {
        neon_put_codes(words->out, e->out_dtype, c, y);
        return;
    }
    neon_store_s8x4((int8_t *)io->out + index, y);
    if (next->dtype != 0u) {
        int32x4_t q = neon_affine(y, next->mul, next->add, c);
        if (next->dtype != EBNN_B1) {
            q = neon_clamp(vshlq_s32(q, vdupq_n_s32(-(int32_t)next->shift)), 0, (1 << next->dtype) - 1);
        }
        neon_put_codes(words->next, next->dtype, c, q);
    }
}

/* The words of channels c - c % 32 on of a pixel. */
static NEON_INLINE void neon_store_words(const ebnn_epilogue_t *e, const neon_next_t *next,
                                         const ebnn_io_t *io, uint32_t channels, uint32_t pixel, uint32_t c,
                                         const neon_words_t *words) {
    const uint32_t n = (channels + 31u) / 32u;
    if (e->out_dtype <= 4u) {
        uint32_t *out = (uint32_t *)io->out + (size_t)pixel * n * e->out_dtype + c / 32u;
        for (uint32_t bit = 0; bit < e->out_dtype; bit++) {
            out[bit * n] = words->out[bit];
        }
    }
    if (next->dtype != 0u) {
        uint32_t *out = (uint32_t *)io->out2 + (size_t)pixel * n * next->dtype + c / 32u;
        for (uint32_t bit = 0; bit < next->dtype; bit++) {
            out[bit * n] = words->next[bit];
        }
    }
}

#endif
