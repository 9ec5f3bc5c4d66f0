/*
 * Binary convolution on bit planes, tuned for the Cortex-M4, M7 and M33.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_kernels.h"

#include "../core/bits_driver.h"
#include "bbits_m4.h"

uint32_t ebnn_bconv2d_bits__cortex_m4_get_buffer_size(const void *params) {
    return ebnn_bits_buffer_size(params);
}

ebnn_status_t ebnn_bconv2d_bits__cortex_m4(const void *params, const ebnn_io_t *io) {
    const ebnn_bconv_bits_params_t *p = params;
    const ebnn_bits_parts_t parts = {
        ebnn_bits_shift_one__cortex_m4,
        ebnn_bits_shift__cortex_m4,
        ebnn_bits_sum_of__cortex_m4(p->bits),
        ebnn_bits_sum_of__cortex_m4(12u),
        ebnn_bits_sort__cortex_m4,
        ebnn_bits_collect__cortex_m4,
        ebnn_bits_buckets_of__cortex_m4(p->bits),
        ebnn_bits_minority6,
    };
    return ebnn_bits_run(p, io, &parts);
}
