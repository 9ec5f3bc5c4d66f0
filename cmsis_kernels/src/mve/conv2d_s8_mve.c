/*
 * s8 convolution and dense layers with MVE (Cortex-M55, M85): sixteen products an instruction, four output
 * channels share the loads of a pixel's patch.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_kernels.h"
#include "ebnn_mve_s8.h"
#include "ebnn_s8.h"

/* Sums of a column times four weight rows, added to acc. */
static inline int32x4_t dot4(const int8_t *x, const int8_t *w0, const int8_t *w1, const int8_t *w2,
                             const int8_t *w3, uint32_t k, int32x4_t acc) {
    int32_t a0 = vgetq_lane_s32(acc, 0);
    int32_t a1 = vgetq_lane_s32(acc, 1);
    int32_t a2 = vgetq_lane_s32(acc, 2);
    int32_t a3 = vgetq_lane_s32(acc, 3);
    for (uint32_t n = k / 16u; n != 0u; n--, x += 16, w0 += 16, w1 += 16, w2 += 16, w3 += 16) {
        const int8x16_t v = vldrbq_s8(x);
        a0 = vmladavaq_s8(a0, v, vldrbq_s8(w0));
        a1 = vmladavaq_s8(a1, v, vldrbq_s8(w1));
        a2 = vmladavaq_s8(a2, v, vldrbq_s8(w2));
        a3 = vmladavaq_s8(a3, v, vldrbq_s8(w3));
    }
    if (k % 16u != 0u) {
        const mve_pred16_t p = vctp8q(k % 16u);
        const int8x16_t v = vldrbq_z_s8(x, p);
        a0 = vmladavaq_s8(a0, v, vldrbq_z_s8(w0, p));
        a1 = vmladavaq_s8(a1, v, vldrbq_z_s8(w1, p));
        a2 = vmladavaq_s8(a2, v, vldrbq_z_s8(w2, p));
        a3 = vmladavaq_s8(a3, v, vldrbq_z_s8(w3, p));
    }
    acc = vsetq_lane_s32(a0, acc, 0);
    acc = vsetq_lane_s32(a1, acc, 1);
    acc = vsetq_lane_s32(a2, acc, 2);
    return vsetq_lane_s32(a3, acc, 3);
}

uint32_t ebnn_conv2d_s8__mve_get_buffer_size(const void *params) {
    const ebnn_conv_s8_params_t *p = params;
    return ebnn_s8_padded_k(&p->dims);
}

/* in: s8 NHWC; out: s8 NHWC or CHW; weights [out_c][kernel_h][kernel_w][in_c], bias with input_offset *
 * sum(w). */
ebnn_status_t ebnn_conv2d_s8__mve(const void *params, const ebnn_io_t *io) {
    const ebnn_conv_s8_params_t *p = params;
    const ebnn_conv_dims_t *d = &p->dims;
    const uint32_t k = (uint32_t)d->kernel_h * d->kernel_w * d->in_c;
    const uint32_t pixels = (uint32_t)d->out_h * d->out_w;
    const uint32_t step = ebnn_channel_step(p);
    int8_t *out = io->out;
    for (uint32_t pixel = 0; pixel < pixels; pixel++, out += ebnn_pixel_step(p)) {
        const int8_t *column = ebnn_s8_gather(d, io->in[0], pixel, (int8_t)-p->input_offset, io->scratch);
        const int8_t *w = p->weights;
        for (uint32_t c = 0; c < d->out_c; c += 4u, w += 4u * k) {
            const uint32_t n = d->out_c - c; /* rows past the last channel repeat the first: not stored */
            const mve_pred16_t lanes = vctp32q(n);
            const int32x4_t bias = vldrwq_z_s32(p->bias + c, lanes);
            const int32x4_t acc = dot4(column, w, n > 1u ? w + k : w, n > 2u ? w + 2u * k : w,
                                       n > 3u ? w + 3u * k : w, k, bias);
            ebnn_mve_requant_store(p, c, acc, out + c * step, step, lanes);
        }
    }
    ebnn_mve_clear_tails(p, io->out);
    return EBNN_OK;
}
