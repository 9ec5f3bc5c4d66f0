/*
 * Parameter structs and scratch sizes of the bucketed low-bit kernels, whose weights are packed offline
 * (edgebnn/plan/pack_lanes.py, pack_bits.py). Same rules as ebnn_params.h: plain structs, parsed by cffi.
 *
 * Buckets: output channels are taken four at a time. For one input element k (a tap and a channel) the four
 * weights are a 4-bit pattern; a pattern and its complement are one signed class, so there are 8 classes of
 * k. Every input plane is added once, into its class; a few adds of class sums then give the four outputs.
 *
 * Two kernels share this. "bits" adds 1-bit planes, 32 pixels a word, by carry-save adders. "lanes" adds
 * planes of 4- or 8-bit fields by ordinary additions (SWAR), 8 or 4 pixels a word, widening before a field
 * overflows.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_PLANES_H
#define EBNN_PLANES_H

#include "ebnn_params.h"

/* Low-bit convolution in integer lanes: b1 or u2..u4 input stored as EBNN_NIBBLES, output s8 or s32 EBNN_CHW,
 * or b1 EBNN_NIBBLES. Codes of a b1 input are 2 * bit when code_shift is 1: then code 1 stands for 0, and
 * padding with it is exact zero padding. The elements k = tap * in_c + channel of a group of output channels
 * are cut into chunks of 8 * ceil(ceil(K / 8) / chunks). Each chunk is 16 runs of entries: class 0..7,
 * negative then positive. A run is filled up to a multiple of 5 entries with a plane of zeros, k = K;
 * its units are its entries / 5. Stored lists may hold an element as three others of the same sum. Pattern
 * bit i of k in group g is 1 where the sign of channel 4 * g + i is positive. Its class j has bit i - 1 set
 * where the sign of channel i equals that of channel 0; positive where channel 0 is. Ternary and two-plane
 * weights are pairs of signs (w = (s0 + s1) / 2, w = 2 * s0 + s1), so a group is two output channels; ternary
 * elements with both weights 0 (patterns 5 and 10) are in no class. Unused channels of the last group have
 * weights of any value. With D = sum over k of w * code, padding included: t = D * mul[c] + add[c], u = D *
 * mul2[c] + add2[c] where combine asks for it (the packer folds the code's offset and scale); out as in
 * ebnn_epilogue_t, except b1: bit = t < 0, and s32: D * mul[c]
 * + add[c]. next_bits > 0: the s8 output y is also quantised for the next layer, q = clamp((y * next_mul[c] +
 * next_add[c]) >> next_shift, 0, 2^next_bits - 1), EBNN_NIBBLES, to out2. The s8 output may be stored over
 * the residual. */
typedef struct {
    ebnn_conv_dims_t dims;
    const uint16_t *lists; /* entries of all groups: byte offsets of planes in the block buffer; or NULL:
                              built at run time from codes */
    const uint32_t *codes; /* [group][ceil(K / 8)] patterns, 4 bits an element, LSB first, or NULL */
    const uint8_t *counts; /* [group]{chunks, where the field chunks is not 1}[chunk][8] of a class: units of
                              its negative run, plus 16 * units of its positive run */
    const int16_t *mul;    /* [out_c] */
    const uint8_t *add;    /* [out_c][add_bytes]: add[c] >> add_shift, signed, least byte first; then bytes up
                              to a whole word behind the last one's first byte, as words are read */
    const int16_t *mul2;   /* [out_c] or NULL */
    const uint8_t *add2;   /* as add, or NULL */
    const int16_t *next_mul; /* [out_c] or NULL */
    const uint8_t *next_add; /* as add, with next_add_bytes and next_add_shift, or NULL */
    int32_t act_min, act_max;
    uint16_t groups;      /* ceil(out_c / 4), or ceil(out_c / 2) for ternary and two-plane weights */
    uint16_t chunks;      /* 1, or the most of any group: no class sum of a chunk overflows its field */
    uint16_t list_size;   /* entries of the longest list of a group, and those in no class */
    uint16_t block_words; /* words (8 pixels) of the output worked on at a time; even */
    uint8_t weight_kind;  /* as in ebnn_bconv_params_t: 1 binary, 2 ternary, 3 two-plane */
    uint8_t field_bits;   /* 4 or 8 */
    uint8_t code_max;     /* largest code: 1..15 */
    uint8_t code_shift;   /* 0 or 1 */
    uint8_t pad_code;
    /* 0, or a sum of EBNN_LANES_FAST and others (src/core/lanes.h), which the Cortex-M4 kernels of one kind
     * of output need: no t >> shift, u >> shift or y * next_mul... exceeds 16 bits, act_min <= 0 <= act_max
     */
    uint8_t fast;
    uint8_t combine; /* 0 none, 1 max, 2 min */
    uint8_t shift;
    uint8_t out_dtype; /* EBNN_B1, EBNN_S8 or EBNN_S32 */
    uint8_t residual;  /* 1: in[1] is s8 EBNN_CHW of the output's shape */
    uint8_t next_shift;
    uint8_t next_bits; /* 0: no second output */
    uint8_t add_bytes; /* 1 to 4 */
    uint8_t add_shift; /* 0 to 32 - 8 * add_bytes */
    uint8_t next_add_bytes;
    uint8_t next_add_shift;
} ebnn_bconv_lanes_params_t;

