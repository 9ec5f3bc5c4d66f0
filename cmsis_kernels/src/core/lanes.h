/*
 * The integer-lane ("SWAR") bucket core: the parts that the kernels of all processors share.
 *
 * A plane holds one input element k for all pixels of a block, in fields of 4 or 8 bits. Pixel order:
 *   4-bit fields: word i holds pixels 8i .. 8i+7, LSB first.
 *   8-bit fields: word 2i holds the even pixels of 8i .. 8i+7, word 2i + 1 the odd ones.
 * A pass works on two neighbouring words of every plane: 16 pixels of 4-bit fields, 8 pixels of 8-bit fields.
 * Class sums have twice the field's width: for the words a, b of a pass the core returns four words, the even
 * and the odd fields of a, then of b. 4-bit fields: bytes of pixels 0 2 4 6, 1 3 5 7, 8 10 12 14, 9 11 13 15.
 * 8-bit fields: halves of pixels 0 4, 2 6, 1 5, 3 7.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_LANES_H
#define EBNN_LANES_H

#include <stddef.h>

#include "ebnn_planes.h"

#define EBNN_CLASSES 8u

/* Class sums of one pass: [class][word]; positive minus negative entries, plus EBNN_LANES_BIAS4 in fields of
 * 8 bits and EBNN_LANES_BIAS8 in fields of 16 bits, so that no field is negative. */
#define EBNN_LANES_BIAS4 128
#define EBNN_LANES_BIAS8 8192

typedef struct {
    uint32_t word[EBNN_CLASSES][4];
} ebnn_lanes_sums_t;

/* Sums the planes at base + list[i] class by class. counts: [8][2] entries, negative then positive. Returns
 * the end of the list. */
typedef const uint16_t *(*ebnn_lanes_sum_t)(const uint16_t *list, const uint8_t *counts, const uint8_t *base,
                                            uint32_t code_max, ebnn_lanes_sums_t *sums);

const uint16_t *ebnn_lanes_sum4(const uint16_t *list, const uint8_t *counts, const uint8_t *base,
                                uint32_t code_max, ebnn_lanes_sums_t *sums);
const uint16_t *ebnn_lanes_sum8(const uint16_t *list, const uint8_t *counts, const uint8_t *base,
                                uint32_t code_max, ebnn_lanes_sums_t *sums);

/* Most chunks of a layer whose params say fast. */
#define EBNN_FAST_CHUNKS 4u

/* Entries of one chunk of a group. */
static inline uint32_t ebnn_lanes_entries(const uint8_t *counts) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < 2u * EBNN_CLASSES; i++) {
        n += counts[i];
    }
    return n;
}

/* One group of a block, start to end, of a layer whose params say fast: n pixels from `first` on; planes at
 * base, list and counts of all chunks; scratch: EBNN_LANES_TOTALS bytes for every word of a block. */
typedef void (*ebnn_lanes_group_t)(const ebnn_bconv_lanes_params_t *p, const ebnn_io_t *io, uint32_t group,
                                   uint32_t first, uint32_t n, const uint16_t *list, const uint8_t *counts,
                                   const uint8_t *base, uint32_t *scratch);

#define EBNN_LANES_TOTALS 64u

/* What a pass yields: sums D of up to 4 planes of weights for up to 16 pixels. */
typedef struct {
    int32_t d[4][16];
} ebnn_lanes_tile_t;

/* Bytes of a plane of the block buffer. */
static inline uint32_t ebnn_lanes_stride(const ebnn_bconv_lanes_params_t *p) {
    return p->block_words * (uint32_t)p->field_bits;
}

static inline uint32_t ebnn_lanes_k(const ebnn_bconv_lanes_params_t *p) {
    return (uint32_t)p->dims.kernel_h * p->dims.kernel_w * p->dims.in_c;
}

/* Stride 1 and equal widths: the planes of a tap are the input's, shifted by `shift` pixels. masks: n =
 * block_words words of fields inside the image, n words of pad codes elsewhere. Returns the end of the planes
 * written. */
typedef uint32_t *(*ebnn_lanes_shift_t)(const ebnn_bconv_lanes_params_t *p, const uint32_t *x, int32_t shift,
                                        uint32_t in_words, const uint32_t *masks, uint32_t *plane);

uint32_t *ebnn_lanes_shift(const ebnn_bconv_lanes_params_t *p, const uint32_t *x, int32_t shift,
                           uint32_t in_words, const uint32_t *masks, uint32_t *plane);

/* Writes the planes of output pixels first .. first + 8 * block_words - 1 (first: a multiple of 8); in:
 * EBNN_NIBBLES; masks: 2 * block_words words of scratch. Fields of pixels past the last one are arbitrary
 * codes <= code_max. */
void ebnn_lanes_fill(const ebnn_bconv_lanes_params_t *p, const uint32_t *in, uint32_t first, uint32_t *planes,
                     uint32_t *masks, ebnn_lanes_shift_t shift_planes);

/* Sorts the patterns of elements k .. k + n - 1 (n <= chunk_k) into a list; offset: of the plane of element
 * k. */
void ebnn_lanes_sort(const uint32_t *codes, uint32_t n, const uint8_t *counts, uint32_t weight_kind,
                     uint32_t offset, uint32_t stride, uint16_t *list);

/* Adds a pass's class sums to tile->d. */
void ebnn_lanes_combine(const ebnn_bconv_lanes_params_t *p, const ebnn_lanes_sums_t *sums,
                        ebnn_lanes_tile_t *tile);

/* Epilogue of one pass of one group: outputs of pixels first .. from tile->d, any parameters. */
void ebnn_lanes_finish(const ebnn_bconv_lanes_params_t *p, const ebnn_io_t *io, uint32_t group,
                       uint32_t first, const ebnn_lanes_tile_t *tile);

#endif
