/*
 * Epilogues of the lanes kernels with the DSP extension: what those with s8 outputs share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_BLANES_FINISH_H
#define EBNN_BLANES_FINISH_H

#include "blanes_m4.h"

/* One channel of a block: everything from p in one place, as p could alias the outputs. Outputs are computed
 * act_min too high, so that they are 0 .. act_max - act_min. */
typedef struct {
    uint32_t *totals; /* [entry][4]: every fourth is the channel's */
    uint8_t *out;
    const uint8_t *residual; /* or NULL */
    uint32_t *next;          /* or NULL */
    uint32_t n;              /* pixels */
    int32_t mul, add, mul2, add2, next_mul, next_add;
} ebnn_lanes_channel_t;

/* Calls `channel` for every channel of the job's group. */
void ebnn_lanes_channels__cortex_m4(const ebnn_lanes_job_t *job, const int32_t *bias,
                                    void (*channel)(const ebnn_bconv_lanes_params_t *p,
                                                    const ebnn_lanes_channel_t *c));

/* Stores the first n of eight pixels, n = 1 .. 7: outputs behind them are 0. y: the outputs of pixels 0 .. 3
 * and 4 .. 7; q: eight codes for next, which may be NULL. */
EBNN_LANES_COLD void ebnn_lanes_put_tail__cortex_m4(uint32_t n, const uint32_t *y, uint32_t q, uint8_t *out,
                                                    uint32_t *next);

#endif
