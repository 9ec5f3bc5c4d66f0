/*
 * Low-bit convolution in integer lanes, tuned for the Cortex-M4, M7 and M33: one kernel for any parameters,
 * and kernels for one kind of codes (largest code 1, 3 or 15) and of output (b1, s8).
 * Each names the parts it needs, so that an image has no others.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_kernels.h"

#include "blanes_m4.h"

static const ebnn_lanes_sum_t SUMS[3] = {ebnn_lanes_sum1__cortex_m4, ebnn_lanes_sum3__cortex_m4,
                                         ebnn_lanes_sum15__cortex_m4};
static const ebnn_lanes_sum_t SUM1 = ebnn_lanes_sum1__cortex_m4;
static const ebnn_lanes_sum_t SUM3 = ebnn_lanes_sum3__cortex_m4;
static const ebnn_lanes_sum_t SUM15 = ebnn_lanes_sum15__cortex_m4;

static const ebnn_lanes_parts_t ANY = {
    ebnn_lanes_shift, ebnn_lanes_sort__cortex_m4, ebnn_lanes_group, SUMS, NULL, NULL,
};

/* Parts by the width of a field. */
#define PARTS4(sum, finish)                                                                                  \
    {                                                                                                        \
        ebnn_lanes_shift4__cortex_m4, ebnn_lanes_sort__cortex_m4, ebnn_lanes_group__cortex_m4, &(sum),       \
            ebnn_lanes_totals4__cortex_m4, finish                                                            \
    }
#define PARTS8(sum, finish)                                                                                  \
    {                                                                                                        \
        ebnn_lanes_shift8__cortex_m4, ebnn_lanes_sort__cortex_m4, ebnn_lanes_group__cortex_m4, &(sum),       \
            ebnn_lanes_totals8__cortex_m4, finish                                                            \
    }

static const ebnn_lanes_parts_t LANES1_B1 = PARTS4(SUM1, ebnn_lanes_finish_b1__cortex_m4);
static const ebnn_lanes_parts_t LANES1_S8 = PARTS4(SUM1, ebnn_lanes_finish_s8__cortex_m4);
static const ebnn_lanes_parts_t LANES3_B1 = PARTS4(SUM3, ebnn_lanes_finish_b1__cortex_m4);
static const ebnn_lanes_parts_t LANES3_S8 = PARTS4(SUM3, ebnn_lanes_finish_s8__cortex_m4);
static const ebnn_lanes_parts_t LANES15_B1 = PARTS8(SUM15, ebnn_lanes_finish_b1__cortex_m4);
static const ebnn_lanes_parts_t LANES15_S8 = PARTS8(SUM15, ebnn_lanes_finish_s8__cortex_m4);

uint32_t ebnn_bconv2d_lanes__cortex_m4_get_buffer_size(const void *params) {
    return ebnn_lanes_buffer_size(params);
}

ebnn_status_t ebnn_bconv2d_lanes__cortex_m4(const void *params, const ebnn_io_t *io) {
    return ebnn_lanes_run(params, io, &ANY);
}

uint32_t ebnn_bconv2d_lanes1_b1__cortex_m4_get_buffer_size(const void *params) {
    return ebnn_lanes_buffer_size(params);
}

ebnn_status_t ebnn_bconv2d_lanes1_b1__cortex_m4(const void *params, const ebnn_io_t *io) {
    return ebnn_lanes_run(params, io, &LANES1_B1);
}

uint32_t ebnn_bconv2d_lanes1_s8__cortex_m4_get_buffer_size(const void *params) {
    return ebnn_lanes_buffer_size(params);
}

ebnn_status_t ebnn_bconv2d_lanes1_s8__cortex_m4(const void *params, const ebnn_io_t *io) {
    return ebnn_lanes_run(params, io, &LANES1_S8);
}

uint32_t ebnn_bconv2d_lanes3_b1__cortex_m4_get_buffer_size(const void *params) {
    return ebnn_lanes_buffer_size(params);
}

ebnn_status_t ebnn_bconv2d_lanes3_b1__cortex_m4(const void *params, const ebnn_io_t *io) {
    return ebnn_lanes_run(params, io, &LANES3_B1);
}

uint32_t ebnn_bconv2d_lanes3_s8__cortex_m4_get_buffer_size(const void *params) {
    return ebnn_lanes_buffer_size(params);
}

ebnn_status_t ebnn_bconv2d_lanes3_s8__cortex_m4(const void *params, const ebnn_io_t *io) {
    return ebnn_lanes_run(params, io, &LANES3_S8);
}

uint32_t ebnn_bconv2d_lanes15_b1__cortex_m4_get_buffer_size(const void *params) {
    return ebnn_lanes_buffer_size(params);
}

ebnn_status_t ebnn_bconv2d_lanes15_b1__cortex_m4(const void *params, const ebnn_io_t *io) {
    return ebnn_lanes_run(params, io, &LANES15_B1);
}

uint32_t ebnn_bconv2d_lanes15_s8__cortex_m4_get_buffer_size(const void *params) {
    return ebnn_lanes_buffer_size(params);
}

ebnn_status_t ebnn_bconv2d_lanes15_s8__cortex_m4(const void *params, const ebnn_io_t *io) {
    return ebnn_lanes_run(params, io, &LANES15_S8);
}
