/*
 * Bits between NHWC and PLANES by 32 x 32 transposes, several side by side; compiled for each instruction
 * set.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_WIDE_LAYOUT_H
#define EBNN_WIDE_LAYOUT_H

#include <string.h>

#include "ebnn_params.h"

#define EBNN_TILES 16u /* transposed at once: one word of each makes a row */

/* One word of every tile; the compiler splits it into what the instruction set has. */
typedef uint32_t ebnn_tile_row_t __attribute__((vector_size(4u * EBNN_TILES)));

/* Bit i of word k becomes bit k of word i, in every tile. */
static inline void ebnn_wide_transpose(ebnn_tile_row_t *m) {
    uint32_t mask = 0x0000FFFFu;
    for (uint32_t j = 16; j != 0u; j >>= 1, mask ^= mask << j) {
        for (uint32_t k = 0; k < 32u; k = ((k | j) + 1u) & ~j) {
            const ebnn_tile_row_t t = ((m[k] >> j) ^ m[k | j]) & mask;
            m[k] ^= t << j;
            m[k | j] ^= t;
        }
    }
}

/* n words, `from` and `to` words apart. */
static inline void ebnn_wide_words(const uint32_t *in, size_t from, uint32_t *out, size_t to, uint32_t n) {
    for (; n >= 8u; n -= 8u, in += 8u * from, out += 8u * to) {
        out[0] = in[0];
        out[to] = in[from];
        out[2u * to] = in[2u * from];
        out[3u * to] = in[3u * from];
        out[4u * to] = in[4u * from];
        out[5u * to] = in[5u * from];
        out[6u * to] = in[6u * from];
        out[7u * to] = in[7u * from];
    }
    for (; n != 0u; n--, in += from, out += to) {
        *out = *in;
    }
}

/* One row of tiles: EBNN_TILES words of pixels of one bit and 32 channels. planes: [channels][words] from the
 * first channel and word on; pixels: [32 * tiles][pixel_words]. */
static inline void ebnn_wide_tiles(const uint32_t *in, uint32_t *out, int to_planes, uint32_t words,
                                   uint32_t tiles, uint32_t channels, uint32_t pixels, uint32_t pixel_words) {
    ebnn_tile_row_t m[32];
    if (tiles < EBNN_TILES || pixels < 32u * EBNN_TILES || channels < 32u) {
        memset(m, 0, sizeof m);
    }
    if (to_planes) {
        for (uint32_t n = 0; n < tiles; n++) {
            const uint32_t left = pixels - 32u * n < 32u ? pixels - 32u * n : 32u;
            ebnn_wide_words(in + (size_t)n * 32u * pixel_words, pixel_words, (uint32_t *)m + n, EBNN_TILES,
                            left);
        }
    } else {
        for (uint32_t i = 0; i < channels; i++) {
            memcpy(&m[i], in + (size_t)i * words, 4u * tiles);
        }
    }
    ebnn_wide_transpose(m);
    if (to_planes) {
        for (uint32_t i = 0; i < channels; i++) {
            memcpy(out + (size_t)i * words, &m[i], 4u * tiles);
        }
        return;
    }
    for (uint32_t n = 0; n < tiles; n++) {
        const uint32_t left = pixels - 32u * n < 32u ? pixels - 32u * n : 32u;
        ebnn_wide_words((const uint32_t *)m + n, EBNN_TILES, out + (size_t)n * 32u * pixel_words, pixel_words,
                        left);
    }
}

static inline ebnn_status_t ebnn_wide_layout(const ebnn_layout_params_t *p, const ebnn_io_t *io) {
    const uint32_t pixels = (uint32_t)p->h * p->w;
    const uint32_t words = (pixels + 31u) / 32u;
    const uint32_t channel_words = ((uint32_t)p->c + 31u) / 32u;
    const uint32_t pixel_words = channel_words * p->dtype;
    const int to_planes = p->out_layout == EBNN_PLANES;
    for (uint32_t first = 0; first < words; first += EBNN_TILES) {
        const uint32_t tiles = words - first < EBNN_TILES ? words - first : EBNN_TILES;
        for (uint32_t bit = 0; bit < p->dtype; bit++) {
            for (uint32_t w = 0; w < channel_words; w++) {
                const uint32_t channels = p->c - 32u * w < 32u ? p->c - 32u * w : 32u;
                const size_t plane = ((size_t)bit * p->c + 32u * w) * words + first;
                const size_t pixel = (size_t)first * 32u * pixel_words + bit * channel_words + w;
                const uint32_t *in = (const uint32_t *)io->in[0] + (to_planes ? pixel : plane);
                uint32_t *out = (uint32_t *)io->out + (to_planes ? plane : pixel);
                ebnn_wide_tiles(in, out, to_planes, words, tiles, channels, pixels - 32u * first,
                                pixel_words);
            }
        }
    }
    return EBNN_OK;
}

#endif
