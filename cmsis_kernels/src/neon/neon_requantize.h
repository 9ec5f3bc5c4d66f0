/*
 * Requantisation of SPEC.md section 4 for eight output channels, and s8 stores in either storage order.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_NEON_REQUANTIZE_H
#define EBNN_NEON_REQUANTIZE_H

#include "ebnn_neon.h"
#include "neon_vector.h"

/* requantize of four accumulators: VQRDMULH rounds and saturates as SRDHM does; VRSHL rounds ties up, so
 * negative numbers that are shifted right are lowered by one to round them away from zero. */
static NEON_INLINE int32x4_t neon_requantize(int32x4_t acc, const int32_t *multiplier, const int32_t *shift) {
    const int32x4_t zero = vdupq_n_s32(0), e = vld1q_s32(shift);
    const int32x4_t right = vminq_s32(e, zero);
    const int32x4_t h = vqrdmulhq_s32(vshlq_s32(acc, vmaxq_s32(e, zero)), vld1q_s32(multiplier));
    const int32x4_t fix = vshrq_n_s32(vandq_s32(h, right), 31);
    return vrshlq_s32(vqaddq_s32(h, fix), right);
}

/* Eight output channels from c on, sums without the bias. */
static NEON_INLINE int8x8_t neon_requantize8(const ebnn_conv_s8_neon_params_t *p, uint32_t c, int32x4_t low,
                                             int32x4_t high) {
    const int32x4_t offset = vdupq_n_s32(p->output_offset);
    low = vaddq_s32(low, vld1q_s32(p->bias + c));
    high = vaddq_s32(high, vld1q_s32(p->bias + c + 4));
    low = vqaddq_s32(neon_requantize(low, p->multiplier + c, p->shift + c), offset);
    high = vqaddq_s32(neon_requantize(high, p->multiplier + c + 4, p->shift + c + 4), offset);
    const int16x8_t y = vcombine_s16(vqmovn_s32(low), vqmovn_s32(high));
    const int16x8_t least = vdupq_n_s16((int16_t)p->act_min), most = vdupq_n_s16((int16_t)p->act_max);
    return vmovn_s16(vminq_s16(vmaxq_s16(y, least), most));
}

/* n of 8 output channels from c on of a pixel. */
static NEON_INLINE void neon_store_s8(const ebnn_conv_s8_neon_params_t *p, int8_t *out, uint32_t pixel,
                                      uint32_t c, uint32_t n, int8x8_t y) {
    const size_t pixels = (size_t)p->dims.out_h * p->dims.out_w;
    if (p->out_layout != EBNN_CHW && n == 8u) {
        vst1_s8(out + (size_t)pixel * p->dims.out_c + c, y);
        return;
    }
    const size_t step = p->out_layout == EBNN_CHW ? (pixels + 3u) & ~(size_t)3u : 1u;
    int8_t codes[8];
    vst1_s8(codes, y);
    out += p->out_layout == EBNN_CHW ? c * step + pixel : (size_t)pixel * p->dims.out_c + c;
    for (uint32_t i = 0; i < n; i++) {
        out[i * step] = codes[i];
    }
}

/* CHW planes are padded to whole words: the tail is 0. */
static inline void neon_clear_tails(const ebnn_conv_s8_neon_params_t *p, int8_t *out) {
    const uint32_t pixels = (uint32_t)p->dims.out_h * p->dims.out_w;
    const uint32_t stride = (pixels + 3u) & ~3u;
    for (uint32_t c = 0; p->out_layout == EBNN_CHW && c < p->dims.out_c; c++) {
        memset(out + (size_t)c * stride + pixels, 0, stride - pixels);
    }
}

#endif
