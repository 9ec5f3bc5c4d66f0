/*
 * Parts of the bits kernel for MVE: 128 pixels, a quad of four words, at a time.
 *
 * Block buffer: [quad][K + 1][2][4], the complement and the plane of every element; the last element is all
 * zeros. Offsets of elements are four times those of the lists.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_MVE_BITS_H
#define EBNN_MVE_BITS_H

#include <arm_mve.h>

#include "../core/bits.h"

/* Words of a quad. */
#define EBNN_QUAD 4u

static inline uint32_t ebnn_mve_bits_quads(const ebnn_bconv_bits_params_t *p) {
    return (p->block_words + 3u) / 4u;
}

/* Words of the planes of a quad. */
static inline uint32_t ebnn_mve_bits_apart(const ebnn_bconv_bits_params_t *p) {
    return 2u * EBNN_QUAD * (ebnn_bits_k(p) + 1u);
}

/* Sums `n` runs of one quad; runs: pairs of entries and start value of each. sums: [n][bits][4]. Returns the
 * end of the list. */
typedef const uint16_t *(*ebnn_mve_bits_sum_t)(const uint16_t *list, const uint32_t *base,
                                               const uint16_t *runs, uint32_t n, uint32_t *sums);

/* The function for sums of 7, 9 or 12 bits. */
ebnn_mve_bits_sum_t ebnn_mve_bits_sum_of(uint32_t bits);

/* Planes of output pixels first .. first + 128 * quads - 1 (first: a multiple of 32); masks: 8 * quads words.
 */
void ebnn_mve_bits_fill(const ebnn_bconv_bits_params_t *p, const uint32_t *in, uint32_t first,
                        uint32_t *planes, uint32_t *masks);

/* Words of `temp` for ebnn_mve_bits_buckets. */
static inline uint32_t ebnn_mve_bits_temp(uint32_t bits) {
    return 5u * EBNN_QUAD * (bits + 3u);
}

/* y[0..3]: four output planes from the sums of eight classes. */
void ebnn_mve_bits_buckets(const uint32_t *sums, uint32_t bits, uint32_t flags, uint32_t *temp,
                           uint32x4_t *y);

/* The plane 2 S + low >= T (c all ones) or 2 S + low > T (c 0); s: `bits` planes, t: one more. */
uint32x4_t ebnn_mve_bits_compare(const uint32_t *s, const uint32_t *t, uint32_t bits, uint32_t low,
                                 uint32_t c);

#endif
