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
#include <string.h>

#include "ebnn_kernels.h"
#include "ebnn_planes.h"

#define EBNN_CLASSES 8u

/* Bits of the params' fast: the packer's proofs and what a channel's epilogue to s8 needs besides the usual.
 */
enum {
    EBNN_LANES_FAST = 1,
    EBNN_LANES_UP = 2,       /* totals and addends times 2^(16 - shift): a shift below 16 */
    EBNN_LANES_MAPPED = 4,   /* other shifts, two maps */
    EBNN_LANES_ALONE = 8,    /* no shortcut */
    EBNN_LANES_LIMITED = 16, /* act_min, act_max */
    EBNN_LANES_NARROW = 32,  /* codes of one bit for the next layer */
    EBNN_LANES_FUSED = 64,   /* codes of the outputs before they are limited, shift 16, one or two bits */
    EBNN_LANES_CODES = 128,  /* other codes */
};

/* Entries of a unit of a run. */
#define EBNN_LANES_UNIT 5u

/* The largest code that the sums are made for: 1 and 3 in 4-bit fields, 15 in 8-bit fields. */
static inline uint32_t ebnn_lanes_top(const ebnn_bconv_lanes_params_t *p) {
    return p->field_bits == 8u ? 15u : (p->code_max == 1u ? 1u : 3u);
}

/* What a class sum exceeds the true one by, so that no field is negative: negative entries count as what they
 * lack to `top`. units: a byte of the params' counts. */
static inline uint32_t ebnn_lanes_bias(uint32_t units, uint32_t top) {
    return EBNN_LANES_UNIT * top * (units & 15u);
}

/* Class sums of one chunk of one pass, [class][4] words: positive minus negative entries plus ebnn_lanes_bias
 * in every field. counts: [8]. Returns the end of the list. */
typedef const uint16_t *(*ebnn_lanes_sum_t)(const uint16_t *list, const uint8_t *counts, const uint8_t *base,
                                            uint32_t *sums);

const uint16_t *ebnn_lanes_sum1(const uint16_t *list, const uint8_t *counts, const uint8_t *base,
                                uint32_t *sums);
const uint16_t *ebnn_lanes_sum3(const uint16_t *list, const uint8_t *counts, const uint8_t *base,
                                uint32_t *sums);
const uint16_t *ebnn_lanes_sum15(const uint16_t *list, const uint8_t *counts, const uint8_t *base,
                                 uint32_t *sums);

/* Bytes of a plane of the block buffer. */
static inline uint32_t ebnn_lanes_stride(const ebnn_bconv_lanes_params_t *p) {
    return p->block_words * (uint32_t)p->field_bits;
}

static inline uint32_t ebnn_lanes_k(const ebnn_bconv_lanes_params_t *p) {
    return (uint32_t)p->dims.kernel_h * p->dims.kernel_w * p->dims.in_c;
}

/* Element c of the params' add, add2 or next_add. */
static inline int32_t ebnn_lanes_add(const uint8_t *array, uint32_t bytes, uint32_t shift, uint32_t c) {
    const uint32_t up = 32u - 8u * bytes;
    uint32_t v;
    memcpy(&v, array + bytes * c, sizeof v);
    return (int32_t)(v << up) >> (up - shift); /* shift <= up */
}

/* Stride 1 and equal widths: the planes of a tap are the input's, shifted. What to write of them: `words`
 * words (8 pixels) of every channel's plane. */
typedef struct {
    const uint32_t *x;     /* input, in_words words a channel */
    uint32_t *plane;       /* of channel 0 */
    const uint32_t *masks; /* [words] fields inside the image; NULL: all */
    uint32_t channels, in_words;
    uint32_t stride; /* bytes of a plane */
    uint32_t words;
    int32_t shift;       /* the input's pixel of output pixel 0; pixels outside the input are 0 */
    uint32_t code_shift; /* codes are shifted up by this */
    uint32_t field_bits;
} ebnn_lanes_strip_t;

typedef void (*ebnn_lanes_shift_t)(const ebnn_lanes_strip_t *strip);

void ebnn_lanes_shift(const ebnn_lanes_strip_t *strip);

