/*
 * s8 convolution and dense layers, TFLite's reference numerics (SPEC.md section 4), any shape.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_fixed.h"
#include "ebnn_kernels.h"
#include "ebnn_params.h"

/* Where output (pixel, channel) lies. */
static uint32_t out_index(const ebnn_conv_s8_params_t *p, uint32_t pixel, uint32_t channel) {
    if (p->out_layout == EBNN_CHW) {
        const uint32_t pixels = (uint32_t)p->dims.out_h * p->dims.out_w;
        return channel * ((pixels + 3u) & ~3u) + pixel;
    }
    return pixel * p->dims.out_c + channel;
}

static void store(const ebnn_conv_s8_params_t *p, int8_t *out, uint32_t pixel, uint32_t channel,
                  int32_t acc) {
    const int32_t y = ebnn_requantize(acc, p->multiplier[channel], p->shift[channel]) + p->output_offset;
    out[out_index(p, pixel, channel)] = (int8_t)ebnn_clamp(y, p->act_min, p->act_max);
}

/* CHW planes are padded to whole words: the tail is 0. */
static void clear_tails(const ebnn_conv_s8_params_t *p, int8_t *out) {
    const uint32_t pixels = (uint32_t)p->dims.out_h * p->dims.out_w;
    if (p->out_layout != EBNN_CHW) {
        return;
    }
    for (uint32_t c = 0; c < p->dims.out_c; c++) {
        for (uint32_t i = pixels; i < ((pixels + 3u) & ~3u); i++) {
            out[c * ((pixels + 3u) & ~3u) + i] = 0;
        }
    }
}

/* in: s8 NHWC; out: s8 NHWC or CHW. */
ebnn_status_t ebnn_conv2d_s8__portable(const void *params, const ebnn_io_t *io) {
    const ebnn_conv_s8_params_t *p = params;
    const ebnn_conv_dims_t *d = &p->dims;
    const int8_t *in = io->in[0];
    int8_t *out = io->out;
    for (uint32_t oy = 0; oy < d->out_h; oy++) {
        for (uint32_t ox = 0; ox < d->out_w; ox++) {
            for (uint32_t oc = 0; oc < d->out_c; oc++) {
                const int8_t *w = p->weights + (size_t)oc * d->kernel_h * d->kernel_w * d->in_c;
                int32_t acc = p->bias[oc];
                for (uint32_t ky = 0; ky < d->kernel_h; ky++) {
                    const int32_t y = (int32_t)(oy * d->stride_h + ky * d->dilation_h) - d->pad_h;
                    for (uint32_t kx = 0; kx < d->kernel_w; kx++, w += d->in_c) {
                        const int32_t x = (int32_t)(ox * d->stride_w + kx * d->dilation_w) - d->pad_w;
                        if (y < 0 || y >= d->in_h || x < 0 || x >= d->in_w) {
                            continue;
                        }
                        const int8_t *a = in + ((uint32_t)y * d->in_w + (uint32_t)x) * d->in_c;
                        for (uint32_t c = 0; c < d->in_c; c++) {
                            acc += (a[c] + p->input_offset) * w[c];
                        }
                    }
                }
                store(p, out, oy * d->out_w + ox, oc, acc);
            }
        }
    }
    clear_tails(p, out);
    return EBNN_OK;
}

/* in: s8 NHWC; out: s8 NHWC or CHW; output channel oc reads input channel oc / (out_c / in_c). */
ebnn_status_t ebnn_depthwise_conv2d_s8__portable(const void *params, const ebnn_io_t *io) {
    const ebnn_conv_s8_params_t *p = params;
    const ebnn_conv_dims_t *d = &p->dims;
    const int8_t *in = io->in[0];
    int8_t *out = io->out;
    const uint32_t multiplier = (uint32_t)d->out_c / d->in_c;
    for (uint32_t oy = 0; oy < d->out_h; oy++) {
        for (uint32_t ox = 0; ox < d->out_w; ox++) {
            for (uint32_t oc = 0; oc < d->out_c; oc++) {
                int32_t acc = p->bias[oc];
                for (uint32_t ky = 0; ky < d->kernel_h; ky++) {
                    const int32_t y = (int32_t)(oy * d->stride_h + ky * d->dilation_h) - d->pad_h;
                    for (uint32_t kx = 0; kx < d->kernel_w; kx++) {
                        const int32_t x = (int32_t)(ox * d->stride_w + kx * d->dilation_w) - d->pad_w;
                        if (y < 0 || y >= d->in_h || x < 0 || x >= d->in_w) {
                            continue;
                        }
                        const uint32_t pixel = (uint32_t)y * d->in_w + (uint32_t)x;
                        const int32_t a = in[pixel * d->in_c + oc / multiplier] + p->input_offset;
                        acc += a * p->weights[(ky * d->kernel_w + kx) * d->out_c + oc];
                    }
                }
                store(p, out, oy * d->out_w + ox, oc, acc);
            }
        }
    }
    clear_tails(p, out);
    return EBNN_OK;
}
