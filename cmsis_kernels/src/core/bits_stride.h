/*
 * Pieces of bit planes: 32 pixels from any bit on, every stride-th of them, put anywhere.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_BITS_STRIDE_H
#define EBNN_BITS_STRIDE_H

#include <stdint.h>

/* Bits 0, stride, 2 * stride ... of v side by side. */
static inline uint32_t ebnn_bits_every(uint32_t v, uint32_t stride) {
    if (stride == 1u) {
        return v;
    }
    if (stride == 2u) {
        v &= 0x55555555u;
        v = (v | (v >> 1)) & 0x33333333u;
        v = (v | (v >> 2)) & 0x0F0F0F0Fu;
        v = (v | (v >> 4)) & 0x00FF00FFu;
        return (v | (v >> 8)) & 0xFFFFu;
    }
    uint32_t y = 0;
    for (uint32_t i = 0, at = 0; at < 32u; i++, at += stride) {
        y |= ((v >> at) & 1u) << i;
    }
    return y;
}

/* Where 32 pixels of a row lie in a plane: word x[0] >> bits, x[1] << (32 - bits). */
typedef struct {
    int32_t word;
    uint32_t bits;
    uint32_t mask; /* pixels inside the row */
    int low, high; /* whether x[0], x[1] are needed and lie inside the plane */
} ebnn_bits_piece_t;

/* Pixels column .. column + 31 of a row of `width` that starts at bit `start` of a plane of `words`. */
static inline ebnn_bits_piece_t ebnn_bits_piece(int32_t start, int32_t column, int32_t width, int32_t words) {
    const int32_t at = start + column, right = width - column;
    ebnn_bits_piece_t r;
    r.bits = (uint32_t)at & 31u;
    r.word = (at - (int32_t)r.bits) / 32;
    r.mask = column <= -32 ? 0u : column < 0 ? 0xFFFFFFFFu << -column : 0xFFFFFFFFu;
    r.mask &= right <= 0 ? 0u : right < 32 ? (1u << right) - 1u : 0xFFFFFFFFu;
    r.low = r.word >= 0 && r.word < words;
    r.high = r.bits != 0u && r.word + 1 >= 0 && r.word + 1 < words;
    return r;
}

static inline uint32_t ebnn_bits_read(const uint32_t *plane, const ebnn_bits_piece_t *r) {
    uint32_t v = r->low ? plane[r->word] >> r->bits : 0u;
    if (r->high) {
        v |= plane[r->word + 1] << (32u - r->bits);
    }
    return v;
}

/* Pixels of one piece: those at bits 0, stride ... */
static inline uint32_t ebnn_bits_per_piece(uint32_t stride) {
    return 31u / stride + 1u;
}

#endif
