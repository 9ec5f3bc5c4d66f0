/*
 * Low-bit convolution on bit planes, 256 pixels a lane.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "wide_256.h"
#include "ebnn_kernels.h"
#include "../core/wide.h"

uint32_t ebnn_bconv2d_wide__avx2_get_buffer_size(const void *params) {
    return ebnn_wide_buffer_size(params);
}

ebnn_status_t ebnn_bconv2d_wide__avx2(const void *params, const ebnn_io_t *io) {
    return ebnn_wide_run(params, io);
}

#include "../core/target_end.h"
