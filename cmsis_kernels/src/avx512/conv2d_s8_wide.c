/*
 * s8 convolution, dense and depthwise layers, compiled for this instruction set.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "s8_512.h"
#include "ebnn_kernels.h"
#include "../core/wide_conv_s8.h"
#include "../core/wide_s8.h"

uint32_t ebnn_conv2d_s8_wide__avx512_get_buffer_size(const void *params) {
    return ebnn_s8_conv_buffer_size(params);
}

ebnn_status_t ebnn_conv2d_s8_wide__avx512(const void *params, const ebnn_io_t *io) {
    return ebnn_s8_conv(params, io);
}

uint32_t ebnn_depthwise_conv2d_s8_wide__avx512_get_buffer_size(const void *params) {
    return ebnn_s8_wide_depthwise_buffer_size(params);
}

ebnn_status_t ebnn_depthwise_conv2d_s8_wide__avx512(const void *params, const ebnn_io_t *io) {
    return ebnn_s8_wide_depthwise(params, io);
}

#include "../core/target_end.h"
