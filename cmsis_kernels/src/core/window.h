/*
 * Which output pixels of a block see a kernel tap inside the image.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_WINDOW_H
#define EBNN_WINDOW_H

#include "ebnn_params.h"

/* Output pixels first + i that read source row y * stride + dy and column x * stride + dx inside the image,
 * in bit i of words; 0 behind the last pixel. In two steps: the columns that see a tap, in all rows; then the
 * rows among them. */
void ebnn_window_columns(const ebnn_conv_dims_t *d, int32_t dx, uint32_t first, uint32_t words,
                         uint32_t *columns);
void ebnn_window_rows(const ebnn_conv_dims_t *d, int32_t dy, uint32_t first, uint32_t words,
                      const uint32_t *columns, uint32_t *masks);

/* masks: 1 where output pixel first + i lies in rows r[0] .. r[1] - 1 and columns r[2] .. r[3] - 1. */
void ebnn_window_rectangle(const ebnn_conv_dims_t *d, const uint16_t *r, uint32_t first, uint32_t words,
                           uint32_t *masks);

#endif
