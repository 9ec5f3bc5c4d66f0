/*
 * s8 convolution and dense layers with VPDPBUSD.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_avx512_icl.h"

#include "../avx512/s8_512.h"
#include "ebnn_kernels.h"
#include "../core/wide_conv_s8.h"

uint32_t ebnn_conv2d_s8_wide__avx512_icl_get_buffer_size(const void *params) {
    return ebnn_s8_conv_buffer_size(params);
}

ebnn_status_t ebnn_conv2d_s8_wide__avx512_icl(const void *params, const ebnn_io_t *io) {
    return ebnn_s8_conv(params, io);
}

#include "../core/target_end.h"
