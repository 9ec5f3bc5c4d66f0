/*
 * Parts of the bits kernel that are tuned for the Cortex-M4 (and M3, M7, M33).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_BBITS_M4_H
#define EBNN_BBITS_M4_H

#include "../core/bits.h"

/* 1 where hand-written Thumb-2 code may be used. */
#if defined(__arm__) && defined(__thumb2__)
#define EBNN_THUMB2 1
#else
#define EBNN_THUMB2 0
#endif

/* The function for sums of 7, 9 or 12 bits, and the functions that it gives (Thumb-2 only). */
ebnn_bits_sum_t ebnn_bits_sum_of__cortex_m4(uint32_t bits);
const uint16_t *ebnn_bits_sum7(const uint16_t *list, const uint32_t *base, const uint16_t *runs, uint32_t n,
                               uint32_t bits, uint32_t *sums);
const uint16_t *ebnn_bits_sum9(const uint16_t *list, const uint32_t *base, const uint16_t *runs, uint32_t n,
                               uint32_t bits, uint32_t *sums);
const uint16_t *ebnn_bits_sum12(const uint16_t *list, const uint32_t *base, const uint16_t *runs, uint32_t n,
                                uint32_t bits, uint32_t *sums);

/* ebnn_bits_sort_t */
void ebnn_bits_sort__cortex_m4(const uint32_t *codes, uint32_t n, const uint16_t *counts, uint16_t *list);

/* ebnn_bits_shift_t */
void ebnn_bits_shift_one__cortex_m4(const uint32_t *x, uint32_t channels, uint32_t in_words, uint32_t bits,
                                    uint32_t mask, uint32_t *to);
void ebnn_bits_shift__cortex_m4(const uint32_t *x, uint32_t channels, uint32_t in_words, uint32_t bits,
                                uint32_t mask, uint32_t *to);

/* ebnn_bits_minority_t */
const uint16_t *ebnn_bits_minority6(const uint16_t *list, const uint32_t *base, const uint16_t *runs,
                                    uint32_t flags, const uint32_t *totals, uint32_t mask, uint32_t *out,
                                    uint32_t stride);

/* ebnn_bits_collect_t; the ebnn_bits_buckets_t for sums of so many bits */
uint16_t *ebnn_bits_collect__cortex_m4(const uint32_t *codes, uint32_t k, uint32_t way, uint16_t *list);
ebnn_bits_buckets_t ebnn_bits_buckets_of__cortex_m4(uint32_t bits);

#endif
