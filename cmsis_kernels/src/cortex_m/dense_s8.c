/*
 * s8 dense layer for cores with the DSP extension: one pixel, four output channels at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_acle.h"
#include "ebnn_kernels.h"
#include "ebnn_requant.h"
#include "ebnn_s8.h"
#include "ebnn_s8_core.h"

#if EBNN_ARM_DSP

/* acc[0..4) += k products (a multiple of 4, not 0) of two channel pairs; assembly for the order of the loads.
 */
static __attribute__((noinline)) void sum_4_channels(const uint32_t *w, const uint32_t *w2, const int8_t *x,
                                                     uint32_t k, int32_t *acc) {
    const int8_t *end = x + k;
    int32_t a0 = acc[0], a1 = acc[1], a2 = acc[2], a3 = acc[3];
    do {
        uint32_t x0, x1, t, u, v;
        __asm volatile(
            "ldr %[x0], [%[px]], #4\n"
            "ldr %[t], [%[p]], #4\n"
            "ldr %[u], [%[q]], #4\n"
            "sxtb16 %[x1], %[x0], ror #8\n"
            "sxtb16 %[x0], %[x0]\n"
            "sxtb16 %[v], %[t]\n"
            "smlad %[a0], %[v], %[x0], %[a0]\n"
            "sxtb16 %[t], %[t], ror #8\n"
            "smlad %[a1], %[t], %[x0], %[a1]\n"
            "sxtb16 %[v], %[u]\n"
            "smlad %[a2], %[v], %[x0], %[a2]\n"
            "sxtb16 %[u], %[u], ror #8\n"
            "smlad %[a3], %[u], %[x0], %[a3]\n"
            "ldr %[t], [%[p]], #4\n"
            "ldr %[u], [%[q]], #4\n"
            "sxtb16 %[v], %[t]\n"
            "smlad %[a0], %[v], %[x1], %[a0]\n"
            "sxtb16 %[t], %[t], ror #8\n"
            "smlad %[a1], %[t], %[x1], %[a1]\n"
            "sxtb16 %[v], %[u]\n"
            "smlad %[a2], %[v], %[x1], %[a2]\n"
            "sxtb16 %[u], %[u], ror #8\n"
            "smlad %[a3], %[u], %[x1], %[a3]\n"
            : [p] "+r"(w), [q] "+r"(w2), [px] "+r"(x), [a0] "+r"(a0), [a1] "+r"(a1), [a2] "+r"(a2),
              [a3] "+r"(a3), [x0] "=&r"(x0), [x1] "=&r"(x1), [t] "=&r"(t), [u] "=&r"(u), [v] "=&r"(v)
            :
            : "memory");
    } while (x != end);
    acc[0] = a0;
    acc[1] = a1;
    acc[2] = a2;
    acc[3] = a3;
}

#else

/* Four products of one channel pair. */
static void multiply(const uint32_t *w, uint32_t v, int32_t *acc) {
    for (uint32_t i = 0; i < 2u; i++) {
        const uint32_t x = i == 0u ? ebnn_sxtb16(v) : ebnn_sxtb16_ror8(v);
        acc[0] = ebnn_smlad(ebnn_sxtb16(w[i]), x, acc[0]);
        acc[1] = ebnn_smlad(ebnn_sxtb16_ror8(w[i]), x, acc[1]);
    }
}

static void sum_4_channels(const uint32_t *w, const uint32_t *w2, const int8_t *x, uint32_t k, int32_t *acc) {
    for (; k != 0u; k -= 4u, x += 4, w += 2, w2 += 2) {
        multiply(w, ebnn_load32(x), acc);
        multiply(w2, ebnn_load32(x), acc + 2);
    }
}

#endif

/* in: s8 [in_c]; out: s8 [out_c]; weights and bias packed as ebnn_s8_core.h says; no scratch. */
EBNN_COLD ebnn_status_t ebnn_dense_s8__cortex_m4(const void *params, const ebnn_io_t *io) {
    const ebnn_conv_s8_params_t *p = params;
    const int8_t *x = io->in[0];
    int8_t *out = io->out;
    const uint32_t whole = p->dims.in_c & ~3u;
    const uint32_t rest = p->dims.in_c & 3u;
    const uint32_t words = (p->dims.in_c + 3u) / 4u * 2u;
    const uint32_t *w = (const uint32_t *)(const void *)p->weights;
    uint32_t last = 0;
    for (uint32_t i = 0; i < rest; i++) {
        last |= (uint32_t)(uint8_t)x[whole + i] << (8u * i);
    }
    for (uint32_t c = 0; c < p->dims.out_c; c += 4u, w += 2u * words) {
        const uint32_t n = p->dims.out_c - c;
        const uint32_t *w2 = n > 2u ? w + words : w; /* of the last pair: sums that are not used */
        int32_t acc[4];
        for (uint32_t i = 0; i < 4u; i++) {
            acc[i] = i < n ? p->bias[c + i] : 0;
        }
        if (whole != 0u) {
            sum_4_channels(w, w2, x, whole, acc);
        }
        if (rest != 0u) {
            sum_4_channels(w + words - 2u, w2 + words - 2u, (const int8_t *)&last, 4u, acc);
        }
        for (uint32_t i = c; i < c + 4u && i < p->dims.out_c; i++) {
            const int32_t v = ebnn_requant(acc[i - c], p->multiplier[i], p->shift[i]) + p->output_offset;
            out[i] = (int8_t)ebnn_clamp_s8(v, p->act_min, p->act_max);
        }
    }
    return EBNN_OK;
}
