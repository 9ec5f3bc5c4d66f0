/*
 * Low-bit convolution on bit planes, 128 pixels a lane.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "wide_128.h"
#include "ebnn_kernels.h"
#include "ebnn_neon.h"
#include "../core/wide.h"

uint32_t ebnn_bconv2d_wide__neon_get_buffer_size(const void *params) {
    return ebnn_wide_buffer_size(params);
}

ebnn_status_t ebnn_bconv2d_wide__neon(const void *params, const ebnn_io_t *io) {
    return ebnn_wide_run(params, io);
}
