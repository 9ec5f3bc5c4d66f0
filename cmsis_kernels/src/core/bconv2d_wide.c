/*
 * Low-bit convolution on bit planes, 64 pixels a word, plain C.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_kernels.h"
#include "wide_u64.h"
#include "wide.h"

uint32_t ebnn_bconv2d_wide__word64_get_buffer_size(const void *params) {
    return ebnn_wide_buffer_size(params);
}

ebnn_status_t ebnn_bconv2d_wide__word64(const void *params, const ebnn_io_t *io) {
    return ebnn_wide_run(params, io);
}
