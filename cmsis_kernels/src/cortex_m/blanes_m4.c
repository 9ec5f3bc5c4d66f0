/*
 * Low-bit convolution in integer lanes, tuned for the Cortex-M4, M7 and M33.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_kernels.h"

#include "../core/lanes_driver.h"
#include "blanes_m4.h"

static const ebnn_lanes_parts_t PARTS = {
    ebnn_lanes_shift__cortex_m4, ebnn_lanes_sort__cortex_m4,       ebnn_lanes_sum4__cortex_m4,
    ebnn_lanes_sum8__cortex_m4,  ebnn_lanes_fast_group__cortex_m4,
};

uint32_t ebnn_bconv2d_lanes__cortex_m4_get_buffer_size(const void *params) {
    return ebnn_lanes_buffer_size(params);
}

ebnn_status_t ebnn_bconv2d_lanes__cortex_m4(const void *params, const ebnn_io_t *io) {
    return ebnn_lanes_run(params, io, &PARTS);
}
