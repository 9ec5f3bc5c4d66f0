/*
 * s8 convolution for cores with the DSP extension: any kernel, stride, dilation and padding, one group. Four
 * pixels are gathered and widened to 16 bits in scratch, then every pair of output channels runs over them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_acle.h"
#include "ebnn_kernels.h"
#include "ebnn_requant.h"
#include "ebnn_s8.h"
#include "ebnn_s8_core.h"

#define TILE_PIXELS 4u

/* n bytes of `from`, which advances by `step` words a word: 1, or 0 to repeat a word. A library call would
 * cost more than the few bytes of a tap. */
static inline int8_t *put(int8_t *to, const int8_t *from, uint32_t step, uint32_t n) {
    const int8_t *end = to + (n & ~3u);
    for (; to != end; to += 4, from += 4u * step) {
        ebnn_store32(to, ebnn_load32(from));
    }
    for (n &= 3u; n != 0u; n--, from += step) {
        *to++ = *from;
    }
    return to;
}

/* A patch with taps left or right of the image, or not neighbours in the input: tap by tap. */
static void gather_taps(const ebnn_conv_dims_t *d, const int8_t *in, int32_t y, int32_t x0,
                        const int8_t *padding, int8_t *to) {
    const uint32_t c = d->in_c;
    const uint32_t width = d->in_w;
    const uint32_t right = d->dilation_w;
    for (uint32_t ky = d->kernel_h; ky != 0u; ky--, y += d->dilation_h) {
        const uint32_t columns = y >= 0 && y < d->in_h ? width : 0u;
        uint32_t x = (uint32_t)x0;
        for (uint32_t kx = d->kernel_w; kx != 0u; kx--, x += right) {
            const int8_t *from = x < columns ? in + ((uint32_t)y * width + x) * c : padding;
            if (c == 1u) {
                *to++ = *from;
            } else {
                to = put(to, from, x < columns ? 1u : 0u, c);
            }
        }
    }
}

const int8_t *ebnn_s8_gather(const ebnn_conv_dims_t *d, const int8_t *in, uint32_t pixel,
                             int8_t padding_value, int8_t *column) {
    const uint32_t padding = (uint8_t)padding_value * 0x01010101u;
    const int32_t x = (int32_t)(pixel % d->out_w * d->stride_w) - d->pad_w;
    int32_t y = (int32_t)(pixel / d->out_w * d->stride_h) - d->pad_h;
    if (x < 0 || x + d->kernel_w > d->in_w || (d->dilation_w != 1u && d->kernel_w != 1u)) {
        gather_taps(d, in, y, x, (const int8_t *)&padding, column);
        return column;
    }
    const uint32_t bytes = (uint32_t)d->kernel_w * d->in_c; /* of a row, which is one run */
    const int32_t height = d->in_h;
    const int32_t down = d->dilation_h;
    const int32_t step = down * d->in_w * d->in_c;
    int32_t from = (y * d->in_w + x) * d->in_c;
    uint32_t rows = d->kernel_h;
    if (rows == 1u && bytes % 4u == 0u && y >= 0 && y < height) {
        return in + from;
    }
    for (int8_t *to = column; rows != 0u; rows--, y += down, from += step) {
        const int inside = y >= 0 && y < height;
        to = put(to, inside ? in + from : (const int8_t *)&padding, inside ? 1u : 0u, bytes);
    }
    return column;
}

/* Widens n words of bytes to halves: steps (0, 2), (1, 3), ... of one pixel, TILE_PIXELS words apart. */
static inline void widen(const int8_t *from, uint32_t n, uint32_t *x) {
    for (; n != 0u; n--, from += 4, x += 2u * TILE_PIXELS) {
        const uint32_t v = ebnn_load32(from);
        x[0] = ebnn_sxtb16(v);
        x[TILE_PIXELS] = ebnn_sxtb16_ror8(v);
    }
}

EBNN_COLD uint32_t ebnn_conv2d_s8__cortex_m4_get_buffer_size(const void *params) {
    const ebnn_conv_s8_params_t *p = params;
    return ((uint32_t)p->dims.out_c + 1u) / 2u * (uint32_t)sizeof(ebnn_s8_pair_t) +
           ebnn_s8_padded_k(&p->dims) * (2u * TILE_PIXELS + 1u);
}

/* in: s8 NHWC; out: s8 CHW, or NHWC of at least TILE_PIXELS pixels; weights and bias packed as ebnn_s8_core.h
 * says. */
EBNN_COLD ebnn_status_t ebnn_conv2d_s8__cortex_m4(const void *params, const ebnn_io_t *io) {
    const ebnn_conv_s8_params_t *p = params;
    const ebnn_conv_dims_t *d = &p->dims;
    const uint32_t k = ebnn_s8_padded_k(d);
    const uint32_t pixels = (uint32_t)d->out_h * d->out_w;
    const uint32_t step = ebnn_pixel_step(p);
    ebnn_s8_pair_t *pairs = io->scratch;
    uint32_t *x = (uint32_t *)(void *)(pairs + (d->out_c + 1u) / 2u);
    uint32_t *x_end = x + k / 2u * TILE_PIXELS;
    int8_t *bytes = (int8_t *)x_end; /* behind the patch up to 3 of any value, which meet zero weights */
    ebnn_s8_tile_t tile = {
        .weights = (const uint32_t *)(const void *)p->weights,
        .x = x,
        .x_end = x_end,
        .pairs = pairs,
        .pixel_step = step,
        .channel_step = ebnn_channel_step(p),
        .channels = d->out_c,
    };
    if (pixels < TILE_PIXELS && p->out_layout != EBNN_CHW) {
        return EBNN_ERR_ARGUMENT;
    }
    ebnn_s8_pairs(p, pairs);
    for (uint32_t pixel = 0; pixel < pixels; pixel += TILE_PIXELS) {
        if (pixels - pixel < TILE_PIXELS && p->out_layout != EBNN_CHW) {
            pixel = pixels - TILE_PIXELS; /* some pixels once more; rows of CHW have room behind the last */
        }
        for (uint32_t i = 0; i < TILE_PIXELS && pixel + i < pixels; i++) {
            const int8_t *column = ebnn_s8_gather(d, io->in[0], pixel + i, (int8_t)-p->input_offset, bytes);
            widen(column, k / 4u, x + i);
        }
        tile.out = (int8_t *)io->out + pixel * step;
        ebnn_s8_tile(&tile);
    }
    ebnn_s8_finish(p, io->out);
    return EBNN_OK;
}
