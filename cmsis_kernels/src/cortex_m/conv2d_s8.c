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

/* Written out for the few bytes of a tap: library calls would cost more than the copy. */
static inline int8_t *copy_bytes(int8_t *to, const int8_t *from, uint32_t n) {
    for (; n >= 4u; n -= 4u, to += 4, from += 4) {
        ebnn_store32(to, ebnn_load32(from));
    }
    if ((n & 2u) != 0u) {
        *to++ = *from++;
        *to++ = *from++;
    }
    if ((n & 1u) != 0u) {
        *to++ = *from++;
    }
    return to;
}

static inline int8_t *fill_bytes(int8_t *to, int8_t value, uint32_t n) {
    const uint32_t word = (uint8_t)value * 0x01010101u;
    for (; n >= 4u; n -= 4u, to += 4) {
        ebnn_store32(to, word);
    }
    if ((n & 2u) != 0u) {
        *to++ = value;
        *to++ = value;
    }
    if ((n & 1u) != 0u) {
        *to++ = value;
    }
    return to;
}

/* One kernel row of the patch; x is the column of its first tap, row the image row or NULL outside the image.
 */
static int8_t *gather_row(const ebnn_conv_dims_t *d, const int8_t *row, int32_t x, int8_t padding_value,
                          int8_t *to) {
    const uint32_t c = d->in_c;
    if (row == NULL) {
        return fill_bytes(to, padding_value, d->kernel_w * c);
    }
    if (d->dilation_w == 1u && x >= 0 && x + d->kernel_w <= d->in_w) {
        return copy_bytes(to, row + x * (int32_t)c, d->kernel_w * c);
    }
    for (uint32_t kx = d->kernel_w; kx != 0u; kx--, x += d->dilation_w) {
        const int inside = x >= 0 && x < d->in_w;
        if (c == 1u) {
            *to++ = inside ? row[x] : padding_value;
        } else if (inside) {
            to = copy_bytes(to, row + x * (int32_t)c, c);
        } else {
            to = fill_bytes(to, padding_value, c);
        }
    }
    return to;
}

/* First image row and column of an output pixel's patch, and where that patch is one run of bytes inside the
 * image. */
typedef struct {
    int32_t y, x;
    const int8_t *run; /* NULL: not one run */
} patch_t;

static patch_t patch_at(const ebnn_conv_dims_t *d, const int8_t *in, uint32_t pixel) {
    patch_t r = {(int32_t)(pixel / d->out_w * d->stride_h) - d->pad_h,
                 (int32_t)(pixel % d->out_w * d->stride_w) - d->pad_w, NULL};
    const int inside = r.y >= 0 && r.x >= 0 && r.y + (d->kernel_h - 1) * d->dilation_h < d->in_h &&
                       r.x + (d->kernel_w - 1) * d->dilation_w < d->in_w;
    const int row_run = d->kernel_w == 1u || d->dilation_w == 1u;
    const int whole_rows = d->kernel_h == 1u || (d->kernel_w == d->in_w && d->dilation_h == 1u);
    if (inside && row_run && whole_rows) {
        r.run = in + (r.y * d->in_w + r.x) * d->in_c;
    }
    return r;
}

const int8_t *ebnn_s8_gather(const ebnn_conv_dims_t *d, const int8_t *in, uint32_t pixel,
                             int8_t padding_value, int8_t *column) {
    const patch_t patch = patch_at(d, in, pixel);
    if (patch.run != NULL) {
        return patch.run;
    }
    int8_t *to = column;
    int32_t y = patch.y;
    for (uint32_t ky = d->kernel_h; ky != 0u; ky--, y += d->dilation_h) {
        const int8_t *row = y < 0 || y >= d->in_h ? NULL : in + y * d->in_w * d->in_c;
        to = gather_row(d, row, patch.x, padding_value, to);
    }
    return column;
}

/* Widens n bytes to halves: steps (0, 2), (1, 3), ... of one pixel, TILE_PIXELS words apart; zeros after the
 * end. */
static inline uint32_t *widen(const int8_t *from, uint32_t n, uint32_t *x) {
    for (; n >= 4u; n -= 4u, from += 4, x += 2u * TILE_PIXELS) {
        const uint32_t v = ebnn_load32(from);
        x[0] = ebnn_sxtb16(v);
        x[TILE_PIXELS] = ebnn_sxtb16_ror8(v);
    }
    if (n != 0u) {
        uint32_t v = (uint8_t)from[0];
        if (n > 1u) {
            v |= (uint32_t)(uint8_t)from[1] << 8;
        }
        if (n > 2u) {
            v |= (uint32_t)(uint8_t)from[2] << 16;
        }
        x[0] = ebnn_sxtb16(v);
        x[TILE_PIXELS] = ebnn_sxtb16_ror8(v);
    }
    return x;
}

/* Widens the patch of one pixel; bytes is room for one patch. */
static void widen_patch(const ebnn_conv_dims_t *d, const int8_t *in, uint32_t pixel, int8_t padding_value,
                        int8_t *bytes, uint32_t *x) {
    const patch_t patch = patch_at(d, in, pixel);
    const uint32_t row_bytes = (uint32_t)d->kernel_w * d->in_c;
    const uint32_t k = d->kernel_h * row_bytes;
    if (patch.run != NULL) {
        widen(patch.run, k, x);
    } else if (d->dilation_w == 1u && row_bytes % 4u == 0u && patch.x >= 0 &&
               patch.x + d->kernel_w <= d->in_w) {
        const int32_t stride = d->in_w * d->in_c;
        const int8_t *row = in + patch.y * stride + patch.x * d->in_c;
        const uint32_t padding = ((uint32_t)(uint16_t)padding_value) * 0x10001u;
        int32_t y = patch.y;
        for (uint32_t ky = d->kernel_h; ky != 0u; ky--, y += d->dilation_h, row += d->dilation_h * stride) {
            const int inside = y >= 0 && y < d->in_h;
            const int8_t *from = row;
            uint32_t words = row_bytes / 4u;
            do {
                uint32_t v = 0;
                if (inside) {
                    v = ebnn_load32(from);
                    from += 4;
                }
                x[0] = inside ? ebnn_sxtb16(v) : padding;
                x[TILE_PIXELS] = inside ? ebnn_sxtb16_ror8(v) : padding;
                x += 2u * TILE_PIXELS;
            } while (--words != 0u);
        }
    } else {
        widen(ebnn_s8_gather(d, in, pixel, padding_value, bytes), k, x);
    }
}

