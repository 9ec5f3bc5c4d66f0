/*
 * Max pool of bits on planes: +1 is bit 0, so the maximum of bits is their AND.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_kernels.h"

#include "../core/bits_stride.h"
#include "ebnn_planes.h"

uint32_t ebnn_max_pool2d_planes__portable_get_buffer_size(const void *params) {
    const ebnn_pool_params_t *p = params;
    return 4u * p->dims.in_c;
}

/* The windows of n outputs from (oy, ox) on, still at the input's pixels: best[channel]. */
static void and_window(const ebnn_conv_dims_t *d, const uint32_t *in, uint32_t oy, uint32_t ox,
                       uint32_t *best) {
    const int32_t words = ((int32_t)d->in_h * d->in_w + 31) / 32;
    for (uint32_t c = 0; c < d->in_c; c++) {
        best[c] = 0xFFFFFFFFu;
    }
    for (uint32_t ky = 0; ky < d->kernel_h; ky++) {
        const int32_t y = (int32_t)(oy * d->stride_h + ky * d->dilation_h) - d->pad_h;
        if (y < 0 || y >= (int32_t)d->in_h) {
            continue;
        }
        for (uint32_t kx = 0; kx < d->kernel_w; kx++) {
            const int32_t x = (int32_t)(ox * d->stride_w + kx * d->dilation_w) - d->pad_w;
            const ebnn_bits_piece_t piece = ebnn_bits_piece(y * d->in_w, x, d->in_w, words);
            const uint32_t *plane = in;
            for (uint32_t c = 0; c < d->in_c; c++, plane += words) {
                best[c] &= ebnn_bits_read(plane, &piece) | ~piece.mask;
            }
        }
    }
}

/* in, out: b1 PLANES. */
ebnn_status_t ebnn_max_pool2d_planes__portable(const void *params, const ebnn_io_t *io) {
    const ebnn_pool_params_t *p = params;
    const ebnn_conv_dims_t *d = &p->dims;
    const uint32_t words = ((uint32_t)d->out_h * d->out_w + 31u) / 32u;
    const uint32_t step = ebnn_bits_per_piece(d->stride_w);
    uint32_t *best = io->scratch;
    uint32_t *out = io->out;
    for (uint32_t i = 0; i < words * d->in_c; i++) {
        out[i] = 0;
    }
    for (uint32_t oy = 0; oy < d->out_h; oy++) {
        for (uint32_t ox = 0; ox < d->out_w; ox += step) {
            const uint32_t n = d->out_w - ox < step ? d->out_w - ox : step;
            const uint32_t at = oy * d->out_w + ox, shift = at % 32u;
            and_window(d, io->in[0], oy, ox, best);
            uint32_t *to = out + at / 32u;
            for (uint32_t c = 0; c < d->in_c; c++, to += words) {
                const uint32_t v = ebnn_bits_every(best[c], d->stride_w) & (0xFFFFFFFFu >> (32u - n));
                to[0] |= v << shift;
                if (shift + n > 32u) {
                    to[1] |= v >> (32u - shift);
                }
            }
        }
    }
    return EBNN_OK;
}
