/*
 * Low-bit dense layers on channel lanes: sums as integers; a processor's kernel gives the inner parts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_BITS_DENSE_SUMS_H
#define EBNN_BITS_DENSE_SUMS_H

#include "bits_dense.h"
#include "dense_store.h"

static inline uint32_t ebnn_bits_dense_words(const ebnn_bdense_sums_params_t *p) {
    return (uint32_t)p->pixels * p->words_per_pixel;
}

/* Accumulators, a list of all inputs, and the selected bits. */
static inline uint32_t ebnn_bits_dense_sums_size(const ebnn_bdense_sums_params_t *p) {
    return 128u * ((p->outputs + 31u) / 32u) + 68u * ebnn_bits_dense_words(p) + 4u;
}

/* Exchanges the bits of a under mask << shift with those of b under mask. */
static inline void ebnn_bits_exchange(uint32_t *a, uint32_t *b, uint32_t shift, uint32_t mask) {
    const uint32_t d = ((*a >> shift) ^ *b) & mask;
    *b ^= d;
    *a ^= d << shift;
}

/* acc[channel] += factor * sum, 32 channels. s: `bits` planes of sums and room for 8; overwritten. */
static inline void ebnn_bits_add_sums(uint32_t *s, uint32_t bits, int32_t factor, int32_t *acc) {
    if (bits < 8u) {
        s[7] = 0;
    }
    for (uint32_t i = 0; i < 4u; i++) {
        ebnn_bits_exchange(&s[i], &s[i + 4u], 4, 0x0F0F0F0Fu);
    }
    for (uint32_t i = 0; i < 8u; i += 4u) {
        ebnn_bits_exchange(&s[i], &s[i + 2u], 2, 0x33333333u);
        ebnn_bits_exchange(&s[i + 1u], &s[i + 3u], 2, 0x33333333u);
        ebnn_bits_exchange(&s[i], &s[i + 1u], 1, 0x55555555u);
        ebnn_bits_exchange(&s[i + 2u], &s[i + 3u], 1, 0x55555555u);
    }
    for (uint32_t i = 0; i < 8u; i++, acc++) { /* byte b of word i: channel 8 * b + i */
        const uint32_t low = s[i];
        uint32_t high = 0;
        for (uint32_t bit = 8; bit < bits; bit++) {
            high |= ((s[bit] >> i) & 0x01010101u) << (bit - 8u);
        }
        acc[0] += factor * (int32_t)((low & 0xFFu) | (high & 0xFFu) << 8);
        acc[8] += factor * (int32_t)(((low >> 8) & 0xFFu) | (high & 0xFF00u));
        acc[16] += factor * (int32_t)(((low >> 16) & 0xFFu) | ((high >> 8) & 0xFF00u));
        acc[24] += factor * (int32_t)((low >> 24) | ((high >> 16) & 0xFF00u));
    }
}

/* Bit plane `bit` of the input, or its complement if that has fewer ones; returns their number. */
static inline uint32_t ebnn_bits_select(const ebnn_bdense_sums_params_t *p, const uint32_t *in, uint32_t bit,
                                        uint32_t *out, uint32_t *complemented) {
    const uint32_t n = p->words_per_pixel;
    uint32_t *to = out;
    for (uint32_t pixel = 0; pixel < p->pixels; pixel++) {
        const uint32_t *from = in + (pixel * p->in_bits + bit) * n;
        for (uint32_t i = 0; i < n; i++) {
            *to++ = from[i];
        }
    }
    const uint32_t ones = ebnn_bits_ones(out, ebnn_bits_dense_words(p));
    *complemented = 2u * ones > p->inputs ? 1u : 0u;
    if (*complemented == 0u) {
        return ones;
    }
    for (uint32_t pixel = 0; pixel < p->pixels; pixel++) {
        for (uint32_t i = 0; i < n; i++, out++) {
            *out = ~*out;
        }
        out[-1] &= p->tail_mask;
    }
    return p->inputs - ones;
}

/* With w = (m0 * s0 + m1 * s1) / 2, signs s0 and s1, n inputs have a sum of n * (m0 + m1) / 2 - m0 * n0 - m1
 * * n1, ni of them where si is -1. Inputs that are 0 have the total minus the sum of those that are 1. For b1
 * the result is the total minus twice the sum of the inputs that are -1. */
static inline ebnn_status_t ebnn_bits_dense_sums(const ebnn_bdense_sums_params_t *p, const ebnn_io_t *io,
                                                 ebnn_bits_sum_t sum, ebnn_bits_collect_t collect) {
    static const uint8_t factors[3][2] = {{2, 0}, {1, 1}, {4, 2}}; /* m0, m1 */
    const uint32_t words = ebnn_bits_dense_words(p);
    const uint32_t lanes = (p->outputs + 31u) / 32u;
    int32_t *acc = io->scratch;
    uint32_t *chosen = (uint32_t *)io->scratch + 32u * lanes;
    uint16_t *list = (uint16_t *)(chosen + words);
    const uint8_t *m = factors[p->weight_kind - 1u];
    int32_t totals = p->in_bits == 1u ? 1 : 0;
    int32_t all = 0;
    for (uint32_t i = 0; i < 32u * lanes; i++) {
        acc[i] = 0;
    }
    for (uint32_t bit = 0; bit < p->in_bits; bit++) {
        int32_t factor = p->in_bits == 1u ? -2 : 1 << bit;
        uint32_t complemented;
        const uint32_t n = ebnn_bits_select(p, io->in[0], bit, chosen, &complemented);
        if (complemented != 0u) {
            totals += factor;
            factor = -factor;
        }
        all += factor * (int32_t)n * (m[0] + m[1]) / 2;
        collect(chosen, 32u * words, EBNN_BITS_ROWS, list);
        const uint16_t run[2] = {(uint16_t)((n + 1u) / 2u), 0};
        const uint32_t *w = p->weights;
        for (uint32_t plane = 0; plane < 2u && m[plane] != 0u; plane++) {
            for (uint32_t lane = 0; lane < lanes; lane++) {
                uint32_t s[EBNN_BITS_MOST];
                sum(list, w + (lane / 2u) * 2u * (32u * words + 1u) + lane % 2u, run, 1, p->bits, s);
                ebnn_bits_add_sums(s, p->bits, -factor * m[plane], acc + 32u * lane);
            }
            w += (lanes + 1u) / 2u * 2u * (32u * words + 1u);
        }
    }
    for (uint32_t c = 0; c < p->outputs; c++) {
        ebnn_dense_store(&p->epilogue, io, p->outputs, c, totals * p->totals[c] + all + acc[c]);
    }
    return EBNN_OK;
}

#endif
