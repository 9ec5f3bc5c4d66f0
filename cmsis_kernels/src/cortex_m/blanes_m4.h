/*
 * Parts of the lanes kernels that are tuned for the Cortex-M4 (and M7, M33).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_BLANES_M4_H
#define EBNN_BLANES_M4_H

#include "../core/lanes.h"
#include "ebnn_acle.h"

/* ebnn_lanes_sum_t */
const uint16_t *ebnn_lanes_sum1__cortex_m4(const uint16_t *list, const uint8_t *counts, const uint8_t *base,
                                           uint32_t *sums);
const uint16_t *ebnn_lanes_sum3__cortex_m4(const uint16_t *list, const uint8_t *counts, const uint8_t *base,
                                           uint32_t *sums);
const uint16_t *ebnn_lanes_sum15__cortex_m4(const uint16_t *list, const uint8_t *counts, const uint8_t *base,
                                            uint32_t *sums);

/* Sums of the four planes of signs from class sums, as halves, modulo 2^16, for every eight pixels
 * EBNN_LANES_TOTALS bytes: [pixels 0 4, 2 6, 1 5, 3 7][plane]. Of 4-bit fields 16 pixels, of 8-bit fields 8.
 */
void ebnn_lanes_totals4__cortex_m4(const uint32_t *sums, uint32_t *totals);
void ebnn_lanes_totals8__cortex_m4(const uint32_t *sums, uint32_t *totals);

/* ebnn_lanes_shift_t, for 4-bit and 8-bit fields. */
void ebnn_lanes_shift4__cortex_m4(const ebnn_lanes_strip_t *strip);
void ebnn_lanes_shift8__cortex_m4(const ebnn_lanes_strip_t *strip);

/* ebnn_lanes_sort_t */
uint16_t *ebnn_lanes_sort__cortex_m4(const uint32_t *codes, uint32_t n, const uint8_t *counts,
                                     uint32_t weight_kind, uint32_t offset, uint32_t stride, uint32_t zero,
                                     uint16_t *list);

/* parts->group of a layer whose params say fast: sums, totals and epilogue with the DSP extension. */
const uint16_t *ebnn_lanes_group__cortex_m4(const ebnn_lanes_job_t *job);

/* parts->finish, from job->totals; bias: [4], what the totals exceed D by. To b1, to s8. */
void ebnn_lanes_finish_b1__cortex_m4(const ebnn_lanes_job_t *job, const int32_t *bias);
void ebnn_lanes_finish_s8__cortex_m4(const ebnn_lanes_job_t *job, const int32_t *bias);

#endif
