/*
 * Binary convolution on bit planes with exact zero padding, by buckets with sums of up to 7 bits, tuned for
 * the Cortex-M4, M7 and M33.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_kernels.h"

#include "bbits_run_buckets.h"

uint32_t ebnn_bconv2d_bits_zero__cortex_m4_get_buffer_size(const void *params) {
    return ebnn_bits_zero_buffer_size(params);
}

ebnn_status_t ebnn_bconv2d_bits_zero__cortex_m4(const void *params, const ebnn_io_t *io) {
    return ebnn_bits_run_buckets(params, io, ebnn_bits_words7_from, 1);
}
