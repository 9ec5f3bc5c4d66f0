/*
 * Parameter structs of the kernels. This header is also the field table of the Python side: cffi parses it,
 * and both the emitter (C initialisers) and the host runtime (filled structs) walk the parsed fields. So:
 * plain typedef structs of integers, nested structs and pointers to const arrays, nothing else.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_PARAMS_H
#define EBNN_PARAMS_H

#include "ebnn.h"

/* Geometry shared by convolutions and pools. out = floor((in + pad_before + pad_after - dilated kernel) /
 * stride)
 * + 1; only the padding before is stored, the padding after follows from out_h and out_w. Dense layers are
 * 1x1. */
typedef struct {
    uint16_t in_h, in_w, in_c;
    uint16_t out_h, out_w, out_c;
    uint16_t kernel_h, kernel_w;
    uint16_t stride_h, stride_w;
    uint16_t pad_h, pad_w; /* top, left */
    uint16_t dilation_h, dilation_w;
} ebnn_conv_dims_t;

/* s8 convolution, depthwise convolution (out_c = in_c * multiplier) and dense, numerics of TFLite's
 * reference: acc = bias + sum (x + input_offset) * w; y = clamp(requantize(acc) + output_offset, act_min,
 * act_max). */
typedef struct {
    ebnn_conv_dims_t dims;
    const int8_t
        *weights;        /* conv: [out_c][kernel_h][kernel_w][in_c]; depthwise: [kernel_h][kernel_w][out_c] */
    const int32_t *bias; /* [out_c] */
    const int32_t *multiplier; /* [out_c], Q31 */
    const int8_t *shift;       /* [out_c], > 0 left, < 0 right */
    int32_t input_offset;      /* -zero_point of the input */
    int32_t output_offset;     /* zero_point of the output */
    int32_t act_min, act_max;
    uint8_t out_layout; /* EBNN_NHWC or EBNN_CHW */
} ebnn_conv_s8_params_t;

/* How a low-bit accumulator becomes an output; SPEC.md section 5.
 * t = acc * mul[c] + add[c]; with combine: u = acc * mul2[c] + add2[c], t = max(t, u) or min(t, u);
 * y = (t >> shift) + residual; s8: clamp(y, act_min, act_max); b1: bit = (t < 0). */
typedef struct {
    const int16_t *mul;       /* [out_c] */
    const int32_t *add;       /* [out_c], rounding included */
    const int16_t *mul2;      /* [out_c] or NULL */
    const int32_t *add2;      /* [out_c] or NULL */
    const int32_t *threshold; /* [out_c], out b1: bit = (acc < threshold[c]); replaces mul/add */
    uint8_t combine;          /* 0 none, 1 max, 2 min */
    uint8_t shift;
    uint8_t out_dtype; /* EBNN_B1, EBNN_U2..EBNN_U4 or EBNN_S8 (clamped to act_min..act_max), EBNN_S32 (acc as
                          it is) */
    uint8_t residual;  /* 1: in[1] is an s8 tensor of the output's shape, added before the clamp */
    int32_t act_min, act_max;
} ebnn_epilogue_t;

/* Low-bit convolution or dense, channel-packed (EBNN_NHWC) input and output, weights as sign planes. */
typedef struct {
    ebnn_conv_dims_t dims;
    const uint32_t *weights; /* [out_c][plane][kernel_h][kernel_w][ceil(in_c/32)], padding bits 0 */
    uint8_t weight_kind;     /* 1 binary (1 plane: sign); 2 ternary (2 planes: nonzero, sign);
                                3 two-plane (2 planes: sign of 2, sign of 1: w = +-2 +-1) */
    uint8_t in_dtype;        /* EBNN_B1, EBNN_U2..EBNN_U4 or EBNN_S8 (s8 input: [H][W][C] bytes) */
    uint8_t pad_one;         /* b1 input: 1 pads with +1, 0 leaves padded taps out (exact zero padding) */
    int32_t input_offset;    /* s8 input: -zero_point */
    ebnn_epilogue_t epilogue;
} ebnn_bconv_params_t;

/* s8 -> b1, u2..u4 or s8: t = x * mul[c] + add[c]; b1: bit = (t < 0); else q = clamp(t >> shift) to the type.
 */
typedef struct {
    uint16_t h, w, c;
    const int16_t *mul; /* [c] */
    const int32_t *add; /* [c], rounding included */
    uint8_t shift;
    uint8_t out_dtype;
    uint8_t in_layout;  /* EBNN_NHWC or EBNN_CHW */
    uint8_t out_layout; /* any layout of bits; s8: as in_layout */
} ebnn_quantize_params_t;

/* Changes the storage order: bits between NHWC, PLANES and NIBBLES, s8 and
 * s32 between NHWC and CHW. */
typedef struct {
    uint16_t h, w, c;
    uint8_t dtype;
    uint8_t in_layout, out_layout;
} ebnn_layout_params_t;

/* s8 + s8 -> s8, numerics of TFLite's ADD (left shift 20). */
typedef struct {
    uint32_t n; /* elements */
    int32_t input1_offset, input1_multiplier, input1_shift;
    int32_t input2_offset, input2_multiplier, input2_shift;
    int32_t output_offset, output_multiplier, output_shift;
    int32_t act_min, act_max;
} ebnn_add_s8_params_t;

/* Pools. max: s8, b1 or uk (kept). average: s8, TFLite's AVERAGE_POOL_2D (rounds half away from zero, counts
 * real pixels only). mean: global average over H and W with requantisation (TFLite's MEAN). */
typedef struct {
    ebnn_conv_dims_t dims;
    uint8_t dtype;
    uint8_t in_layout;                   /* EBNN_NHWC or EBNN_CHW */
    int32_t input_offset, output_offset; /* mean: -zero_point in, zero_point out */
    int32_t multiplier, shift;           /* mean: in scale / (H * W * out scale) */
    int32_t act_min, act_max;
} ebnn_pool_params_t;

/* s8 softmax over the last axis, numerics of TFLite's reference; output scale 1/256, zero point -128. */
typedef struct {
    uint32_t rows, depth;
    int32_t input_multiplier, input_left_shift, diff_min;
} ebnn_softmax_s8_params_t;

#endif
