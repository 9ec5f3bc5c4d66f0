/*
 * Parameter structs and scratch sizes of the Cortex-M s8 kernels whose operands are packed offline
 * (edgebnn/plan/pack_s8.py). Same rules as ebnn_params.h: the structs are plain and parsed by cffi.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_S8_H
#define EBNN_S8_H

#include "ebnn_params.h"

/* Low-bit weights x s8 activations by lists. Output channels are taken `group` at a time; the products k of a
 * group fall into classes by their weights (up to a common sign), and each k is added once, into the sum of
 * its class. The sum of channel i is then sum over classes j of coefficients[j][i] * sum[j]. lists: for every
 * group, pass and class first the k to subtract, then those to add, each k as the distance from the one
 * before it (from pass_depth * pass at first); counts: their numbers, two a class. A class holds at most 255.
 */
typedef struct {
    ebnn_conv_dims_t dims;
    const uint8_t *lists;
    const uint8_t *counts;      /* [groups][passes][classes][2] */
    const int8_t *coefficients; /* [classes][group] */
    const int32_t *bias;        /* [out_c]: input_offset * sum of the weights */
    int32_t input_offset;       /* -zero_point; padding is exact zero padding */
    uint16_t pass_depth;        /* k a pass */
    uint8_t passes, classes, group;
    uint8_t out_layout; /* EBNN_NHWC, or EBNN_CHW for s8 and s32 (the residual too) */
    ebnn_epilogue_t epilogue;
} ebnn_bconv_s8_params_t;

/* Dense layer of low-bit weights x s8 activations. A weight is w = scale * code + offset with a code of
 * `bits` bits: binary (1 bit) 1 - 2 * code, ternary (2 bits) code - 1, two-plane (2 bits) 2 * code - 3. The
 * 32 / bits codes of a word belong to as many consecutive inputs: of inputs 4q .. 4q + 3 the codes stand at
 * bits (2q) * bits, (2q + 1) * bits, (2q) * bits + 16 and (2q + 1) * bits + 16. The last word is padded with
 * zeros. */
typedef struct {
    uint32_t inputs, outputs;
    const uint32_t *weights; /* [outputs][ceil(inputs * bits / 32)] */
    const int32_t *bias;     /* [outputs]: input_offset * sum of the weights */
    int32_t scale, offset;
    uint8_t bits;
    ebnn_epilogue_t epilogue;
} ebnn_bdense_s8_params_t;

/* Bytes of io->scratch. */
uint32_t ebnn_bdense_s8__cortex_m4_get_buffer_size(const void *params);
uint32_t ebnn_bconv2d_s8_lists__cortex_m4_get_buffer_size(const void *params);
uint32_t ebnn_conv2d_s8__cortex_m4_get_buffer_size(const void *params);
uint32_t ebnn_conv2d_s8__mve_get_buffer_size(const void *params);
uint32_t ebnn_depthwise_conv2d_s8__cortex_m4_get_buffer_size(const void *params);

#endif
