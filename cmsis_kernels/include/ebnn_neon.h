/*
 * Parameter structs and scratch sizes of the NEON kernels (AArch64 and ARMv7) that are not on bit planes.
 * Same rules as ebnn_params.h: plain structs, parsed by cffi. Weights are packed offline
 * (edgebnn/plan/pack_neon.py).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_NEON_H
#define EBNN_NEON_H

#include "ebnn_params.h"

/* Low-bit convolution of b1 or u2..u4 EBNN_NHWC tensors by counting bits: vectors of 128 products, tiles of
 * pixels x 4 output channels. Output b1, u2..u4, s8 or s32, EBNN_NHWC. A row is what one plane of a pixel's
 * taps takes: kernel_h * kernel_w * ceil(in_c / 32) words, zeros outside the image and up to a multiple of 16
 * bytes. With D = sum over input bits b and weight planes of bits(input ^ sign, ternary: & nonzero) << (b +
 * s), s 1 for the first of two planes, else 0: acc = offset[kind of the pixel][c] + gain * D (b1: gain -2;
 * else 1), or with thresholds: bit = (D >= T) ^ flip. next_dtype: the s8 output is also quantised to out2, as
 * in ebnn_bconv_wide_params_t, EBNN_NHWC. */
typedef struct {
    ebnn_conv_dims_t dims;
    const uint8_t *weights;   /* [ceil(out_c / 4)][plane][row / 16][sign, (nonzero)][4][16] */
    const int32_t *threshold; /* [kind][out_c rounded up to 32]: T, INT32_MAX behind out_c; or NULL */
    const uint32_t *flip;     /* [ceil(out_c / 32)] bits, or NULL */
    const int32_t *offset;    /* [kind][out_c rounded up to 32], or NULL with thresholds */
    const uint8_t *kinds;     /* [out_h * out_w], or NULL: all 0 */
    const int16_t *next_mul;  /* [out_c] or NULL */
    const int32_t *next_add;  /* [out_c] or NULL */
    ebnn_epilogue_t epilogue; /* threshold is NULL: see above */
    int32_t gain;
    uint32_t row;          /* bytes */
    uint16_t block_pixels; /* gathered at a time, a multiple of 4 */
    uint8_t in_bits;       /* 1..4 */
    uint8_t weight_kind;   /* as in ebnn_bconv_params_t */
    uint8_t next_dtype, next_shift;
} ebnn_bconv_neon_params_t;

/* Low-bit weights and s8 activations, EBNN_NHWC to EBNN_NHWC (any epilogue, one output). Weights are 2-bit
 * numbers u: binary w = 2 u - 1, ternary w = u - 1, two-plane w = 2 u - 3. Rows of K products, filled up with
 * x = 0 to a multiple of 64, four output channels side by side: byte b of a block of 16 holds the products b,
 * b + 16, b + 32, b + 48 in bits 0-1, 2-3, 4-5, 6-7. acc = gain * sum(u * x) - minus * sum(x) + offset[c], x
 * as stored, the zero point outside. */
typedef struct {
    ebnn_conv_dims_t dims;
    const uint8_t *weights; /* [ceil(out_c / 4)][row / 64][4][16] */
    const int32_t *offset;  /* [out_c rounded up to 4]: zero point times the sum of the weights, negated */
    ebnn_epilogue_t epilogue;
    int32_t gain, minus;
    int32_t zero_point;
    uint32_t row; /* K rounded up to 64 */
} ebnn_bconv_s8_neon_params_t;

/* s8 convolution, dense and depthwise layers, numerics of ebnn_conv_s8_params_t; EBNN_NHWC to EBNN_NHWC or
 * EBNN_CHW. The input's zero point is part of the bias, so taps outside the image hold it. Weights lie in
 * [-127, 127]: two products then fit 16 bits. */
typedef struct {
    ebnn_conv_dims_t dims;
    const int8_t
        *weights;        /* conv: [ceil(out_c / 8)][row / 4][8][4]; depthwise: [kernel_h][kernel_w][out_c] */
    const int32_t *bias; /* [out_c rounded up to 8]: bias - zero point * sum of the weights */
    const int32_t *multiplier; /* [out_c rounded up to 8], Q31 */
    const int32_t *shift;      /* [out_c rounded up to 8], > 0 left, < 0 right */
    int32_t zero_point;        /* of the input */
    int32_t output_offset;     /* zero point of the output */
    int32_t act_min, act_max;
    uint32_t row; /* conv: K rounded up to 16 */
    uint8_t out_layout;
} ebnn_conv_s8_neon_params_t;

/* Bytes of io->scratch. */
uint32_t ebnn_bconv2d_wide__neon_get_buffer_size(const void *params);
uint32_t ebnn_bconv2d_dot__neon_get_buffer_size(const void *params);
uint32_t ebnn_bconv2d_s8__neon_get_buffer_size(const void *params);
uint32_t ebnn_conv2d_s8__neon_get_buffer_size(const void *params);
uint32_t ebnn_depthwise_conv2d_s8__neon_get_buffer_size(const void *params);

#endif
