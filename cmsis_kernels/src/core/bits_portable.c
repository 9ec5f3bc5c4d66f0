/*
 * Binary convolution on bit planes, plain C, and the twin of the tuned kernels.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_kernels.h"

#include "bits_driver.h"

static const ebnn_bits_parts_t PARTS = {
    ebnn_bits_shift_one, ebnn_bits_shift,   ebnn_bits_sum,     ebnn_bits_sum,
    ebnn_bits_sort,      ebnn_bits_collect, ebnn_bits_buckets, NULL,
};

uint32_t ebnn_bconv2d_bits__portable_get_buffer_size(const void *params) {
    return ebnn_bits_buffer_size(params);
}

ebnn_status_t ebnn_bconv2d_bits__portable(const void *params, const ebnn_io_t *io) {
    return ebnn_bits_run(params, io, &PARTS);
}
