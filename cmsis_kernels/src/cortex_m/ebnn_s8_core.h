/*
 * Shared parts of the s8 convolution and dense kernels for cores with the DSP extension.
 *
 * Weights are packed offline for pairs of output channels (edgebnn/plan/pack_s8.py): the K = kernel_h *
 * kernel_w * in_c weights of a channel are padded with zeros to a multiple of 4 and split into steps of two,
 * (0, 2), (1, 3), (4, 6), (5, 7) ...; a step (a, b) of the channel pair (i, j) is one word of bytes w_i[a],
 * w_j[a], w_i[b], w_j[b]. SXTB16 of the word gives channel i, of the word rotated by 8 channel j, and SXTB16
 * of four consecutive activations gives the matching halves, so nothing is reordered at run time. The bias
 * has input_offset * sum(w) folded in, so activations are used as stored and padding taps hold the zero
 * point, -input_offset.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_S8_CORE_H
#define EBNN_S8_CORE_H

#include "ebnn_params.h"

/* Products per output, rounded up to whole words. */
static inline uint32_t ebnn_s8_padded_k(const ebnn_conv_dims_t *d) {
    const uint32_t k = (uint32_t)d->kernel_h * d->kernel_w * d->in_c;
    return (k + 3u) & ~3u;
}

/* The patch of one output pixel as K contiguous bytes: inside the input where it is contiguous there, else
 * copied to column (K bytes) with padding_value outside the image. */
const int8_t *ebnn_s8_gather(const ebnn_conv_dims_t *d, const int8_t *in, uint32_t pixel,
                             int8_t padding_value, int8_t *column);

/* What the inner loop needs of a pair of output channels, one load-multiple each. round holds 2^(right - 1)
 * plus the output offset << right; right <= 0: shift left by -right, round is the output offset. */
typedef struct {
    int32_t bias[2];
    struct {
        int32_t multiplier, round, right;
    } channel[2];
} ebnn_s8_pair_t;

/* Fills ceil(out_c / 2) pairs. */
void ebnn_s8_pairs(const ebnn_conv_s8_params_t *p, ebnn_s8_pair_t *pairs);

/* Four pixels and all output channels of a convolution, widened activations to stored bytes. The field order
 * is known to the assembly. */
typedef struct {
    const uint32_t *weights; /* padded_k / 2 words a channel pair */
    const uint32_t *x; /* padded_k / 2 steps of four words, one word a pixel: the halves of products (a, b) */
    const uint32_t *x_end;
    const ebnn_s8_pair_t *pairs;
    int8_t *out;
    uint32_t pixel_step, channel_step; /* bytes between outputs */
    uint32_t channels;
} ebnn_s8_tile_t;

/* Clamps to -128 .. 127. Requires shift >= -22 and abs(acc) << max(shift, 0) < 2^30, which the packer proves.
 */
void ebnn_s8_tile(const ebnn_s8_tile_t *tile);

#endif
