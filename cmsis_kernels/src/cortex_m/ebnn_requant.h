/*
 * Requantisation of s8 layers on cores with the DSP extension, bit-exact with SPEC.md section 4.
 *
 * SMMULR of the doubled accumulator is TFLite's saturating rounding doubling high multiply: both round
 * acc * multiplier / 2^31 half up. The rounding divide by 2^right then rounds half away from zero, which is
 * (v + 2^(right - 1) - (v < 0)) >> right. Needs |acc| < 2^30, which the offline packer proves.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_REQUANT_H
#define EBNN_REQUANT_H

#include "ebnn_acle.h"
#include "ebnn_params.h"

/* shift < 0, the usual case; round = 2^(-shift - 1). */
static inline int32_t ebnn_requant_right(int32_t acc, int32_t multiplier, int32_t round, int32_t right) {
    const int32_t v = ebnn_smmulr((int32_t)((uint32_t)acc << 1), multiplier);
    return (v + (v >> 31) + round) >> right;
}

/* shift >= 0: only the high multiply rounds, but the shifted accumulator may need all 32 bits. */
static inline int32_t ebnn_requant_left(int32_t acc, int32_t multiplier, int32_t left) {
    const int32_t shifted = (int32_t)((uint32_t)acc << left);
    return (int32_t)(((int64_t)shifted * multiplier + (INT64_C(1) << 30)) >> 31);
}

/* Any shift, for single values: not inlined. */
int32_t ebnn_requant(int32_t acc, int32_t multiplier, int32_t shift);

static inline int32_t ebnn_clamp_s8(int32_t v, int32_t low, int32_t high) {
    v = v < low ? low : v;
    return v > high ? high : v;
}

/* Requantises n sums of one channel plus its bias and stores them step bytes apart, clamped to -128 .. 127.
 */
static inline void ebnn_requant_row(const int32_t *acc, uint32_t n, int32_t bias, int32_t multiplier,
                                    int32_t shift, int32_t offset, int8_t *out, uint32_t step) {
    const int32_t right = -shift;
    if (right <= 0) {
        for (; n != 0u; n--, out += step) {
            *out = (int8_t)ebnn_ssat8(ebnn_requant_left(*acc++ + bias, multiplier, shift) + offset);
        }
        return;
    }
    const int32_t round = (int32_t)((uint32_t)(2 * offset + 1) << right) >> 1;
    for (; n >= 2u; n -= 2u, acc += 2) {
        const int32_t a = acc[0] + bias;
        const int32_t b = acc[1] + bias;
        out[0] = (int8_t)ebnn_ssat8(ebnn_requant_right(a, multiplier, round, right));
        out += step;
        out[0] = (int8_t)ebnn_ssat8(ebnn_requant_right(b, multiplier, round, right));
        out += step;
    }
    if (n != 0u) {
        *out = (int8_t)ebnn_ssat8(ebnn_requant_right(*acc + bias, multiplier, round, right));
    }
}

/* Bytes between the outputs of neighbouring pixels, and of neighbouring channels. */
static inline uint32_t ebnn_pixel_step(const ebnn_conv_s8_params_t *p) {
    return p->out_layout == EBNN_CHW ? 1u : p->dims.out_c;
}

static inline uint32_t ebnn_channel_step(const ebnn_conv_s8_params_t *p) {
    const uint32_t pixels = (uint32_t)p->dims.out_h * p->dims.out_w;
    return p->out_layout == EBNN_CHW ? ((pixels + 3u) & ~3u) : 1u;
}

/* Completes an output that was clamped to -128 .. 127: act_min and act_max, and the zero tails of CHW rows.
 */
void ebnn_s8_finish(const ebnn_conv_s8_params_t *p, int8_t *out);

#endif
