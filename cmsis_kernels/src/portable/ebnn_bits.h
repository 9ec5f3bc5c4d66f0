/*
 * Where a bit of a b1 or u2..u4 tensor lies in each layout (SPEC.md section 3).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_BITS_H
#define EBNN_BITS_H

#include <stdint.h>

#include "ebnn.h"

/* Words of a tensor of `bits` planes, in the given layout. */
static inline uint32_t ebnn_bits_words(uint32_t layout, uint32_t bits, uint32_t pixels, uint32_t channels) {
    if (layout == EBNN_NIBBLES) {
        return channels * ((pixels + 7u) / 8u);
    }
    if (layout == EBNN_PLANES) {
        return bits * channels * ((pixels + 31u) / 32u);
    }
    return pixels * bits * ((channels + 31u) / 32u);
}

/* Index of bit `bit` of (pixel, channel c), counted from bit 0 of word 0. */
static inline uint32_t ebnn_bit_index(uint32_t layout, uint32_t bits, uint32_t pixels, uint32_t channels,
                                      uint32_t pixel, uint32_t c, uint32_t bit) {
    if (layout == EBNN_NIBBLES) {
        return (c * ((pixels + 7u) / 8u) * 8u + pixel) * 4u + bit;
    }
    if (layout == EBNN_PLANES) {
        return (bit * channels + c) * ((pixels + 31u) / 32u) * 32u + pixel;
    }
    return (pixel * bits + bit) * ((channels + 31u) / 32u) * 32u + c;
}

#endif
