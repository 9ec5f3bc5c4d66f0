/*
 * Low-bit dense layer on channel lanes, tuned for the Cortex-M4, M7 and M33.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_kernels.h"

#include "../core/bits_dense_sums.h"
#include "bbits_m4.h"

uint32_t ebnn_bdense_sums__cortex_m4_get_buffer_size(const void *params) {
    return ebnn_bits_dense_sums_size(params);
}

ebnn_status_t ebnn_bdense_sums__cortex_m4(const void *params, const ebnn_io_t *io) {
    const ebnn_bdense_sums_params_t *p = params;
    return ebnn_bits_dense_sums(p, io, ebnn_bits_sum_of__cortex_m4(p->bits), ebnn_bits_collect__cortex_m4);
}
