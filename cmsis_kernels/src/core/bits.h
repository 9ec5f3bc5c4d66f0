/*
 * The bit-plane bucket core: the parts that the kernels of all processors share.
 *
 * Block buffer: [word][K + 1][2], the complement and the plane of every element; the last element is all
 * zeros, both.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_BITS_H
#define EBNN_BITS_H

#include <stddef.h>

#include "ebnn_planes.h"

/* Bit-sliced sums of runs: [run][EBNN_BITS_MOST] planes, `bits` of them used. */
#define EBNN_BITS_MOST 13u

/* Bits of the sum of all planes (minority). */
#define EBNN_BITS_TOTAL 12u

/* Runs of a group: the classes of four channels, or eight channels. */
#define EBNN_BITS_RUNS 8u

/* Words of start values and flags of a group in a word (zero padding). */
#define EBNN_BITS_BORDER 60u

/* Sums `n` runs; runs: pairs of entries and start value of each. sums: n * EBNN_BITS_MOST words. Returns the
 * end of the list. */
typedef const uint16_t *(*ebnn_bits_sum_t)(const uint16_t *list, const uint32_t *base, const uint16_t *runs,
                                           uint32_t n, uint32_t bits, uint32_t *sums);

/* Writes a class list from patterns; counts: [16], negative then positive. n: K. */
typedef void (*ebnn_bits_sort_t)(const uint32_t *codes, uint32_t n, const uint16_t *counts, uint16_t *list);

static inline uint32_t ebnn_bits_k(const ebnn_bconv_bits_params_t *p) {
    return (uint32_t)p->dims.kernel_h * p->dims.kernel_w * p->dims.in_c;
}

/* One output word of a tap for all channels: from bits of two neighbouring input words, x[0] >> bits and x[1]
 * below, 0 < bits < 32; channels are in_words apart. Writes pairs: complement, plane. */
typedef void (*ebnn_bits_shift_t)(const uint32_t *x, uint32_t channels, uint32_t in_words, uint32_t bits,
                                  uint32_t mask, uint32_t *to);

void ebnn_bits_shift(const uint32_t *x, uint32_t channels, uint32_t in_words, uint32_t bits, uint32_t mask,
                     uint32_t *to);

/* The same from one input word, shifted down by bits < 32 or up by bits - 32. */
void ebnn_bits_shift_one(const uint32_t *x, uint32_t channels, uint32_t in_words, uint32_t bits,
                         uint32_t mask, uint32_t *to);

/* Planes of output pixels first .. first + 32 * block_words - 1 (first: a multiple of 32); masks: 2 *
 * block_words. */
void ebnn_bits_fill(const ebnn_bconv_bits_params_t *p, const uint32_t *in, uint32_t first, uint32_t *planes,
                    uint32_t *masks, ebnn_bits_shift_t shift_one, ebnn_bits_shift_t shift);

/* ebnn_bits_sum from the planes in sums in place of start values. */
const uint16_t *ebnn_bits_sum_from(const uint16_t *list, const uint32_t *base, const uint16_t *runs,
                                   uint32_t n, uint32_t bits, uint32_t *sums);

const uint16_t *ebnn_bits_sum(const uint16_t *list, const uint32_t *base, const uint16_t *runs, uint32_t n,
                              uint32_t bits, uint32_t *sums);
void ebnn_bits_sort(const uint32_t *codes, uint32_t n, const uint16_t *counts, uint16_t *list);

/* Where the entries of each pattern go in a class list; writes the fillers of odd runs. */
static inline void ebnn_bits_sort_starts(uint32_t n, const uint16_t *counts, uint16_t *list, uint16_t **at) {
    for (uint32_t j = 0; j < 8u; j++) {
        at[14u - 2u * j] = list;
        list += *counts;
        at[2u * j + 1u] = list;
        list += counts[1];
        if (((counts[0] + counts[1]) & 1u) != 0u) {
            *list++ = (uint16_t)(8u * n);
        }
        counts += 2;
    }
}

