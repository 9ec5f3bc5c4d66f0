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
#define USAT4(t) ((t) < 0 ? 0u : ((t) > 15 ? 15u : (uint32_t)(t))) /* t: without side effects */
#endif

/* A k-bit code is the top k bits of a 4-bit one: t is shifted 4 - k places less and saturated to 4 bits. */
#define CODE(t, shift) USAT4((t) >> (shift))
#define SIGN(t, shift) ((uint32_t)(t) >> 31)

/* All channels as nibbles: four pixels, from four s8, make a half word; `surplus` bits of each nibble are
 * dropped from it, and the nibbles behind the last pixel at the end. */
#define NIBBLE_ROWS(code, surplus, p, io)                                                                    \
    const uint32_t pixels = (uint32_t)p->h * p->w;                                                           \
    const uint32_t drop = surplus;                                                                           \
    const uint32_t shift = p->shift - drop;                                                                  \
    (void)shift; /* signs need none */                                                                       \
    const uint32_t keep = 0x1111u * (15u >> drop);                                                           \
    const int8_t *in = io->in[0];                                                                            \
    uint8_t *out = io->out;                                                                                  \
    for (uint32_t c = 0; c < p->c; c++) {                                                                    \
        const int32_t mul = p->mul[c];                                                                       \
        const int32_t add = p->add[c];                                                                       \
        const int8_t *end = in + ((pixels + 3u) & ~3u);                                                      \
        for (; in != end; in += 4, out += 2) {                                                               \
            const uint32_t x = ebnn_load32(in);                                                              \
            const uint32_t half = code((int8_t)x * mul + add, shift) |                                       \
                                  code((int8_t)(x >> 8) * mul + add, shift) << 4 |                           \
                                  code((int8_t)(x >> 16) * mul + add, shift) << 8 |                          \
                                  code((int8_t)(x >> 24) * mul + add, shift) << 12;                          \
            ebnn_store16(out, (half >> drop) & keep);                                                        \
        }                                                                                                    \
        out = ebnn_end_nibbles(out, pixels);                                                                 \
    }                                                                                                        \
    return EBNN_OK

/* Clears the nibbles of a word behind the last pixel; `at`: the end of the last half word. */
static inline uint8_t *ebnn_end_nibbles(uint8_t *at, uint32_t pixels) {
    const uint32_t n = pixels % 8u;
    if (n != 0u) {
        at -= n <= 4u ? 2 : 4;
        ebnn_store32(at, ebnn_load32(at) & ((1u << (4u * n)) - 1u));
        at += 4;
    }
    return at;
}

/* in: s8 CHW; out: u2..u4 NIBBLES; u2 and u3 need a shift of at least 4 - k. */
ebnn_status_t ebnn_quantize_nibbles__cortex_m4(const void *params, const ebnn_io_t *io) {
    const ebnn_quantize_params_t *p = params;
    NIBBLE_ROWS(CODE, 4u - p->out_dtype, p, io);
}

/* in: s8 CHW; out: b1 NIBBLES. */
ebnn_status_t ebnn_quantize_b1_nibbles__cortex_m4(const void *params, const ebnn_io_t *io) {
    const ebnn_quantize_params_t *p = params;
    NIBBLE_ROWS(SIGN, 0u, p, io);
}

/* in: s8 CHW; out: b1 PLANES. New pixels enter at the top of a word. */
ebnn_status_t ebnn_quantize_b1_planes__cortex_m4(const void *params, const ebnn_io_t *io) {
    const ebnn_quantize_params_t *p = params;
    const uint32_t pixels = (uint32_t)p->h * p->w;
    const int8_t *in = io->in[0];
    uint32_t *out = io->out;
    for (uint32_t c = 0; c < p->c; c++, in += -pixels & 3u) {
        const int32_t mul = p->mul[c];
        const int32_t add = p->add[c];
        for (uint32_t left = pixels; left != 0u;) {
            const uint32_t n = left < 32u ? left : 32u;
            uint32_t word = 0;
            for (const int8_t *end = in + n; in != end;) {
                word = ((uint32_t)(*in++ * mul + add) & 0x80000000u) | word >> 1;
            }
            /* cppcheck-suppress shiftTooManyBits ; n is 1 to 32 */
            *out++ = word >> (32u - n);
            left -= n;
        }
    }
    return EBNN_OK;
}

/* in: s8 CHW; out: u2..u4 PLANES; u2 and u3 need a shift of at least 4 - k. */
ebnn_status_t ebnn_quantize_planes__cortex_m4(const void *params, const ebnn_io_t *io) {
    const ebnn_quantize_params_t *p = params;
    const uint32_t pixels = (uint32_t)p->h * p->w;
    const uint32_t plane = (pixels + 31u) / 32u * p->c;
    const uint32_t bits = p->out_dtype;
    const uint32_t shift = p->shift - (4u - bits);
    const int8_t *in = io->in[0];
    uint32_t *out = io->out;
    for (uint32_t c = 0; c < p->c; c++, in += -pixels & 3u) {
        for (uint32_t left = pixels; left != 0u; out++) {
            const uint32_t n = left < 32u ? left : 32u;
            uint32_t word[4] = {0, 0, 0, 0};
            for (const int8_t *end = in + n; in != end;) {
                const int32_t x = *in++;
                const uint32_t code = CODE(x * p->mul[c] + p->add[c], shift);
                for (uint32_t bit = 0; bit < bits; bit++) {
                    word[bit] = (word[bit] >> 1) | (code >> (4u - bits + bit)) << 31;
                }
            }
            for (uint32_t bit = 0; bit < bits; bit++) {
                /* cppcheck-suppress shiftTooManyBits ; n is 1 to 32 */
                out[bit * plane] = word[bit] >> (32u - n);
            }
            left -= n;
        }
    }
    return EBNN_OK;
}
