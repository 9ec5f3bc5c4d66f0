/*
 * Binary convolution on bit planes, tuned for the Cortex-M4, M7 and M33.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_kernels.h"

#include "../core/bits_driver.h"
#include "bbits_m4.h"

static const ebnn_bits_parts_t PARTS = {
    ebnn_bits_shift__cortex_m4,
    ebnn_bits_sum__cortex_m4,
    ebnn_bits_sort__cortex_m4,
    ebnn_bits_collect__cortex_m4,
    ebnn_bits_buckets__cortex_m4,
    ebnn_bits_compares__cortex_m4,
};

uint32_t ebnn_bconv2d_bits__cortex_m4_get_buffer_size(const void *params) {
    return ebnn_bits_buffer_size(params);
}

ebnn_status_t ebnn_bconv2d_bits__cortex_m4(const void *params, const ebnn_io_t *io) {
    return ebnn_bits_run(params, io, &PARTS);
}
