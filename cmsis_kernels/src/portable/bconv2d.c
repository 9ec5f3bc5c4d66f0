/*
 * Low-bit convolution and dense layers, any shape, channel-packed (NHWC) tensors: the readable reference in
 * C.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_epilogue.h"
#include "ebnn_kernels.h"

enum { BINARY = 1, TERNARY = 2, TWO_PLANE = 3 };

/* sum of sign(w) * x over the words of one tap; x: bits of a b1 activation (1 = -1), NULL for an all +1 pad.
 */
static int32_t dot_b1(const uint32_t *x, const uint32_t *sign, const uint32_t *mask, uint32_t channels) {
    const uint32_t words = (channels + 31u) / 32u;
    int32_t count = 0;
    int32_t negative = 0;
    for (uint32_t i = 0; i < words; i++) {
        const uint32_t product = (x == NULL ? 0u : x[i]) ^ sign[i];
        if (mask != NULL) {
            count += ebnn_popcount(mask[i]);
            negative += ebnn_popcount(product & mask[i]);
        } else {
            negative += ebnn_popcount(product);
        }
    }
    return (mask == NULL ? (int32_t)channels : count) - 2 * negative;
}

/* the same for one {0, 1} plane of an unsigned activation */
static int32_t dot_u(const uint32_t *x, const uint32_t *sign, const uint32_t *mask, uint32_t words) {
    int32_t sum = 0;
    for (uint32_t i = 0; i < words; i++) {
        const uint32_t live = mask != NULL ? x[i] & mask[i] : x[i];
        sum += ebnn_popcount(live) - 2 * ebnn_popcount(live & sign[i]);
    }
    return sum;
}

static int32_t dot_s8(const int8_t *x, const uint32_t *sign, const uint32_t *mask, uint32_t channels,
                      int32_t offset) {
    int32_t sum = 0;
    for (uint32_t c = 0; c < channels; c++) {
        if (mask != NULL && ((mask[c / 32u] >> (c % 32u)) & 1u) == 0u) {
            continue;
        }
        const int32_t v = x[c] + offset;
        sum += ((sign[c / 32u] >> (c % 32u)) & 1u) != 0u ? -v : v;
    }
    return sum;
}

/* One weight plane against one tap of the input, NULL for a tap outside the image with +1 padding. */
static int32_t dot(const ebnn_bconv_params_t *p, const void *x, const uint32_t *sign, const uint32_t *mask) {
    const uint32_t channels = p->dims.in_c;
    const uint32_t words = (channels + 31u) / 32u;
    if (p->in_dtype == EBNN_S8) {
        return dot_s8(x, sign, mask, channels, p->input_offset);
    }
    if (p->in_dtype == EBNN_B1) {
        return dot_b1(x, sign, mask, channels);
    }
    int32_t sum = 0;
    for (uint32_t bit = 0; bit < p->in_dtype; bit++) {
        sum += dot_u((const uint32_t *)x + bit * words, sign, mask, words) * (int32_t)(1u << bit);
    }
    return sum;
}

static int32_t accumulate(const ebnn_bconv_params_t *p, const uint8_t *in, uint32_t oy, uint32_t ox,
                          uint32_t oc) {
    const ebnn_conv_dims_t *d = &p->dims;
    const uint32_t words = (d->in_c + 31u) / 32u;
    const uint32_t plane = words * d->kernel_h * d->kernel_w;
    const uint32_t pixel_bytes = p->in_dtype == EBNN_S8 ? d->in_c : 4u * words * p->in_dtype;
    const uint32_t *w = p->weights + (size_t)oc * plane * (p->weight_kind == BINARY ? 1u : 2u);
    int32_t acc = 0;
    for (uint32_t ky = 0; ky < d->kernel_h; ky++) {
        const int32_t y = (int32_t)(oy * d->stride_h + ky * d->dilation_h) - d->pad_h;
        for (uint32_t kx = 0; kx < d->kernel_w; kx++, w += words) {
            const int32_t x = (int32_t)(ox * d->stride_w + kx * d->dilation_w) - d->pad_w;
            const uint8_t *tap = NULL;
            if (y >= 0 && y < d->in_h && x >= 0 && x < d->in_w) {
                tap = in + ((size_t)(uint32_t)y * d->in_w + (uint32_t)x) * pixel_bytes;
            } else if (p->pad_one == 0u || p->in_dtype != EBNN_B1) {
                continue;
            }
            if (p->weight_kind == BINARY) {
                acc += dot(p, tap, w, NULL);
            } else if (p->weight_kind == TERNARY) {
                acc += dot(p, tap, w + plane, w);
            } else {
                acc += 2 * dot(p, tap, w, NULL) + dot(p, tap, w + plane, NULL);
            }
        }
    }
    return acc;
}

/* The bits of one output channel into the planes of one pixel (already cleared). */
static void store_bits(uint32_t *pixel, uint32_t code, uint32_t bits, uint32_t words, uint32_t oc) {
    for (uint32_t bit = 0; bit < bits; bit++) {
        pixel[bit * words + oc / 32u] |= ((code >> bit) & 1u) << (oc % 32u);
    }
}

/* in: b1, u2..u4 or s8 NHWC; in[1]: s8 NHWC residual or NULL; out: b1, u2..u4, s8 or s32 NHWC. */
ebnn_status_t ebnn_bconv2d__portable(const void *params, const ebnn_io_t *io) {
    const ebnn_bconv_params_t *p = params;
    const ebnn_conv_dims_t *d = &p->dims;
    const ebnn_epilogue_t *e = &p->epilogue;
    const int8_t *residual = io->in[1];
    for (uint32_t pixel = 0; pixel < (uint32_t)d->out_h * d->out_w; pixel++) {
        const uint32_t oy = pixel / d->out_w;
        const uint32_t ox = pixel % d->out_w;
        const uint32_t words = ((uint32_t)d->out_c + 31u) / 32u;
        uint32_t *bits = (uint32_t *)io->out + (size_t)pixel * words * e->out_dtype;
        for (uint32_t i = 0; e->out_dtype <= EBNN_U4 && i < words * e->out_dtype; i++) {
            bits[i] = 0;
        }
        for (uint32_t oc = 0; oc < d->out_c; oc++) {
            const int32_t acc = accumulate(p, io->in[0], oy, ox, oc);
            const size_t index = (size_t)pixel * d->out_c + oc;
            if (e->out_dtype == EBNN_B1) {
                store_bits(bits, ebnn_epilogue_bit(e, acc, oc), 1, words, oc);
            } else if (e->out_dtype == EBNN_S32) {
                ((int32_t *)io->out)[index] = acc;
            } else {
                const int32_t y = ebnn_epilogue_code(e, acc, oc, e->residual != 0u ? residual[index] : 0);
                if (e->out_dtype == EBNN_S8) {
                    ((int8_t *)io->out)[index] = (int8_t)y;
                } else {
                    store_bits(bits, (uint32_t)y, e->out_dtype, words, oc);
                }
            }
        }
    }
    return EBNN_OK;
}