/* Writes the planes of output pixels first .. first + 8 * block_words - 1 (first: a multiple of 8), and the
 * plane of zeros; in: EBNN_NIBBLES; masks: block_words words of scratch behind it. Fields of pixels past the
 * last one are arbitrary codes <= code_max. */
EBNN_COLD void ebnn_lanes_fill(const ebnn_bconv_lanes_params_t *p, const uint32_t *in, uint32_t first,
                               uint32_t *planes, uint32_t *masks, ebnn_lanes_shift_t shift_planes);

/* Sorts the patterns of n elements into the list of a chunk; offset: of the plane of the first one; zero: of
 * the plane of zeros. Returns the end of the list.
 * Ternary elements in no class are written behind it. */
typedef uint16_t *(*ebnn_lanes_sort_t)(const uint32_t *codes, uint32_t n, const uint8_t *counts,
                                       uint32_t weight_kind, uint32_t offset, uint32_t stride, uint32_t zero,
                                       uint16_t *list);

uint16_t *ebnn_lanes_sort(const uint32_t *codes, uint32_t n, const uint8_t *counts, uint32_t weight_kind,
                          uint32_t offset, uint32_t stride, uint32_t zero, uint16_t *list);

/* at[pattern]: where the run of a pattern starts. Returns the end of the list. */
uint16_t *ebnn_lanes_runs(const uint8_t *counts, uint32_t weight_kind, uint16_t *list, uint16_t **at);

/* Fills all runs up with the plane of zeros; at: their ends so far. */
void ebnn_lanes_pad(const uint8_t *counts, uint32_t zero, uint16_t *list, uint16_t *const *at);

struct ebnn_lanes_parts;

/* One group of a block. */
typedef struct {
    const ebnn_bconv_lanes_params_t *p;
    const ebnn_io_t *io;
    const struct ebnn_lanes_parts *parts;
    const uint16_t *list;
    const uint8_t *counts; /* [chunks][8] */
    const uint8_t *base;   /* planes */
    uint32_t *totals;      /* fast: EBNN_LANES_TOTALS bytes for every word of a block */
    uint32_t chunks;
    uint32_t group;
    uint32_t first, n; /* output pixels */
} ebnn_lanes_job_t;

#define EBNN_LANES_TOTALS 64u

/* What a processor's kernel brings. */
typedef struct ebnn_lanes_parts {
    ebnn_lanes_shift_t shift;
    ebnn_lanes_sort_t sort;
    const uint16_t *(*group)(const ebnn_lanes_job_t *job); /* all of a group; returns the end of its list */
    const ebnn_lanes_sum_t *sums;                          /* as group needs them */
    void (*totals)(const uint32_t *sums, uint32_t *totals);
    void (*finish)(const ebnn_lanes_job_t *job, const int32_t *bias);
} ebnn_lanes_parts_t;

/* The layer: loops over blocks and groups. */
EBNN_COLD ebnn_status_t ebnn_lanes_run(const ebnn_bconv_lanes_params_t *p, const ebnn_io_t *io,
                                       const ebnn_lanes_parts_t *parts);

uint32_t ebnn_lanes_buffer_size(const ebnn_bconv_lanes_params_t *p);

/* parts->group for any parameters; sums: of top 1, 3 and 15. */
const uint16_t *ebnn_lanes_group(const ebnn_lanes_job_t *job);

/* What a pass yields: sums D of up to 4 planes of weights for up to 16 pixels. */
typedef struct {
    int32_t d[4][16];
} ebnn_lanes_tile_t;

/* Adds the class sums of a chunk of a pass to tile->d. */
void ebnn_lanes_combine(const ebnn_bconv_lanes_params_t *p, const uint8_t *counts, const uint32_t *sums,
                        ebnn_lanes_tile_t *tile);

/* Epilogue of one pass of one group: outputs of pixels first .. from tile->d, any parameters. */
void ebnn_lanes_finish(const ebnn_bconv_lanes_params_t *p, const ebnn_io_t *io, uint32_t group,
                       uint32_t first, const ebnn_lanes_tile_t *tile);

#endif
