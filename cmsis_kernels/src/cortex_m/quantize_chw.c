/*
 * s8 CHW -> b1 or u2..u4 in NIBBLES or PLANES (SPEC.md section 6) with the DSP extension: one channel at a
 * time, its affine map in registers, one multiply-accumulate and one saturation an element.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_acle.h"
#include "ebnn_kernels.h"
#include "ebnn_params.h"

#if EBNN_ARM_DSP
#define USAT4(t) ((uint32_t)__usat((t), 4))
#else
#define USAT4(t) ((t) < 0 ? 0u : ((t) > 15 ? 15u : (uint32_t)(t)))
#endif

/* One channel's map. A k-bit code is the top k bits of a 4-bit one: t is shifted 4 - k places less, saturated
 * to 4 bits, and the surplus dropped from eight codes at once (`drop`, `keep`). */
typedef struct {
    int32_t mul, add;
    uint32_t shift, drop, keep;
} affine_t;

#define CODE(a, x) USAT4(((x) * (a).mul + (a).add) >> (a).shift)
#define SIGN(a, x) ((uint32_t)((x) * (a).mul + (a).add) >> 31)

/* Four pixels as a half word of nibbles; x holds four s8. */
#define NIBBLES4(code)                                                                                       \
    (code(a, (int8_t)x) | code(a, (int8_t)(x >> 8)) << 4 | code(a, (int8_t)(x >> 16)) << 8 |                 \
     code(a, (int8_t)(x >> 24)) << 12)

/* One channel, `quads` groups of four pixels, as nibbles; an odd last group leaves the high half 0. */
#define NIBBLE_ROW(name, code)                                                                               \
    static void name(const affine_t a, const int8_t *in, uint32_t quads, uint32_t *out) {                    \
        for (uint32_t i = 0; i < quads; i += 2u, in += 8) {                                                  \
            uint32_t x = ebnn_load32(in);                                                                    \
            uint32_t word = NIBBLES4(code);                                                                  \
            if (i + 1u < quads) {                                                                            \
                x = ebnn_load32(in + 4);                                                                     \
                word |= NIBBLES4(code) << 16;                                                                \
            }                                                                                                \
            *out++ = (word >> a.drop) & a.keep;                                                              \
        }                                                                                                    \
    }

NIBBLE_ROW(nibbles_sign, SIGN)
NIBBLE_ROW(nibbles_code, CODE)

/* One channel as bit planes, `plane` words apart; new pixels enter at the top of the words. */
static void planes(const affine_t a, const int8_t *in, uint32_t pixels, uint32_t bits, uint32_t plane,
                   uint32_t *out) {
    for (uint32_t start = 0; start < pixels; start += 32u, out++) {
        const uint32_t n = pixels - start < 32u ? pixels - start : 32u;
        uint32_t word[4] = {0, 0, 0, 0};
        for (uint32_t i = 0; i < n; i++) {
            const int32_t x = in[start + i];
            const uint32_t code = bits == 1u ? SIGN(a, x) : CODE(a, x) >> a.drop;
            for (uint32_t bit = 0; bit < bits; bit++) {
                word[bit] = (word[bit] >> 1) | (code >> bit) << 31;
            }
        }
        for (uint32_t bit = 0; bit < bits; bit++) {
            /* cppcheck-suppress shiftTooManyBits ; n is 1 to 32 */
            out[bit * plane] = word[bit] >> (32u - n);
        }
    }
}

/* Clears the nibbles of a row behind its last pixel. */
static void clear_tail(uint32_t *row, uint32_t words, uint32_t pixels) {
    if (pixels % 8u != 0u) {
        row[words - 1u] &= (1u << (4u * (pixels % 8u))) - 1u;
    }
}

/* in: s8 CHW; out: b1 or u2..u4, NIBBLES or PLANES; u2 and u3 need a shift of at least 4 - k. */
ebnn_status_t ebnn_quantize_chw__cortex_m4(const void *params, const ebnn_io_t *io) {
    const ebnn_quantize_params_t *p = params;
    const uint32_t pixels = (uint32_t)p->h * p->w;
    const uint32_t quads = (pixels + 3u) / 4u;
    const uint32_t words = (pixels + 7u) / 8u;
    const uint32_t plane_words = (pixels + 31u) / 32u;
    const uint32_t drop = p->out_dtype == EBNN_B1 ? 0u : 4u - p->out_dtype;
    const uint32_t keep = 0x11111111u * ((1u << p->out_dtype) - 1u);
    const int8_t *in = io->in[0];
    uint32_t *out = io->out;
    if (p->shift < drop) {
        return EBNN_ERR_ARGUMENT;
    }
    for (uint32_t c = 0; c < p->c; c++, in += 4u * quads) {
        const affine_t a = {p->mul[c], p->add[c], p->shift - drop, drop, keep};
        if (p->out_layout == EBNN_PLANES) {
            planes(a, in, pixels, p->out_dtype, plane_words * p->c, out);
            out += plane_words;
        } else {
            (p->out_dtype == EBNN_B1 ? nibbles_sign : nibbles_code)(a, in, quads, out);
            clear_tail(out, words, pixels);
            out += words;
        }
    }
    return EBNN_OK;
}
