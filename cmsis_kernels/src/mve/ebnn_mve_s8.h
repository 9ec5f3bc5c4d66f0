/*
 * Requantisation of four channels with MVE, bit-exact with SPEC.md section 4.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_MVE_S8_H
#define EBNN_MVE_S8_H

#include <arm_mve.h>

#include "../cortex_m/ebnn_requant.h"
#include "../cortex_m/ebnn_s8_core.h"

/* acc of channels c .. c + 3 (those of p) to bytes at out, step bytes apart.
 * VQRDMULH rounds as SRDHM does; VRSHL rounds half up, so negative values are lowered by one first, except
 * where there is no right shift. */
static inline void ebnn_mve_requant_store(const ebnn_conv_s8_params_t *params, uint32_t c, int32x4_t acc,
                                          int8_t *out, uint32_t step, mve_pred16_t p) {
    const int32x4_t multiplier = vldrwq_z_s32(params->multiplier + c, p);
    const int32x4_t shift = vldrbq_z_s32(params->shift + c, p);
    const int32x4_t zero = vdupq_n_s32(0);
    const int32x4_t right = vminq_s32(shift, zero);
    int32x4_t v = vqrdmulhq_s32(vshlq_s32(acc, vmaxq_s32(shift, zero)), multiplier);
    v = vaddq_m_s32(v, v, vshrq_n_s32(v, 31), vcmpltq_n_s32(shift, 0));
    v = vaddq_n_s32(vrshlq_s32(v, right), params->output_offset);
    v = vmaxq_s32(v, vdupq_n_s32(params->act_min));
    v = vminq_s32(v, vdupq_n_s32(params->act_max));
    if (step == 1u) {
        vstrbq_p_s32(out, v, p);
    } else {
        vstrbq_scatter_offset_p_s32(out, vmulq_n_u32(vidupq_n_u32(0, 1), step), v, p);
    }
}

/* CHW rows are padded to whole words: the tail of each is 0. */
static inline void ebnn_mve_clear_tails(const ebnn_conv_s8_params_t *p, int8_t *out) {
    const uint32_t pixels = (uint32_t)p->dims.out_h * p->dims.out_w;
    const uint32_t padded = p->out_layout == EBNN_CHW ? (pixels + 3u) & ~3u : pixels;
    for (uint32_t i = pixels; i < padded; i++) {
        for (uint32_t c = 0; c < p->dims.out_c; c++) {
            out[c * padded + i] = 0;
        }
    }
}

#endif
