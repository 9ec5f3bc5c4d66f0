/*
 * Four channels of the bits kernel by buckets, all words of a block.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_BBITS_WORDS_H
#define EBNN_BBITS_WORDS_H

#include "bbits_m4.h"

typedef struct {
    const uint16_t *list;      /* of the group; then the end of it */
    const uint32_t *planes;    /* of the first word */
    const uint16_t *runs;      /* eight, as in ebnn_bconv_bits_params_t */
    uint32_t *out;             /* the first word of the first channel; then the word behind the last */
    const uint32_t *starts;    /* [word][EBNN_BITS_BORDER]: seven planes a run, then three of flags,
                                  complemented; else NULL */
    uint32_t words, last_mask; /* mask of the last word's outputs */
    uint32_t apart, stride; /* bytes between the planes of two words, between the outputs of two channels */
    uint32_t flags, bits;
} ebnn_bits_job_t;

typedef void (*ebnn_bits_words_t)(ebnn_bits_job_t *job);

/* Class sums of up to 7 bits; bits: 6 or 7. */
void ebnn_bits_words7(ebnn_bits_job_t *job);

/* The same with start values and flags from job->starts. */
void ebnn_bits_words7_from(ebnn_bits_job_t *job);

#endif
