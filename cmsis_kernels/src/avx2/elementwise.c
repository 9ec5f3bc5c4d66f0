/*
 * Pools and quantisation, compiled for this instruction set.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "wide_256.h"
#include "ebnn_kernels.h"
#include "../core/wide_elementwise.h"

ebnn_status_t ebnn_max_pool2d_wide__avx2(const void *params, const ebnn_io_t *io) {
    return ebnn_wide_max_pool(params, io);
}

ebnn_status_t ebnn_avg_pool2d_s8_wide__avx2(const void *params, const ebnn_io_t *io) {
    return ebnn_wide_avg_pool(params, io);
}

ebnn_status_t ebnn_quantize_wide__avx2(const void *params, const ebnn_io_t *io) {
    return ebnn_wide_quantize(params, io);
}

#include "../core/target_end.h"
