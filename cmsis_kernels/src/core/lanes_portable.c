/*
 * Low-bit convolution in integer lanes, plain C for M0 and M3, and the twin of the tuned kernels.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_kernels.h"
#include "lanes.h"

static const ebnn_lanes_sum_t SUMS[3] = {ebnn_lanes_sum1, ebnn_lanes_sum3, ebnn_lanes_sum15};
static const ebnn_lanes_parts_t PARTS = {
    ebnn_lanes_shift, ebnn_lanes_sort, ebnn_lanes_group, SUMS, NULL, NULL};

uint32_t ebnn_bconv2d_lanes__portable_get_buffer_size(const void *params) {
    return ebnn_lanes_buffer_size(params);
}

ebnn_status_t ebnn_bconv2d_lanes__portable(const void *params, const ebnn_io_t *io) {
    return ebnn_lanes_run(params, io, &PARTS);
}
