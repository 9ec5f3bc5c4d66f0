/*
 * Binary convolution on bit planes with exact zero padding, plain C.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_kernels.h"

#include "bits_zero_driver.h"

uint32_t ebnn_bconv2d_bits_zero__portable_get_buffer_size(const void *params) {
    return ebnn_bits_zero_buffer_size(params);
}

static const uint16_t *sum(const ebnn_bconv_bits_params_t *p, const uint32_t *masks, uint32_t first,
                           uint32_t n, const uint16_t *list, const uint32_t *planes, uint32_t *sums) {
    ebnn_bits_border_starts(p, masks, first, n, p->bits, EBNN_BITS_MOST, sums);
    return ebnn_bits_sum_from(list, planes, p->runs + 2u * first, n, p->bits, sums);
}

ebnn_status_t ebnn_bconv2d_bits_zero__portable(const void *params, const ebnn_io_t *io) {
    const ebnn_bits_parts_t parts = {.shift_one = ebnn_bits_shift_one,
                                     .shift = ebnn_bits_shift,
                                     .sort = ebnn_bits_sort,
                                     .collect = ebnn_bits_collect};
    return ebnn_bits_run_zero(params, io, &parts, sum);
}
