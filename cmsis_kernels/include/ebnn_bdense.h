/*
 * Parameter struct and scratch size of the binary dense kernel in channel lanes, packed offline
 * (edgebnn/plan/bdense.py). Same rules as ebnn_params.h: plain structs, parsed by cffi.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_BDENSE_H
#define EBNN_BDENSE_H

#include "ebnn_params.h"

/* b1 x binary dense layer with thresholds: k packed inputs, out_c outputs, 32 of them the lanes of a word.
 * The inputs of the rarer sign are listed, n of them; S = the listed weights that are -1, lane by lane. Then
 *   S' = S + (k + 3) / 4 - ceil(n / 2), c = (2 S' + (n odd) >= T); out bit = not c where the listed inputs are -1,
 *   c where they are +1. */
typedef struct {
    uint16_t k, out_c;
    const uint32_t *weights;    /* [ceil(out_c / 32)][k + 1] sign bits (1 = -1) of 32 outputs; the last word is 0 */
    const uint32_t *thresholds; /* [ceil(out_c / 32)][listed -1, +1][bits + 1] planes of T */
    uint8_t bits;               /* of S': 7, 10 or 13 */
} ebnn_bdense_params_t;

/* Bytes of io->scratch. */
uint32_t ebnn_bdense_b1__cortex_m4_get_buffer_size(const void *params);

#endif
