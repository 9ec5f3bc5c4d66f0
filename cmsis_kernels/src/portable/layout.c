/*
 * Storage order conversions: bits NHWC <-> PLANES, s8 NHWC <-> CHW.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_kernels.h"
#include "ebnn_params.h"

static void layout_s8(const ebnn_layout_params_t *p, const int8_t *in, int8_t *out) {
    const uint32_t pixels = (uint32_t)p->h * p->w;
    const uint32_t stride = (pixels + 3u) & ~3u;
    for (uint32_t c = 0; c < p->c; c++) {
        for (uint32_t i = 0; i < stride; i++) {
            if (p->out_layout == EBNN_CHW) {
                out[c * stride + i] = i < pixels ? in[i * p->c + c] : 0;
            } else if (i < pixels) {
                out[i * p->c + c] = in[c * stride + i];
            }
        }
    }
}

static void layout_bits(const ebnn_layout_params_t *p, const uint32_t *in, uint32_t *out) {
    const uint32_t pixels = (uint32_t)p->h * p->w;
    const uint32_t channel_words = (p->c + 31u) / 32u;
    const uint32_t pixel_words = (pixels + 31u) / 32u;
    const int to_planes = p->out_layout == EBNN_PLANES;
    const uint32_t total = p->dtype * (to_planes ? p->c * pixel_words : pixels * channel_words);
    for (uint32_t i = 0; i < total; i++) {
        out[i] = 0;
    }
    for (uint32_t bit = 0; bit < p->dtype; bit++) {
        for (uint32_t pixel = 0; pixel < pixels; pixel++) {
            for (uint32_t c = 0; c < p->c; c++) {
                const uint32_t packed = (pixel * p->dtype + bit) * channel_words + c / 32u;
                const uint32_t planar = (bit * p->c + c) * pixel_words + pixel / 32u;
                if (to_planes) {
                    out[planar] |= ((in[packed] >> (c % 32u)) & 1u) << (pixel % 32u);
                } else {
                    out[packed] |= ((in[planar] >> (pixel % 32u)) & 1u) << (c % 32u);
                }
            }
        }
    }
}

ebnn_status_t ebnn_layout__portable(const void *params, const ebnn_io_t *io) {
    const ebnn_layout_params_t *p = params;
    if (p->dtype == EBNN_S8) {
        layout_s8(p, io->in[0], io->out);
    } else {
        layout_bits(p, io->in[0], io->out);
    }
    return EBNN_OK;
}
