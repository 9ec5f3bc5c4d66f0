/*
 * Parts of the bits kernels that are tuned for the Cortex-M0 and M0+.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_BITS_M0_H
#define EBNN_BITS_M0_H

#include "../core/bits.h"

/* 1 where hand-written Thumb-1 code may be used. */
#if defined(__arm__) && defined(__thumb__) && !defined(__thumb2__)
#define EBNN_THUMB1 1
#else
#define EBNN_THUMB1 0
#endif

/* The functions for sums of 7, 9 or 12 bits. */
ebnn_bits_sum_t ebnn_bits_sum_of__cortex_m0(uint32_t bits);
ebnn_bits_buckets_t ebnn_bits_buckets_of__cortex_m0(uint32_t bits);

/* ebnn_bits_sort_t */
void ebnn_bits_sort__cortex_m0(const uint32_t *codes, uint32_t n, const uint16_t *counts, uint16_t *list);

#endif
