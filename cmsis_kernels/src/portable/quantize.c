/*
 * s8 -> b1, u2..u4 or s8 through a per-channel affine map (SPEC.md section 6), any layouts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_bits.h"
#include "ebnn_fixed.h"
#include "ebnn_kernels.h"
#include "ebnn_params.h"

static uint32_t code(const ebnn_quantize_params_t *p, int8_t x, uint32_t c) {
    const int32_t t = x * p->mul[c] + p->add[c];
    if (p->out_dtype == EBNN_B1) {
        return t < 0 ? 1u : 0u;
    }
    return (uint32_t)ebnn_clamp(t >> p->shift, 0, (1 << p->out_dtype) - 1);
}

static void quantize_s8(const ebnn_quantize_params_t *p, const int8_t *in, int8_t *out) {
    const uint32_t pixels = (uint32_t)p->h * p->w;
    const uint32_t stride = (pixels + 3u) & ~3u;
    const uint32_t outer = p->in_layout == EBNN_CHW ? p->c : pixels;
    const uint32_t inner = p->in_layout == EBNN_CHW ? stride : p->c;
    for (uint32_t o = 0; o < outer; o++) {
        for (uint32_t i = 0; i < inner; i++) {
            const uint32_t c = p->in_layout == EBNN_CHW ? o : i;
            const int32_t t = in[o * inner + i] * p->mul[c] + p->add[c];
            const int tail = p->in_layout == EBNN_CHW && i >= pixels;
            out[o * inner + i] = tail ? 0 : (int8_t)ebnn_clamp(t >> p->shift, INT8_MIN, INT8_MAX);
        }
    }
}

/* in: s8 NHWC or CHW; out: bits in any layout, or s8 in the input's layout. */
ebnn_status_t ebnn_quantize__portable(const void *params, const ebnn_io_t *io) {
    const ebnn_quantize_params_t *p = params;
    const int8_t *in = io->in[0];
    uint32_t *out = io->out;
    const uint32_t pixels = (uint32_t)p->h * p->w;
    const uint32_t stride = (pixels + 3u) & ~3u;
    if (p->out_dtype == EBNN_S8) {
        quantize_s8(p, in, io->out);
        return EBNN_OK;
    }
    const uint32_t size = ebnn_bits_words(p->out_layout, p->out_dtype, pixels, p->c);
    for (uint32_t i = 0; i < size; i++) {
        out[i] = 0;
    }
    for (uint32_t pixel = 0; pixel < pixels; pixel++) {
        for (uint32_t c = 0; c < p->c; c++) {
            const int8_t x = in[p->in_layout == EBNN_CHW ? c * stride + pixel : pixel * p->c + c];
            const uint32_t q = code(p, x, c);
            for (uint32_t bit = 0; bit < p->out_dtype; bit++) {
                const uint32_t at = ebnn_bit_index(p->out_layout, p->out_dtype, pixels, p->c, pixel, c, bit);
                out[at / 32u] |= ((q >> bit) & 1u) << (at % 32u);
            }
        }
    }
    return EBNN_OK;
}
