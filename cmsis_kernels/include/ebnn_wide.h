/*
 * Parameter structs and scratch sizes of the kernels for 64-bit processors and SIMD lanes (x86, AArch64,
 * ARMv7 NEON). Same rules as ebnn_params.h: plain structs, parsed by cffi. Weights are packed offline
 * (edgebnn/plan/pack_wide.py).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_WIDE_H
#define EBNN_WIDE_H

#include "ebnn_params.h"

/* Low-bit convolution on bit planes, one lane of LANE bits = LANE output pixels. Input b1 or u2..u4,
 * EBNN_PLANES. Output b1 or u2..u4 EBNN_PLANES, or s8 / s32 in out_layout.
 *
 * Element k = tap * in_c + channel. Output channels are taken four at a time (a group); the signs of their
 * weights put each k in one of 8 signed classes (ebnn_planes.h says how; ternary and two-plane weights are
 * pairs of signs, so a group is two channels). A group's lists hold, for each class, its negative and then
 * its positive elements, each list filled up to a multiple of 8 with the zero plane. An entry is a byte
 * offset into a block of planes, in units of EBNN_LANE_UNIT bytes: 0 is the zero plane, 1 + k lanes on the
 * plane of k; on lanes with EBNN_WIDE_PAIRS twice as far for u2..u4, whose planes lie in pairs
 * (core/wide_fill.h). With D = sum of w * code over taps inside the image: acc = offset[border][c] + gain * D
 * (b1: code = bit, gain -2, offset = sum of the weights; else gain 1) border 0 holds for every pixel that no
 * mask names; exact zero padding of b1 gives each kind of border an offset. Output as in ebnn_epilogue_t,
 * except that a b1 output with thresholds is bit = (D >= T) ^ flip[c], T given as masks. next_dtype: the s8
 * output is also quantised to out2, q = clamp((y * next_mul[c] + next_add[c]) >> next_shift), b1 (t < 0) or
 * u2..u4, EBNN_PLANES; 0: no second output. */
typedef struct {
    ebnn_conv_dims_t dims;
    const uint16_t *lists;     /* of all groups, one after another */
    const uint16_t *batches;   /* [group][class][negative, positive]: runs of 8 entries; `classes` of them */
    const uint8_t *widths;     /* [group]: bits of a signed class sum: 4..10, 12, 14 or 18 */
    const uint32_t *threshold; /* [border][out_c][threshold_bits], 0 or ~0: the complement of T's bits, the
                                  sign as it is; or NULL */
    const uint32_t *flip;      /* [out_c]: 0 or ~0, or NULL */
    const int32_t *offset;     /* [border][out_c], or NULL with thresholds */
    const uint32_t
        *border_masks; /* [entry][LANE / 32]: the pixels of a block that have border border_ids[entry] */
    const uint8_t *border_ids;     /* [entry] */
    const uint16_t *border_starts; /* [blocks + 1]: first entry of each block; NULL: no borders */
    const int16_t *next_mul;       /* [out_c] or NULL */
    const int32_t *next_add;       /* [out_c] or NULL */
    ebnn_epilogue_t epilogue;      /* threshold is NULL: see above */
    int32_t gain;
    uint16_t groups;
    uint8_t threshold_bits;
    uint8_t in_bits;     /* 1..4 */
    uint8_t weight_kind; /* as in ebnn_bconv_params_t */
    uint8_t out_layout;  /* of s8 and s32: EBNN_NHWC or EBNN_CHW; the residual's too */
    uint8_t next_dtype, next_shift;
    uint8_t lane_bytes; /* that the lists were packed for */
    uint8_t classes; /* 8; on lanes with EBNN_WIDE_TERNARY also groups of ternary channels as they are: 4 for
                        a, b, weights +-(a, b) in class 3 a + b - 1, widths 4..8; 13 for a, b, c, +-(a, b, c)
                        in class 9 a + 3 b + c - 1, widths 6..10 and 12 */
} ebnn_bconv_wide_params_t;

/* Binary or ternary convolution of b1 or u2..u4 EBNN_NHWC tensors by counting: lanes of 32 bits are output
 * channels, the words of a pixel's taps are broadcast. For maps with few pixels and dense layers. Output b1
 * or u2..u4 EBNN_NHWC, or s8 / s32 EBNN_NHWC. With count = sum over the input's bits b of 2^b * the bits of
 * (plane b ^ sign) (ternary: & nonzero) over all taps, those outside the image as 0 bits: acc = offset[kind
 * of the pixel][c] + gain * count (b1: gain -2; else gain 1, offset the negative weights' sum times the
 * largest code);  b1 with thresholds: bit = (count >= T) ^ flip. */
typedef struct {
    ebnn_conv_dims_t dims;
    const uint32_t *weights;  /* [out_c / lanes][kernel_h][kernel_w][ceil(in_c/32)][sign, (nonzero)][lanes] */
    const int32_t *threshold; /* [kind][out_c rounded up to 32]: T, or NULL */
    const uint32_t *flip;     /* [ceil(out_c/32)] bits, or NULL */
    const int32_t *offset;    /* [kind][out_c rounded up to 32], or NULL with thresholds */
    const uint8_t *kinds;     /* [out_h * out_w], or NULL: all 0 */
    const int16_t *next_mul;  /* [out_c] of a b1 EBNN_NHWC second output of an s8 one, or NULL */
    const int32_t *next_add;  /* [out_c] or NULL */
    ebnn_epilogue_t epilogue; /* threshold is NULL: see above */
    uint16_t block_pixels;    /* gathered at a time */
    uint8_t weight_kind;      /* 1 binary, 2 ternary */
    uint8_t lanes;   /* that the weights were packed for; 32: the lookup kernel, half bytes for words */
    uint8_t in_bits; /* 1..4 */
    int8_t gain;
} ebnn_bconv_dot_params_t;