/* Rows and columns that the kernel touches, padding included. */
static uint32_t touched_h(const ebnn_conv_dims_t *d) {
    return (d->out_h - 1u) * d->stride_h + (d->kernel_h - 1u) * d->dilation_h + 1u;
}

static uint32_t touched_w(const ebnn_conv_dims_t *d) {
    return (d->out_w - 1u) * d->stride_w + (d->kernel_w - 1u) * d->dilation_w + 1u;
}

/* Bytes of a padded copy of the input, 0 where none is made: it spares small inputs, such as the first
 * layer's single channel, the border cases of every patch. */
static uint32_t padded_copy_size(const ebnn_conv_dims_t *d) {
    const uint32_t h = touched_h(d);
    const uint32_t w = touched_w(d);
    const int padded = d->pad_h != 0u || d->pad_w != 0u || h > d->in_h || w > d->in_w;
    const uint32_t size = (h * w * d->in_c + 3u) & ~3u;
    return padded && d->pad_w < w && d->in_c < 4u && size <= 2048u ? size : 0u;
}

/* Copies the part of the input that the kernel touches, with padding; d becomes the copy's dims. */
static void pad_input(ebnn_conv_dims_t *d, const int8_t *in, int8_t padding_value, int8_t *to) {
    const uint32_t h = touched_h(d);
    const uint32_t w = touched_w(d);
    const uint32_t c = d->in_c;
    const uint32_t inside = w - d->pad_w < d->in_w ? w - d->pad_w : d->in_w;
    for (uint32_t y = 0; y < h; y++) {
        const uint32_t row = y - d->pad_h; /* wraps above the image */
        if (row >= d->in_h) {
            to = fill_bytes(to, padding_value, w * c);
            continue;
        }
        to = fill_bytes(to, padding_value, d->pad_w * c);
        to = copy_bytes(to, in + row * d->in_w * c, inside * c);
        to = fill_bytes(to, padding_value, (w - d->pad_w - inside) * c);
    }
    d->in_h = (uint16_t)h;
    d->in_w = (uint16_t)w;
    d->pad_h = 0;
    d->pad_w = 0;
}

uint32_t ebnn_conv2d_s8__cortex_m4_get_buffer_size(const void *params) {
    const ebnn_conv_s8_params_t *p = params;
    const uint32_t k = ebnn_s8_padded_k(&p->dims);
    return ((uint32_t)p->dims.out_c + 1u) / 2u * (uint32_t)sizeof(ebnn_s8_pair_t) + k * 2u * TILE_PIXELS + k +
           padded_copy_size(&p->dims);
}

/* in: s8 NHWC; out: s8 NHWC or CHW; weights and bias packed as ebnn_s8_core.h says. */
ebnn_status_t ebnn_conv2d_s8__cortex_m4(const void *params, const ebnn_io_t *io) {
    const ebnn_conv_s8_params_t *p = params;
    ebnn_conv_dims_t dims = p->dims;
    const ebnn_conv_dims_t *d = &dims;
    const int8_t *in = io->in[0];
    int8_t *out = io->out;
    ebnn_s8_pair_t *pairs = io->scratch;
    uint32_t *x = (uint32_t *)(void *)(pairs + (d->out_c + 1u) / 2u);
    uint32_t *x_end = x + ebnn_s8_padded_k(d) / 2u * TILE_PIXELS;
    int8_t *bytes = (int8_t *)x_end;
    const uint32_t k = (uint32_t)d->kernel_h * d->kernel_w * d->in_c;
    const uint32_t pixels = (uint32_t)d->out_h * d->out_w;
    const uint32_t step = ebnn_pixel_step(p);
    const int8_t padding_value = (int8_t)-p->input_offset;
    ebnn_s8_tile_t tile = {
        .weights = (const uint32_t *)(const void *)p->weights,
        .x = x,
        .x_end = x_end,
        .pairs = pairs,
        .out = out,
        .pixel_step = step,
        .channel_step = ebnn_channel_step(p),
        .channels = d->out_c,
    };
    uint32_t pixel = 0;
    ebnn_s8_pairs(p, pairs);
    if (padded_copy_size(d) != 0u) {
        int8_t *copy = bytes + ebnn_s8_padded_k(d);
        pad_input(&dims, in, padding_value, copy);
        in = copy;
    }
    for (; pixel + TILE_PIXELS <= pixels; pixel += TILE_PIXELS, tile.out += TILE_PIXELS * step) {
        for (uint32_t i = 0; i < TILE_PIXELS; i++) {
            widen_patch(d, in, pixel + i, padding_value, bytes, x + i);
        }
        ebnn_s8_tile(&tile);
    }
    for (; pixel < pixels; pixel++) {
        ebnn_s8_one_pixel(p, ebnn_s8_gather(d, in, pixel, padding_value, bytes), k, out + pixel * step);
    }
    ebnn_s8_finish(p, out);
    return EBNN_OK;
}
