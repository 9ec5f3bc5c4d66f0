/*
 * Inner loop of the low-bit x s8 convolution; see ebnn_bconv_s8_params_t.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_S8_LISTS_H
#define EBNN_S8_LISTS_H

#include <stdint.h>

/* Work for all classes of one group and pass, on 16 pixels. The field order is known to the assembly. */
typedef struct {
    const uint8_t *list;
    const uint8_t *counts; /* at an even address */
    const int8_t *rows;    /* 16 pixels a product, at a multiple of 4 */
    uint32_t *sums; /* out: 8 words a class, 16-bit sums of pixels (0, 2), (1, 3), (4, 6), (5, 7), ... */
    const uint8_t *counts_end;
} ebnn_s8_lists_t;

/* Returns the end of the lists it used. */
const uint8_t *ebnn_s8_list_sums(const ebnn_s8_lists_t *lists);

#endif
