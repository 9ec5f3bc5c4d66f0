/*
 * Eights of pixels of one channel: from totals to s8 outputs and 2-bit codes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_BLANES_EIGHTS_H
#define EBNN_BLANES_EIGHTS_H

#include <stdint.h>

/* y = clamp(((t * mul + add) >> 16) + residual - 128) to s8, codes = clamp(((y + 128) * next_mul + next_add)
 * >> 16) to 0 .. 3; no value exceeds 16 bits after its shift. Assembly reads the fields in this order. */
typedef struct {
    const uint32_t *totals; /* [pixels 0 4, 2 6, 1 5, 3 7][4]: every fourth word is the channel's */
    const uint8_t *residual;
    uint8_t *out; /* may be residual */
    uint32_t *next;
    const uint8_t *last; /* word of next, plus 2 where all of its eight pixels are stored and not four */
    int32_t muls;        /* mul in the low half, next_mul in the high one */
    int32_t add, next_add;
} ebnn_lanes_eights_t;

/* Stores the outputs and codes of all eights, at least one. Those behind the last pixel are arbitrary. */
void ebnn_lanes_eights__cortex_m4(const ebnn_lanes_eights_t *b);

#endif
