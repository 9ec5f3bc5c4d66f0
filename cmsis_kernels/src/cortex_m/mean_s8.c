/*
 * Global average pool of s8 for cores with the DSP extension: four channels (NHWC) or four pixels (CHW) a
 * load.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_kernels.h"
#include "ebnn_requant.h"

/* 255 sums of bytes fit a signed 16-bit lane. */
#define MOST_IN_LANES 255u

static EBNN_COLD void store(const ebnn_pool_params_t *p, uint32_t pixels, int32_t sum, int8_t *out) {
    const int32_t acc = sum + (int32_t)pixels * p->input_offset;
    const int32_t y = ebnn_requant(acc, p->multiplier, p->shift) + p->output_offset;
    *out = (int8_t)ebnn_clamp_s8(y, p->act_min, p->act_max);
}

/* Sums of four neighbouring channels. */
static inline void sum_4_channels(const int8_t *in, uint32_t pixels, uint32_t step, int32_t *sums) {
    while (pixels != 0u) {
        uint32_t n = pixels < MOST_IN_LANES ? pixels : MOST_IN_LANES;
        uint32_t even = 0;
        uint32_t odd = 0;
        pixels -= n;
        for (; n != 0u; n--, in += step) {
            const uint32_t v = ebnn_load32(in);
            even = ebnn_sxtab16(even, v);
            odd = ebnn_sxtab16_ror8(odd, v);
        }
        sums[0] += (int16_t)even;
        sums[1] += (int16_t)odd;
        sums[2] += (int16_t)(even >> 16);
        sums[3] += (int16_t)(odd >> 16);
    }
}

/* Sum of a run of words of bytes. */
static inline int32_t sum_words(const int8_t *in, uint32_t words) {
    const uint32_t ones = 0x00010001u;
    int32_t sum = 0;
    for (; words != 0u; words--, in += 4) {
        const uint32_t v = ebnn_load32(in);
        sum = ebnn_smlad(ebnn_sxtb16(v), ones, sum);
        sum = ebnn_smlad(ebnn_sxtb16_ror8(v), ones, sum);
    }
    return sum;
}

/* in: s8 CHW (whose tails are 0); out: s8 [1][1][C]. */
ebnn_status_t ebnn_mean_s8_chw__cortex_m4(const void *params, const ebnn_io_t *io) {
    const ebnn_pool_params_t *p = params;
    const uint32_t pixels = (uint32_t)p->dims.in_h * p->dims.in_w;
    const uint32_t words = (pixels + 3u) / 4u;
    const int8_t *in = io->in[0];
    int8_t *out = io->out;
    for (uint32_t c = p->dims.in_c; c != 0u; c--, in += 4u * words) {
        store(p, pixels, sum_words(in, words), out++);
    }
    return EBNN_OK;
}

/* in: s8 NHWC; out: s8 [1][1][C]. */
ebnn_status_t ebnn_mean_s8__cortex_m4(const void *params, const ebnn_io_t *io) {
    const ebnn_pool_params_t *p = params;
    const int8_t *in = io->in[0];
    int8_t *out = io->out;
    const uint32_t pixels = (uint32_t)p->dims.in_h * p->dims.in_w;
    const uint32_t channels = p->dims.in_c;
    uint32_t c = 0;
    for (; c + 4u <= channels; c += 4u) {
        int32_t sums[4] = {0};
        sum_4_channels(in + c, pixels, channels, sums);
        for (uint32_t i = 0; i < 4u; i++) {
            store(p, pixels, sums[i], out + c + i);
        }
    }
    for (; c < channels; c++) {
        int32_t sum = 0;
        for (uint32_t i = 0; i < pixels; i++) {
            sum += in[i * channels + c];
        }
        store(p, pixels, sum, out + c);
    }
    return EBNN_OK;
}
