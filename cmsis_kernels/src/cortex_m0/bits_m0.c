/*
 * Binary convolution on bit planes, tuned for the Cortex-M0 and M0+.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_kernels.h"

#include "../core/bits_driver.h"
#include "bits_m0.h"

uint32_t ebnn_bconv2d_bits__cortex_m0_get_buffer_size(const void *params) {
    return ebnn_bits_buffer_size(params);
}

ebnn_status_t ebnn_bconv2d_bits__cortex_m0(const void *params, const ebnn_io_t *io) {
    const ebnn_bconv_bits_params_t *p = params;
    const ebnn_bits_parts_t parts = {
        ebnn_bits_shift_one,
        ebnn_bits_shift,
        ebnn_bits_sum_of__cortex_m0(p->bits),
        ebnn_bits_sum_of__cortex_m0(EBNN_BITS_TOTAL),
        ebnn_bits_sort__cortex_m0,
        ebnn_bits_collect,
        ebnn_bits_buckets_of__cortex_m0(p->bits),
        NULL,
    };
    return ebnn_bits_run(p, io, &parts);
}