/* Ways of the "bits" kernel; S: sums of planes from a start value, T: sum of all planes from total_start. */
typedef enum {
    EBNN_BITS_BUCKETS = 1, /* binary weights, four channels a group, 8 runs each */
    EBNN_BITS_MINORITY =
        2, /* binary weights, eight channels a group, one run each: the planes of the rarer sign; 2 S >= T */
    EBNN_BITS_DIRECT = 3, /* ternary weights, eight channels a group, one run each; the top bit of S */
} ebnn_bits_way_t;

/* Binary convolution on bit planes: b1 EBNN_PLANES in and out, padding with +1, binary or ternary weights.
 * Plane k (tap * in_c + channel) is stored as the pair complement, plane: list entries are 8 * k + 4 for the
 * plane, 8 * k for its complement. A run is an even number of entries, filled up with the plane of zeros, k =
 * K. Buckets: classes as in ebnn_bconv_lanes_params_t; start values are such that the four outputs are: bit
 * bits + 2 of P0, the sum of all classes, and 2 Pi >= P0 (flag bit i - 1: 2 Pi >= P0 + 1), Pi the sum of the
 * classes with bit i - 1. Minority: flag bit 0: 2 S + 1 >= T in place of 2 S >= T; bit 1: the output is the
 * complement.
 * Zero padding: output pixels whose taps outside the image are the same form a border, a rectangle; start
 * values and flags differ from border to border and make up for taps outside, which are summed as +1. */
typedef struct {
    ebnn_conv_dims_t dims;
    const uint16_t *lists; /* entries of all runs, or NULL: built at run time from codes */
    const uint32_t
        *codes; /* buckets: [group][ceil(K / 8)] patterns; minority: [out_c][ceil(K / 32)] bits of the
                   elements summed; direct: [out_c][2][ceil(K / 32)] bits: positive, negative; or NULL */
    const uint16_t
        *counts; /* buckets with codes: [group][16] entries as in ebnn_bconv_lanes_params_t, or NULL */
    const uint16_t *runs;    /* [run][2]: pairs of entries, start value */
    const uint8_t *flags;    /* buckets: [group]; else [out_c] */
    const uint16_t *borders; /* zero padding: [border][4]: row, row behind, column, column behind; or NULL */
    const uint16_t
        *border_starts;          /* [run][border] start values, taken where that in runs is 0xFFFF, or NULL */
    const uint8_t *border_flags; /* buckets: [group][border], or NULL */
    uint16_t border_count;
    uint16_t groups;
    uint16_t block_words; /* words (32 pixels) of the output worked on at a time */
    uint16_t list_size;   /* most entries of any group */
    uint16_t total_start; /* minority */
    uint8_t way;          /* ebnn_bits_way_t */
    uint8_t bits;         /* of the sums: 7, 9 or 12 */
} ebnn_bconv_bits_params_t;

/* Binary dense layer on channel lanes: b1 EBNN_NHWC in (all its words are one vector of K = 32 * words bits)
 * and out. The weight rows of the inputs that are -1, or of those that are +1 where these are fewer, are
 * summed from floor((start - n) / 2), n their number; S: the sums, low: the bit that the division drops.
 * Output bit: 2 S + low < limit of the first kind, or 2 S + low >= limit of the second. */
typedef struct {
    const uint32_t *weights; /* [ceil(out_c / 64)][K + 1][2]: sign bits (1 = -1) of input k, channels along
                                the bits; the last row, and rows of padding bits of the input, are 0 */
    const uint32_t *limits;  /* [2][ceil(out_c / 32)][bits + 1]: bit planes */
    uint32_t tail_mask;      /* real channels of the last word of a pixel */
    uint16_t words;          /* of the input */
    uint16_t words_per_pixel;
    uint16_t out_c;
    uint16_t start; /* number of real inputs */
    uint8_t bits;   /* of the sums: 7, 9 or 12 */
} ebnn_bdense_bits_params_t;

