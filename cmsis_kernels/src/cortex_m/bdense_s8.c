/*
 * Dense layer of 1- and 2-bit weights x s8 activations (W1A8, W1.58A8) for cores with the DSP extension: AND
 * isolates a pair of codes in 16-bit halves, SMLAD multiplies them with a pair of activations; four outputs
 * share the loads.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../core/dense_store.h"
#include "ebnn_acle.h"
#include "ebnn_kernels.h"
#include "ebnn_s8.h"

#define BLOCK_1BIT 32u
#define BLOCK_2BIT 16u

/* Inputs rounded up to whole weight words. */
static uint32_t padded_inputs(const ebnn_bdense_s8_params_t *p) {
    const uint32_t block = p->bits == 1u ? BLOCK_1BIT : BLOCK_2BIT;
    return (p->inputs + block - 1u) / block * block;
}

/* Halves (0, 2), (1, 3) of every four inputs, zeros after the end; returns the sum of the inputs. */
static int32_t widen(const int8_t *in, uint32_t n, uint32_t padded, uint32_t *x) {
    const uint32_t ones = 0x00010001u;
    uint32_t *end = x + padded / 2u;
    int32_t sum = 0;
    for (; n >= 4u; n -= 4u, in += 4, x += 2) {
        const uint32_t v = ebnn_load32(in);
        x[0] = ebnn_sxtb16(v);
        x[1] = ebnn_sxtb16_ror8(v);
        sum = ebnn_smlad(x[1], ones, ebnn_smlad(x[0], ones, sum));
    }
    if (n != 0u) {
        uint32_t v = 0;
        for (uint32_t i = 0; i < n; i++) {
            v |= (uint32_t)(uint8_t)in[i] << (8u * i);
        }
        x[0] = ebnn_sxtb16(v);
        x[1] = ebnn_sxtb16_ror8(v);
        sum = ebnn_smlad(x[1], ones, ebnn_smlad(x[0], ones, sum));
        x += 2;
    }
    while (x != end) {
        *x++ = 0;
    }
    return sum;
}

/* Sums of code * input of one output, one weight word a turn. `bits` is constant where inlined. */
static inline int32_t sum_1(const uint32_t *w, uint32_t words, const uint32_t *x, uint32_t bits) {
    const uint32_t mask = bits == 1u ? 0x00010001u : 0x00030003u;
    int32_t acc = 0;
    for (; words != 0u; words--, w++) {
        for (uint32_t i = 0; i < 16u; i += bits) {
            acc = ebnn_smlad(*w >> i & mask, *x++, acc);
        }
    }
    return acc;
}

/* The same for four outputs, whose weights are `words` words apart. */
static inline void sum_4(const uint32_t *w, uint32_t words, const uint32_t *x, uint32_t bits, int32_t *acc) {
    uint32_t mask = bits == 1u ? 0x00010001u : 0x00030003u;
    const uint32_t *end = w + words;
    int32_t a0 = 0, a1 = 0, a2 = 0, a3 = 0;
#if EBNN_ARM_DSP
    __asm("" : "+r"(mask)); /* kept in a register, so that shift and AND are one instruction */
#endif
    for (; w != end; w++) {
        const uint32_t w0 = w[0];
        const uint32_t w1 = w[words];
        const uint32_t w2 = w[2u * words];
        const uint32_t w3 = w[3u * words];
#define PRODUCT(i)                                                                                           \
    do {                                                                                                     \
        const uint32_t v_ = *x++;                                                                            \
        a0 = ebnn_smlad(w0 >> (i)&mask, v_, a0);                                                             \
        a1 = ebnn_smlad(w1 >> (i)&mask, v_, a1);                                                             \
        a2 = ebnn_smlad(w2 >> (i)&mask, v_, a2);                                                             \
        a3 = ebnn_smlad(w3 >> (i)&mask, v_, a3);                                                             \
    } while (0)
        PRODUCT(0);
        PRODUCT(bits);
        PRODUCT(2u * bits);
        PRODUCT(3u * bits);
        PRODUCT(4u * bits);
        PRODUCT(5u * bits);
        PRODUCT(6u * bits);
        PRODUCT(7u * bits);
        if (bits == 1u) {
            PRODUCT(8);
            PRODUCT(9);
            PRODUCT(10);
            PRODUCT(11);
            PRODUCT(12);
            PRODUCT(13);
            PRODUCT(14);
            PRODUCT(15);
        }
#undef PRODUCT
    }
    acc[0] = a0;
    acc[1] = a1;
    acc[2] = a2;
    acc[3] = a3;
}

uint32_t ebnn_bdense_s8__cortex_m4_get_buffer_size(const void *params) {
    return 2u * padded_inputs(params);
}

/* in: s8 [inputs], and the residual; out: s8, s32, b1 or u2..u4 [outputs] as one pixel. */
ebnn_status_t ebnn_bdense_s8__cortex_m4(const void *params, const ebnn_io_t *io) {
    const ebnn_bdense_s8_params_t *p = params;
    if (p->bits != 1u && p->bits != 2u) {
        return EBNN_ERR_ARGUMENT;
    }
    const uint32_t padded = padded_inputs(p);
    const uint32_t words = padded * p->bits / 32u;
    uint32_t *x = io->scratch;
    const int32_t all = widen(io->in[0], p->inputs, padded, x) * p->offset;
    const uint32_t *w = p->weights;
    uint32_t c = 0;
    for (; c + 4u <= p->outputs; c += 4u, w += 4u * words) {
        int32_t acc[4];
        if (p->bits == 1u) {
            sum_4(w, words, x, 1u, acc);
        } else {
            sum_4(w, words, x, 2u, acc);
        }
        for (uint32_t i = 0; i < 4u; i++) {
            ebnn_dense_store(&p->epilogue, io, p->outputs, c + i, p->scale * acc[i] + all + p->bias[c + i]);
        }
    }
    for (; c < p->outputs; c++, w += words) {
        const int32_t acc = p->bits == 1u ? sum_1(w, words, x, 1u) : sum_1(w, words, x, 2u);
        ebnn_dense_store(&p->epilogue, io, p->outputs, c, p->scale * acc + all + p->bias[c]);
    }
    return EBNN_OK;
}
