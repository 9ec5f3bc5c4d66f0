/*
 * What s8 kernels for cores with the DSP extension share, compiled for size.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_kernels.h"
#include "ebnn_requant.h"

EBNN_COLD int32_t ebnn_requant(int32_t acc, int32_t multiplier, int32_t shift) {
    if (shift < 0) {
        return ebnn_requant_right(acc, multiplier, (int32_t)1 << (-shift - 1), -shift);
    }
    return ebnn_requant_left(acc, multiplier, shift);
}

EBNN_COLD void ebnn_s8_finish(const ebnn_conv_s8_params_t *p, int8_t *out) {
    const uint32_t pixels = (uint32_t)p->dims.out_h * p->dims.out_w;
    const uint32_t padded = p->out_layout == EBNN_CHW ? (pixels + 3u) & ~3u : pixels;
    const int narrow = p->act_min > INT8_MIN || p->act_max < INT8_MAX;
    for (uint32_t c = 0; c < p->dims.out_c; c++, out += padded) {
        for (uint32_t i = narrow ? 0u : pixels; i < padded; i++) {
            out[i] = i < pixels ? (int8_t)ebnn_clamp_s8(out[i], p->act_min, p->act_max) : 0;
        }
    }
}
