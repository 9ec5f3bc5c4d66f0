/*
 * Parameter structs and scratch sizes of the Cortex-M s8 kernels whose operands are packed offline
 * (edgebnn/plan/pack_s8.py). Same rules as ebnn_params.h: the structs are plain and parsed by cffi.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_S8_H
#define EBNN_S8_H

#include "ebnn_params.h"

/* Bytes of io->scratch. */
uint32_t ebnn_conv2d_s8__cortex_m4_get_buffer_size(const void *params);
uint32_t ebnn_depthwise_conv2d_s8__cortex_m4_get_buffer_size(const void *params);

#endif
