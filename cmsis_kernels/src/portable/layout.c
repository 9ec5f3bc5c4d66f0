/*
 * Storage order conversions: bits between NHWC, PLANES and NIBBLES, s8 and s32 between NHWC and CHW.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_bits.h"
#include "ebnn_kernels.h"
#include "ebnn_params.h"

/* Values of type T between NHWC and CHW, whose channels are filled up to a multiple of 4 with zeros. */
#define LAYOUT(name, T)                                                                                      \
    static void name(const ebnn_layout_params_t *p, const T *in, T *out) {                                   \
        const uint32_t pixels = (uint32_t)p->h * p->w;                                                       \
        const uint32_t stride = (pixels + 3u) & ~3u;                                                         \
        for (uint32_t c = 0; c < p->c; c++) {                                                                \
            for (uint32_t i = 0; i < stride; i++) {                                                          \
                if (p->out_layout == EBNN_CHW) {                                                             \
                    out[c * stride + i] = i < pixels ? in[i * p->c + c] : 0;                                 \
                } else if (i < pixels) {                                                                     \
                    out[i * p->c + c] = in[c * stride + i];                                                  \
                }                                                                                            \
            }                                                                                                \
        }                                                                                                    \
    }
LAYOUT(layout_s8, int8_t)
LAYOUT(layout_s32, int32_t)

static void layout_bits(const ebnn_layout_params_t *p, const uint32_t *in, uint32_t *out) {
    const uint32_t pixels = (uint32_t)p->h * p->w;
    const uint32_t size = ebnn_bits_words(p->out_layout, p->dtype, pixels, p->c);
    for (uint32_t i = 0; i < size; i++) {
        out[i] = 0;
    }
    for (uint32_t bit = 0; bit < p->dtype; bit++) {
        for (uint32_t pixel = 0; pixel < pixels; pixel++) {
            for (uint32_t c = 0; c < p->c; c++) {
                const uint32_t from = ebnn_bit_index(p->in_layout, p->dtype, pixels, p->c, pixel, c, bit);
                const uint32_t to = ebnn_bit_index(p->out_layout, p->dtype, pixels, p->c, pixel, c, bit);
                out[to / 32u] |= ((in[from / 32u] >> (from % 32u)) & 1u) << (to % 32u);
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

/* in, out: s32 NHWC or CHW. */
ebnn_status_t ebnn_layout_s32__portable(const void *params, const ebnn_io_t *io) {
    layout_s32(params, io->in[0], io->out);
    return EBNN_OK;
}
