/*
 * s8 depthwise convolution with MVE (Cortex-M55, M85): four channels a vector. Channel multiplier 1.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_kernels.h"
#include "ebnn_mve_s8.h"

/* The taps of one axis that lie inside the image. */
typedef struct {
    uint32_t first, count;
} taps_t;

static taps_t taps_inside(int32_t start, uint32_t kernel, uint32_t dilation, uint32_t size) {
    taps_t t = {0, 0};
    while (t.first < kernel && start + (int32_t)(t.first * dilation) < 0) {
        t.first++;
    }
    while (t.first + t.count < kernel && start + (int32_t)((t.first + t.count) * dilation) < (int32_t)size) {
        t.count++;
    }
    return t;
}

/* in: s8 NHWC; out: s8 NHWC or CHW; weights [kernel_h][kernel_w][out_c]; no scratch. */
ebnn_status_t ebnn_depthwise_conv2d_s8__mve(const void *params, const ebnn_io_t *io) {
    const ebnn_conv_s8_params_t *p = params;
    const ebnn_conv_dims_t *d = &p->dims;
    const uint32_t step = ebnn_channel_step(p);
    const uint32_t row_step = (uint32_t)d->dilation_h * d->in_w * d->in_c;
    const uint32_t column_step = (uint32_t)d->dilation_w * d->in_c;
    int8_t *out = io->out;
    if (d->in_c != d->out_c) {
        return EBNN_ERR_ARGUMENT;
    }
    for (uint32_t oy = 0; oy < d->out_h; oy++) {
        for (uint32_t ox = 0; ox < d->out_w; ox++, out += ebnn_pixel_step(p)) {
            const int32_t y0 = (int32_t)(oy * d->stride_h) - d->pad_h;
            const int32_t x0 = (int32_t)(ox * d->stride_w) - d->pad_w;
            const taps_t rows = taps_inside(y0, d->kernel_h, d->dilation_h, d->in_h);
            const taps_t columns = taps_inside(x0, d->kernel_w, d->dilation_w, d->in_w);
            const int32_t first = (y0 + (int32_t)(rows.first * d->dilation_h)) * d->in_w + x0 +
                                  (int32_t)(columns.first * d->dilation_w);
            for (uint32_t c = 0; c < d->out_c; c += 4u) {
                const mve_pred16_t lanes = vctp32q(d->out_c - c);
                int32x4_t acc = vldrwq_z_s32(p->bias + c, lanes);
                const int8_t *w = p->weights + (rows.first * d->kernel_w + columns.first) * d->out_c + c;
                const int8_t *row = (const int8_t *)io->in[0] + first * d->in_c + (int32_t)c;
                for (uint32_t ky = rows.count; ky != 0u; ky--, row += row_step, w += d->kernel_w * d->out_c) {
                    const int8_t *x = row;
                    const int8_t *v = w;
                    for (uint32_t kx = columns.count; kx != 0u; kx--, x += column_step, v += d->out_c) {
                        const int32x4_t a = vaddq_n_s32(vldrbq_z_s32(x, lanes), p->input_offset);
                        acc = vaddq_s32(acc, vmulq_s32(a, vldrbq_z_s32(v, lanes)));
                    }
                }
                ebnn_mve_requant_store(p, c, acc, out + c * step, step, lanes);
            }
        }
    }
    ebnn_mve_clear_tails(p, io->out);
    return EBNN_OK;
}