/* Dense layer on channel lanes with any low-bit operands: b1 or u2..u4 EBNN_NHWC in, output as
 * ebnn_epilogue_t says, one pixel. For every bit plane of the input and every sign plane of the weights, the
 * rows of the inputs that are 1, or of those that are 0 where these are fewer, are summed. Sign planes:
 * binary: one; two-plane: of s0, of s1 (w = 2 * s0 + s1); ternary: of a, of b (w = (a + b) / 2). */
typedef struct {
    const uint32_t *weights; /* [sign plane][ceil(outputs / 64)][K + 1][2], as in ebnn_bdense_bits_params_t */
    const int32_t *totals;   /* [outputs] sum of the weights */
    uint32_t tail_mask;      /* real channels of the last word of a pixel */
    uint16_t inputs;
    uint16_t outputs;
    uint16_t pixels; /* of the input */
    uint16_t words_per_pixel;
    uint8_t in_bits;     /* 1: b1; 2..4 */
    uint8_t weight_kind; /* as in ebnn_bconv_params_t */
    uint8_t bits;        /* of the sums: 7, 9 or 12 */
    ebnn_epilogue_t epilogue;
} ebnn_bdense_sums_params_t;

/* Bytes of io->scratch. */
uint32_t ebnn_bdense_sums__cortex_m0_get_buffer_size(const void *params);
uint32_t ebnn_bdense_sums__thumb2_get_buffer_size(const void *params);
uint32_t ebnn_bdense_sums__cortex_m4_get_buffer_size(const void *params);
uint32_t ebnn_bconv2d_lanes__portable_get_buffer_size(const void *params);
uint32_t ebnn_bconv2d_lanes__cortex_m4_get_buffer_size(const void *params);
uint32_t ebnn_bconv2d_lanes1_b1__cortex_m4_get_buffer_size(const void *params);
uint32_t ebnn_bconv2d_lanes1_s8__cortex_m4_get_buffer_size(const void *params);
uint32_t ebnn_bconv2d_lanes3_b1__cortex_m4_get_buffer_size(const void *params);
uint32_t ebnn_bconv2d_lanes3_s8__cortex_m4_get_buffer_size(const void *params);
uint32_t ebnn_bconv2d_lanes15_b1__cortex_m4_get_buffer_size(const void *params);
uint32_t ebnn_bconv2d_lanes15_s8__cortex_m4_get_buffer_size(const void *params);
uint32_t ebnn_max_pool2d_planes__portable_get_buffer_size(const void *params);
uint32_t ebnn_bconv2d_bits__portable_get_buffer_size(const void *params);
uint32_t ebnn_bconv2d_bits__cortex_m0_get_buffer_size(const void *params);
uint32_t ebnn_bconv2d_bits__thumb2_get_buffer_size(const void *params);
uint32_t ebnn_bconv2d_bits__cortex_m4_get_buffer_size(const void *params);
uint32_t ebnn_bconv2d_bits_buckets__thumb2_get_buffer_size(const void *params);
uint32_t ebnn_bconv2d_bits_minority__thumb2_get_buffer_size(const void *params);
uint32_t ebnn_bconv2d_bits_buckets__cortex_m4_get_buffer_size(const void *params);
uint32_t ebnn_bconv2d_bits_minority__cortex_m4_get_buffer_size(const void *params);
uint32_t ebnn_bconv2d_bits_zero__portable_get_buffer_size(const void *params);
uint32_t ebnn_bconv2d_bits_zero__thumb2_get_buffer_size(const void *params);
uint32_t ebnn_bconv2d_bits_zero_any__thumb2_get_buffer_size(const void *params);
uint32_t ebnn_bconv2d_bits_zero__cortex_m4_get_buffer_size(const void *params);
uint32_t ebnn_bconv2d_bits_zero_any__cortex_m4_get_buffer_size(const void *params);
uint32_t ebnn_bconv2d_bits__mve_get_buffer_size(const void *params);
uint32_t ebnn_bdense_bits__portable_get_buffer_size(const void *params);
uint32_t ebnn_bdense_bits__cortex_m0_get_buffer_size(const void *params);
uint32_t ebnn_bdense_bits__thumb2_get_buffer_size(const void *params);
uint32_t ebnn_bdense_bits__cortex_m4_get_buffer_size(const void *params);

#endif