/* The last n < 8 elements, offset: 8 * the first one's k. */
static inline void ebnn_bits_sort_rest(const uint32_t *codes, uint32_t n, uint32_t offset, uint16_t **at) {
    for (uint32_t v = n != 0u ? *codes : 0u; n != 0u; n--, v >>= 4, offset += 8u) {
        *at[v & 15u]++ = (uint16_t)(offset + 4u * (v & 1u));
    }
}

/* Arrays on the stack of hand-written combinations of class sums, 9 bits each: m, n (two of one, the other
 * parity of classes), q, r (four), p3. */
#define EBNN_BITS_AT_M "0"
#define EBNN_BITS_AT_N "36"
#define EBNN_BITS_AT_Q "72"
#define EBNN_BITS_AT_R "108"
#define EBNN_BITS_AT_P3 "144"

/* For collect: entries 8 * k, of rows that have no complements. */
#define EBNN_BITS_ROWS 0u

/* Writes the list of one channel, minority or direct, an even number of entries, and returns its end. */
typedef uint16_t *(*ebnn_bits_collect_t)(const uint32_t *codes, uint32_t k, uint32_t way, uint16_t *list);

uint16_t *ebnn_bits_collect(const uint32_t *codes, uint32_t k, uint32_t way, uint16_t *list);

/* Four output planes from the sums of eight classes: one word each, masked, stride words apart. */
typedef void (*ebnn_bits_buckets_t)(const uint32_t *sums, uint32_t bits, uint32_t flags, uint32_t mask,
                                    uint32_t *out, uint32_t stride);

void ebnn_bits_buckets(const uint32_t *sums, uint32_t bits, uint32_t flags, uint32_t mask, uint32_t *out,
                       uint32_t stride);

/* ebnn_bits_buckets with planes of flags, complemented. */
void ebnn_bits_buckets_from(const uint32_t *sums, uint32_t bits, const uint32_t *flags, uint32_t mask,
                            uint32_t *out, uint32_t stride);

/* Zero padding: the start value of a run whose start values differ among borders. */
#define EBNN_BITS_VARIES 0xFFFFu

/* Words of the borders' masks in a word: how many borders it has, and number and mask of each. */
static inline uint32_t ebnn_bits_border_words(const ebnn_bconv_bits_params_t *p) {
    return 2u * p->border_count + 1u;
}

/* [word][ebnn_bits_border_words] */
void ebnn_bits_border_masks(const ebnn_bconv_bits_params_t *p, uint32_t first, uint32_t words,
                            uint32_t *masks);

/* Bit planes of the start values of `n` runs from `run` on in one word with these masks, `apart` words from
 * run to run; bits: 7 or more planes, 7 written where fewer are asked for. */
void ebnn_bits_border_starts(const ebnn_bconv_bits_params_t *p, const uint32_t *masks, uint32_t run,
                             uint32_t n, uint32_t bits, uint32_t apart, uint32_t *to);

/* The three flags of a group of buckets as planes, complemented. */
void ebnn_bits_border_flags(const ebnn_bconv_bits_params_t *p, const uint32_t *masks, uint32_t group,
                            uint32_t *to);

/* Outputs of a group of channels of the minority way where -64 <= 2 S + odd - T < 64 for all, so that sums
 * modulo 64 do: one masked word each, stride words apart; flags: two bits a channel, the first channel's the
 * lowest, and a 1 above the last. Returns the end of the list. */
typedef const uint16_t *(*ebnn_bits_minority_t)(const uint16_t *list, const uint32_t *base,
                                                const uint16_t *runs, uint32_t flags, const uint32_t *totals,
                                                uint32_t mask, uint32_t *out, uint32_t stride);

/* The plane 2 S + low >= T; s: `bits` planes, t: one more. */
uint32_t ebnn_bits_compare(const uint32_t *s, const uint32_t *t, uint32_t bits, uint32_t low);

#endif
