/*
 * s8 depthwise convolution with MVE (Cortex-M55, M85): four channels a vector. Channel multiplier 1.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_kernels.h"
#include "ebnn_mve_s8.h"

/* in: s8 NHWC; out: s8 NHWC or CHW; weights [kernel_h][kernel_w][out_c]; no scratch. */
ebnn_status_t ebnn_depthwise_conv2d_s8__mve(const void *params, const ebnn_io_t *io) {
    const ebnn_conv_s8_params_t *p = params;
    const ebnn_conv_dims_t *d = &p->dims;
    const uint32_t step = ebnn_channel_step(p);
    int8_t *out = io->out;
    if (d->in_c != d->out_c) {
        return EBNN_ERR_ARGUMENT;
    }
    for (uint32_t oy = 0; oy < d->out_h; oy++) {
        for (uint32_t ox = 0; ox < d->out_w; ox++, out += ebnn_pixel_step(p)) {
            const int32_t y0 = (int32_t)(oy * d->stride_h) - d->pad_h;
            const int32_t x0 = (int32_t)(ox * d->stride_w) - d->pad_w;
            for (uint32_t c = 0; c < d->out_c; c += 4u) {
                const mve_pred16_t lanes = vctp32q(d->out_c - c);
                int32x4_t acc = vldrwq_z_s32(p->bias + c, lanes);
                const int8_t *w = p->weights + c;
                int32_t y = y0;
                for (uint32_t ky = d->kernel_h; ky != 0u; ky--, y += d->dilation_h) {
                    int32_t x = x0;
                    for (uint32_t kx = d->kernel_w; kx != 0u; kx--, x += d->dilation_w, w += d->out_c) {
                        if (y < 0 || y >= d->in_h || x < 0 || x >= d->in_w) {
                            continue;
                        }
                        const int8_t *from = (const int8_t *)io->in[0] + (y * d->in_w + x) * d->in_c + c;
                        const int32x4_t v = vaddq_n_s32(vldrbq_z_s32(from, lanes), p->input_offset);
                        acc = vaddq_s32(acc, vmulq_s32(v, vldrbq_z_s32(w, lanes)));
                    }
                }
                ebnn_mve_requant_store(p, c, acc, out + c * step, step, lanes);
            }
        }
    }
    ebnn_mve_clear_tails(p, io->out);
    return EBNN_OK;
}
