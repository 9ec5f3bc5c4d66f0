/*
 * Binary dense layers on channel lanes; a processor's kernel gives the inner parts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_BITS_DENSE_H
#define EBNN_BITS_DENSE_H

#include "bits.h"

static inline uint32_t ebnn_bits_dense_size(const ebnn_bdense_bits_params_t *p) {
    return 64u * p->words + 4u * p->words + 4u; /* a list of all inputs, and the selected bits */
}

/* Number of bits set in n words. */
static inline uint32_t ebnn_bits_ones(const uint32_t *x, uint32_t n) {
    uint32_t ones = 0;
    while (n != 0u) {
        uint32_t bytes = 0; /* four sums, of at most 31 words */
        for (uint32_t i = n < 31u ? n : 31u; i != 0u; i--, n--) {
            uint32_t v = *x++;
            v -= (v >> 1) & 0x55555555u;
            v = (v & 0x33333333u) + ((v >> 2) & 0x33333333u);
            bytes += (v + (v >> 4)) & 0x0F0F0F0Fu;
        }
        bytes = (bytes & 0x00FF00FFu) + ((bytes >> 8) & 0x00FF00FFu);
        ones += (bytes & 0xFFFFu) + (bytes >> 16);
    }
    return ones;
}

/* The plane 2 S + low >= T, as ebnn_bits_compare, for at least 7 bits. */
static inline uint32_t ebnn_bits_reaches(const uint32_t *s, const uint32_t *t, uint32_t bits, uint32_t low) {
#define EBNN_BITS_REACH(i) c ^= (s[(i)-1u] ^ c) & ~(t[i] ^ c)
    uint32_t c = (0u - low) | ~t[0];
    EBNN_BITS_REACH(1u);
    EBNN_BITS_REACH(2u);
    EBNN_BITS_REACH(3u);
    EBNN_BITS_REACH(4u);
    EBNN_BITS_REACH(5u);
    EBNN_BITS_REACH(6u);
    for (uint32_t i = 7; i <= bits; i++) {
        EBNN_BITS_REACH(i);
    }
#undef EBNN_BITS_REACH
    return c;
}

/* The real bits of the input that are 0. */
static inline void ebnn_bits_zeros(const ebnn_bdense_bits_params_t *p, const uint32_t *in, uint32_t *out) {
    for (uint32_t i = 0; i < p->words; i++) {
        out[i] = ~in[i];
    }
    if (p->tail_mask != ~0u) {
        for (uint32_t i = p->words_per_pixel; i <= p->words; i += p->words_per_pixel) {
            out[i - 1u] &= p->tail_mask;
        }
    }
}

static inline ebnn_status_t ebnn_bits_dense(const ebnn_bdense_bits_params_t *p, const ebnn_io_t *io,
                                            ebnn_bits_sum_t sum, ebnn_bits_collect_t collect) {
    const uint32_t *in = io->in[0];
    uint32_t *out = io->out;
    uint32_t *chosen = io->scratch;
    uint16_t *list = (uint16_t *)(chosen + p->words);
    const uint32_t k = 32u * p->words;
    const uint32_t out_words = (p->out_c + 31u) / 32u;
    uint32_t n = ebnn_bits_ones(in, p->words);
    const uint32_t *limits = p->limits;
    uint32_t flip = ~0u;
    const uint32_t *selected = in;
    if (2u * n > p->start) { /* the inputs that are +1 are fewer */
        ebnn_bits_zeros(p, in, chosen);
        selected = chosen;
        n = p->start - n;
        flip = 0u;
        limits += out_words * (p->bits + 1u);
    }
    collect(selected, k, EBNN_BITS_ROWS, list);
    const uint16_t run[2] = {(uint16_t)((n + 1u) / 2u), (uint16_t)((p->start - n) / 2u)};
    for (uint32_t w = 0; w < out_words; w++, limits += p->bits + 1u) {
        uint32_t s[EBNN_BITS_MOST];
        sum(list, p->weights + (w / 2u) * 2u * (k + 1u) + w % 2u, run, 1, p->bits, s);
        const uint32_t left = p->out_c - 32u * w;
        const uint32_t mask = left < 32u ? (1u << left) - 1u : ~0u;
        out[w] = (ebnn_bits_reaches(s, limits, p->bits, (p->start - n) & 1u) ^ flip) & mask;
    }
    return EBNN_OK;
}

#endif
