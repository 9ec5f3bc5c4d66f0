/*
 * Binary convolution on bit planes with exact zero padding, ternary weights and sums of any width, tuned for
 * the Cortex-M4, M7 and M33.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_kernels.h"

#include "../core/bits_zero_driver.h"
#include "bbits_m4.h"

/* to += from + 1, bit planes. */
static void add_one_more(uint32_t *to, const uint32_t *from, uint32_t bits) {
    uint32_t carry = ~0u;
    for (; bits != 0u; bits--, to++, from++) {
        const uint32_t a = *to ^ carry, b = *from ^ carry;
        *to = a ^ *from;
        carry ^= a & b;
    }
}

/* Runs whose start values vary are summed from EBNN_BITS_VARIES, which is -1. */
static const uint16_t *sum(const ebnn_bconv_bits_params_t *p, const uint32_t *masks, uint32_t first,
                           uint32_t n, const uint16_t *list, const uint32_t *planes, uint32_t *sums) {
    const uint16_t *runs = p->runs + 2u * first;
    uint32_t starts[EBNN_BITS_RUNS * EBNN_BITS_MOST];
    list = ebnn_bits_sum_of__cortex_m4(p->bits)(list, planes, runs, n, p->bits, sums);
    ebnn_bits_border_starts(p, masks, first, n, p->bits, EBNN_BITS_MOST, starts);
    for (uint32_t r = 0; r < n; r++) {
        if (runs[2u * r + 1u] == EBNN_BITS_VARIES) {
            add_one_more(sums + EBNN_BITS_MOST * r, starts + EBNN_BITS_MOST * r, p->bits);
        }
    }
    return list;
}

uint32_t ebnn_bconv2d_bits_zero_any__cortex_m4_get_buffer_size(const void *params) {
    return ebnn_bits_zero_buffer_size(params);
}

ebnn_status_t ebnn_bconv2d_bits_zero_any__cortex_m4(const void *params, const ebnn_io_t *io) {
    const ebnn_bits_parts_t parts = {.shift_one = ebnn_bits_shift_one__cortex_m4,
                                     .shift = ebnn_bits_shift__cortex_m4,
                                     .sort = ebnn_bits_sort__cortex_m4,
                                     .collect = ebnn_bits_collect__cortex_m4};
    return ebnn_bits_run_zero(params, io, &parts, sum);
}