/* The same layers, b1 and u2, by weight rows, a lane of output channels wide: for maps with few pixels and
 * many channels. layer: as above, but weights are rows of bits for a lane's channels, K = 32 * words of a
 * pixel's taps: [vector][1 + K][planes], a row of zeros and then one for each input: binary its negative
 * weights, ternary its positive ones and in a second plane its negative ones. With T = sum of 2^b * the rows,
 * the negative ones subtracted, of the inputs whose bit b is 1, and n the sum of the input's codes: acc =
 * offset[kind][c] + gain * (n - 2 T), or, ternary, gain * T. (Where fewer inputs have a 0, their rows are
 * taken from the sum of all.) Outputs by thresholds: level[i] = (start + steps[0..i - 1] + T >= least +
 * floor(n / 2), or, ternary, least) ^ flip; b1 is level[0], u2 the number of its three levels that are 1. */
typedef struct {
    ebnn_bconv_dot_params_t layer; /* threshold is NULL; flip has as many bits as the vectors have lanes */
    const uint32_t *start;         /* [bits summed by their 0 inputs][odd n, of binary][kinds][vector][width]
                                      [lane / 32]: with the sum of all rows of such bits; without levels `least`
                                      too if ternary */
    const uint32_t *steps;         /* [levels - 1][odd n, of binary][kinds][vector][width][lane / 32] */
    uint32_t least;
    uint16_t kinds;
    uint8_t levels;     /* 0: the output is not by thresholds; 1: b1; 3: u2 */
    uint8_t width;      /* bits of a sum: 8, 10, 12, 14 or 16 */
    uint8_t lane_bytes; /* that the rows were packed for */
} ebnn_bconv_rows_params_t;

/* Low-bit weights and s8 activations, EBNN_NHWC to EBNN_NHWC (any epilogue, one output). Weights are 2-bit
 * numbers u: binary w = 2 u - 1, ternary w = u - 1, two-plane w = 2 u - 3. Rows of K products, filled up with
 * x = 0 to a multiple of 128, four output channels side by side: byte b of a block of 32 holds the products
 * b, b + 32, b + 64, b + 96 in bits 0-1, 2-3, 4-5, 6-7. acc = gain * sum(u * x) - minus * sum(x) + offset[c],
 * x as stored, the zero point outside. */
typedef struct {
    ebnn_conv_dims_t dims;
    const uint8_t *weights; /* [ceil(out_c / 4)][row / 128][4][32] */
    const int32_t *offset;  /* [out_c]: zero point times the sum of the weights, negated */
    ebnn_epilogue_t epilogue;
    int32_t gain, minus;
    int32_t zero_point;
    uint32_t row; /* K rounded up to 128 */
} ebnn_bconv_s8_wide_params_t;

/* s8 convolution and dense, numerics of ebnn_conv_s8_params_t with multipliers of at least 0. A lane is an
 * output channel; `step` products go to a lane at a time: 2 of 16 bits, or 4 of 8 bits with activations taken
 * as x + 128. Channels are filled up to whole pairs of lanes, the products of
 * a kernel row with zeros to whole steps. */
typedef struct {
    ebnn_conv_dims_t dims;
    const int8_t *weights;     /* [pairs][row / step][2][lanes][step], s16 where step is 2 */
    const int32_t *bias;       /* [pairs * 2 * lanes]: with the zero point's (and 128's) share of the sum */
    const int32_t *multiplier; /* the same, Q31 */
    const int8_t *shift;       /* the same, > 0 left, < 0 right */
    int32_t input_offset;      /* -zero_point of the input */
    int32_t output_offset;     /* zero_point of the output */
    int32_t act_min, act_max;
    uint32_t row;       /* products of an output, each kernel row's filled up to whole steps */
    uint8_t out_layout; /* EBNN_NHWC or EBNN_CHW */
    uint8_t lanes, step;
} ebnn_conv_s8_wide_params_t;

/* Bytes of io->scratch. */
uint32_t ebnn_bconv2d_wide__word64_get_buffer_size(const void *params);
uint32_t ebnn_bconv2d_wide__avx2_get_buffer_size(const void *params);
uint32_t ebnn_bconv2d_wide__avx512_get_buffer_size(const void *params);
uint32_t ebnn_bconv2d_dot__avx2_get_buffer_size(const void *params);
uint32_t ebnn_bconv2d_dot__avx512_get_buffer_size(const void *params);
uint32_t ebnn_bconv2d_dot__avx512_icl_get_buffer_size(const void *params);
uint32_t ebnn_bconv2d_lut__avx2_get_buffer_size(const void *params);
uint32_t ebnn_bconv2d_rows__avx2_get_buffer_size(const void *params);
uint32_t ebnn_bconv2d_rows__avx512_get_buffer_size(const void *params);
uint32_t ebnn_bconv2d_s8_wide__avx2_get_buffer_size(const void *params);
uint32_t ebnn_conv2d_s8_wide__avx2_get_buffer_size(const void *params);
uint32_t ebnn_depthwise_conv2d_s8_wide__avx2_get_buffer_size(const void *params);
uint32_t ebnn_conv2d_s8_wide__avx512_get_buffer_size(const void *params);
uint32_t ebnn_conv2d_s8_wide__avx512_icl_get_buffer_size(const void *params);
uint32_t ebnn_depthwise_conv2d_s8_wide__avx512_get_buffer_size(const void *params);

#endif
