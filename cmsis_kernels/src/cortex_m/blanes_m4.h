/*
 * Parts of the lanes kernel that are tuned for the Cortex-M4 (and M7, M33).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_BLANES_M4_H
#define EBNN_BLANES_M4_H

#include "../core/lanes.h"

/* 1 where hand-written Thumb-2 code may be used. */
#if defined(__arm__) && defined(__thumb2__)
#define EBNN_THUMB2 1
#else
#define EBNN_THUMB2 0
#endif

/* ebnn_lanes_sum_t */
const uint16_t *ebnn_lanes_sum4__cortex_m4(const uint16_t *list, const uint8_t *counts, const uint8_t *base,
                                           uint32_t code_max, ebnn_lanes_sums_t *sums);
const uint16_t *ebnn_lanes_sum8__cortex_m4(const uint16_t *list, const uint8_t *counts, const uint8_t *base,
                                           uint32_t code_max, ebnn_lanes_sums_t *sums);

/* The same for known codes, into [8][4] words: of 4-bit fields up to 3 and up to 1, of 8-bit fields up to 15.
 */
typedef const uint16_t *(*ebnn_lanes_runs_t)(const uint16_t *list, const uint8_t *counts, const uint8_t *base,
                                             uint32_t *sums);
const uint16_t *ebnn_lanes_sum4_short(const uint16_t *list, const uint8_t *counts, const uint8_t *base,
                                      uint32_t *sums);
const uint16_t *ebnn_lanes_sum4_long(const uint16_t *list, const uint8_t *counts, const uint8_t *base,
                                     uint32_t *sums);
const uint16_t *ebnn_lanes_sum8_long(const uint16_t *list, const uint8_t *counts, const uint8_t *base,
                                     uint32_t *sums);

/* Of 4-bit fields with codes up to 3, negative and positive entries apart: [class][2][4] words, fields
 * without bias. */
const uint16_t *ebnn_lanes_sum4_apart(const uint16_t *list, const uint8_t *counts, const uint8_t *base,
                                      uint32_t *sums);

/* ebnn_lanes_shift_t */
uint32_t *ebnn_lanes_shift__cortex_m4(const ebnn_bconv_lanes_params_t *p, const uint32_t *x, int32_t shift,
                                      uint32_t in_words, const uint32_t *masks, uint32_t *plane);

/* ebnn_lanes_sort() */
void ebnn_lanes_sort__cortex_m4(const uint32_t *codes, uint32_t n, const uint8_t *counts,
                                uint32_t weight_kind, uint32_t offset, uint32_t stride, uint16_t *list);

/* ebnn_lanes_group_t: sums, totals and epilogue with the DSP extension. */
void ebnn_lanes_fast_group__cortex_m4(const ebnn_bconv_lanes_params_t *p, const ebnn_io_t *io, uint32_t group,
                                      uint32_t first, uint32_t n, const uint16_t *list, const uint8_t *counts,
                                      const uint8_t *base, uint32_t *scratch);

#endif
