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

/* Up to four trailing activations, zeros after the end. */
static uint32_t load_tail(const int8_t *column, uint32_t n) {
    uint32_t v = 0;
    for (uint32_t i = 0; i < n; i++) {
        v |= (uint32_t)(uint8_t)column[i] << (8u * i);
    }
    return v;
}

/* Four products of one channel pair. */
static inline void multiply(const uint32_t *w, uint32_t v, int32_t *acc) {
    const uint32_t x0 = ebnn_sxtb16(v);
    const uint32_t x1 = ebnn_sxtb16_ror8(v);
    acc[0] = ebnn_smlad(ebnn_sxtb16(w[0]), x0, acc[0]);
    acc[1] = ebnn_smlad(ebnn_sxtb16_ror8(w[0]), x0, acc[1]);
    acc[0] = ebnn_smlad(ebnn_sxtb16(w[1]), x1, acc[0]);
    acc[1] = ebnn_smlad(ebnn_sxtb16_ror8(w[1]), x1, acc[1]);
}

#if EBNN_ARM_DSP

/* Four products of two channel pairs, loads grouped; advances the three pointers. */
#define MULTIPLY_2(w, w2, x)                                                                                 \
    do {                                                                                                     \
        uint32_t x0_, x1_, t_, u_, v_;                                                                       \
        __asm volatile(                                                                                      \
            "ldr %[x0], [%[px]], #4\n"                                                                       \
            "ldr %[t], [%[p]], #4\n"                                                                         \
            "ldr %[u], [%[q]], #4\n"                                                                         \
            "sxtb16 %[x1], %[x0], ror #8\n"                                                                  \
            "sxtb16 %[x0], %[x0]\n"                                                                          \
            "sxtb16 %[v], %[t]\n"                                                                            \
            "smlad %[a0], %[v], %[x0], %[a0]\n"                                                              \
            "sxtb16 %[t], %[t], ror #8\n"                                                                    \
            "smlad %[a1], %[t], %[x0], %[a1]\n"                                                              \
            "sxtb16 %[v], %[u]\n"                                                                            \
            "smlad %[a2], %[v], %[x0], %[a2]\n"                                                              \
            "sxtb16 %[u], %[u], ror #8\n"                                                                    \
            "smlad %[a3], %[u], %[x0], %[a3]\n"                                                              \
            "ldr %[t], [%[p]], #4\n"                                                                         \
            "ldr %[u], [%[q]], #4\n"                                                                         \
            "sxtb16 %[v], %[t]\n"                                                                            \
            "smlad %[a0], %[v], %[x1], %[a0]\n"                                                              \
            "sxtb16 %[t], %[t], ror #8\n"                                                                    \
            "smlad %[a1], %[t], %[x1], %[a1]\n"                                                              \
            "sxtb16 %[v], %[u]\n"                                                                            \
            "smlad %[a2], %[v], %[x1], %[a2]\n"                                                              \
            "sxtb16 %[u], %[u], ror #8\n"                                                                    \
            "smlad %[a3], %[u], %[x1], %[a3]\n"                                                              \
            : [p] "+r"(w), [q] "+r"(w2), [px] "+r"(x), [a0] "+r"(a0), [a1] "+r"(a1), [a2] "+r"(a2),          \
              [a3] "+r"(a3), [x0] "=&r"(x0_), [x1] "=&r"(x1_), [t] "=&r"(t_), [u] "=&r"(u_), [v] "=&r"(v_)   \
            :                                                                                                \
            : "memory");                                                                                     \
    } while (0)

static void sum_4_channels(const uint32_t *w, const uint32_t *w2, const int8_t *x, uint32_t k, int32_t *acc) {
    const int8_t *end = x + (k & ~7u);
    int32_t a0 = acc[0], a1 = acc[1], a2 = acc[2], a3 = acc[3];
    while (x != end) {
        MULTIPLY_2(w, w2, x);
        MULTIPLY_2(w, w2, x);
    }
    if ((k & 4u) != 0u) {
        MULTIPLY_2(w, w2, x);
    }
    acc[0] = a0;
    acc[1] = a1;
    acc[2] = a2;
    acc[3] = a3;
}

#else

static void sum_4_channels(const uint32_t *w, const uint32_t *w2, const int8_t *x, uint32_t k, int32_t *acc) {
    for (; k >= 4u; k -= 4u, x += 4, w += 2, w2 += 2) {
        multiply(w, ebnn_load32(x), acc);
        multiply(w2, ebnn_load32(x), acc + 2);
    }
}

#endif

static void sum_2_channels(const uint32_t *w, const int8_t *x, uint32_t k, int32_t *acc) {
    int32_t a[2] = {acc[0], acc[1]};
    for (; k >= 4u; k -= 4u, x += 4, w += 2) {
        multiply(w, ebnn_load32(x), a);
    }
    acc[0] = a[0];
    acc[1] = a[1];
}

void ebnn_s8_one_pixel(const ebnn_conv_s8_params_t *p, const int8_t *column, uint32_t k, int8_t *out) {
    const uint32_t words = (k + 3u) / 4u * 2u;
    const uint32_t out_c = p->dims.out_c;
    const uint32_t step = ebnn_channel_step(p);
    const uint32_t tail = load_tail(column + (k & ~3u), k & 3u);
    const uint32_t *w = (const uint32_t *)(const void *)p->weights;
    for (uint32_t c = 0; c < out_c; c += 4u, w += 2u * words) {
        const uint32_t n = out_c - c < 4u ? out_c - c : 4u;
        int32_t acc[4] = {p->bias[c], p->bias[c + 1u], 0, 0};
        if (n > 2u) {
            acc[2] = p->bias[c + 2u];
            acc[3] = p->bias[c + 3u];
            sum_4_channels(w, w + words, column, k, acc);
        } else {
            sum_2_channels(w, column, k, acc);
        }
        if ((k & 3u) != 0u) {
            multiply(w + words - 2u, tail, acc);
            if (n > 2u) {
                multiply(w + 2u * words - 2u, tail, acc + 2);
            }
        }
        for (uint32_t i = 0; i < n; i++) {
            const int32_t v = ebnn_requant(acc[i], p->multiplier[c + i], p->shift[c + i]) + p->output_offset;
            out[(c + i) * step] = (int8_t)ebnn_ssat8(v);
        }
    }
}

void ebnn_s8_finish(const ebnn_conv_s8_params_t *p, int8_t *out) {
    const uint32_t pixels = (uint32_t)p->dims.out_h * p->dims.out_w;
    const uint32_t padded = p->out_layout == EBNN_CHW ? (pixels + 3u) & ~3u : pixels;
    if (p->act_min > INT8_MIN || p->act_max < INT8_MAX) {
        for (uint32_t i = 0; i < p->dims.out_c * padded; i++) {
            out[i] = (int8_t)ebnn_clamp_s8(out[i], p->act_min, p->act_max);
        }
    }
    for (uint32_t i = pixels; i < padded; i++) {
        for (uint32_t c = 0; c < p->dims.out_c; c++) {
            out[c * padded + i] = 0;
        }
    }
}

/* in: s8 [in_c]; out: s8 [out_c]; weights and bias packed as ebnn_s8_core.h says; no scratch. */
ebnn_status_t ebnn_dense_s8__cortex_m4(const void *params, const ebnn_io_t *io) {
    const ebnn_conv_s8_params_t *p = params;
    ebnn_s8_one_pixel(p, io->in[0], p->dims.in_c, io->out);
    ebnn_s8_finish(p, io->out);
    return EBNN_OK;
}
