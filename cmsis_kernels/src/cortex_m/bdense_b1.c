/*
 * b1 x binary dense layer with thresholds in channel lanes: carry-save sums of the weight planes of the
 * inputs that have the rarer sign.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_bdense.h"
#include "ebnn_kernels.h"

#include "bbits_m4.h"

static uint32_t popcount(uint32_t x) {
    x -= (x >> 1) & 0x55555555u;
    x = (x & 0x33333333u) + ((x >> 2) & 0x33333333u);
    x = (x + (x >> 4)) & 0x0F0F0F0Fu;
    return (x * 0x01010101u) >> 24;
}

/* The inputs of word i as they are listed: inverted where `invert` is all ones, bits behind the last input 0.
 */
static inline uint32_t listed(const ebnn_bdense_params_t *p, const uint32_t *x, uint32_t i, uint32_t invert) {
    const uint32_t v = x[i] ^ invert;
    return (i + 1u) * 32u > p->k ? v & ((1u << (p->k % 32u)) - 1u) : v;
}

/* Bit 31 - t of v is element t: appends its offset and clears it. */
#define PUT                                                                                                  \
    do {                                                                                                     \
        const uint32_t t = (uint32_t)__builtin_clz(v);                                                       \
        *at++ = (uint16_t)(offset + 4u * t);                                                                 \
        v &= ~(0x80000000u >> t);                                                                            \
    } while (0)

static uint32_t reverse_bits(uint32_t v) {
#if EBNN_THUMB2
    __asm__("rbit %0, %1" : "=r"(v) : "r"(v));
#else
    v = ((v >> 1) & 0x55555555u) | ((v & 0x55555555u) << 1);
    v = ((v >> 2) & 0x33333333u) | ((v & 0x33333333u) << 2);
    v = ((v >> 4) & 0x0F0F0F0Fu) | ((v & 0x0F0F0F0Fu) << 4);
    v = ((v >> 8) & 0x00FF00FFu) | ((v & 0x00FF00FFu) << 8);
    v = (v >> 16) | (v << 16);
#endif
    return v;
}

/* Offsets of the set bits of v, n of them, behind `offset`. */
static inline uint16_t *put_word(uint32_t v, uint32_t n, uint32_t offset, uint16_t *at) {
    v = reverse_bits(v);
    for (; n >= 4u; n -= 4u) {
        PUT;
        PUT;
        PUT;
        PUT;
    }
    for (; n != 0u; n--) {
        PUT;
    }
    return at;
}

uint32_t ebnn_bdense_b1__cortex_m4_get_buffer_size(const void *params) {
    const ebnn_bdense_params_t *p = params;
    return ((p->k / 2u + 2u) * 2u + 3u) & ~3u;
}

/* in: b1 NHWC without gaps between pixels; out: b1 [1][1][out_c]. */
ebnn_status_t ebnn_bdense_b1__cortex_m4(const void *params, const ebnn_io_t *io) {
    const ebnn_bdense_params_t *p = params;
    const uint32_t words = (p->k + 31u) / 32u;
    const uint32_t *x = io->in[0];
    uint32_t *out = io->out;
    uint16_t *list = io->scratch;
    uint32_t n = 0;
    for (uint32_t i = 0; i < words; i++) {
        n += popcount(listed(p, x, i, 0u));
    }
    const uint32_t invert = 2u * n > p->k ? ~0u : 0u;
    n = invert != 0u ? p->k - n : n;
    uint16_t *at = list;
    for (uint32_t i = 0; i < words; i++) {
        const uint32_t v = listed(p, x, i, invert);
        at = put_word(v, popcount(v), 128u * i, at);
    }
    if ((n & 1u) != 0u) {
        *at = (uint16_t)(4u * p->k);
    }
    const uint16_t run[2] = {(uint16_t)((n + 1u) / 2u), (uint16_t)((p->k + 3u) / 4u - (n + 1u) / 2u)};
    const uint32_t *t = p->thresholds + (invert != 0u ? p->bits + 1u : 0u);
    const uint32_t *weights = p->weights;
    for (uint32_t left = p->out_c; left != 0u;) {
        uint32_t sums[EBNN_BITS_MOST];
        const uint32_t mask = left < 32u ? (1u << left) - 1u : ~0u;
        ebnn_bits_sum__cortex_m4(list, weights, run, 1, p->bits, sums);
        *out++ = (ebnn_bits_compare(sums, t, p->bits, n & 1u) ^ ~invert) & mask;
        t += 2u * (p->bits + 1u);
        weights += p->k + 1u;
        left -= left < 32u ? left : 32u;
    }
    return EBNN_OK;
}
