/*
 * Low-bit convolution by weight rows, 256 output channels a lane.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "wide_256.h"
#include "ebnn_kernels.h"
#include "rows_list.h"
#include "../core/wide_rows.h"

uint32_t ebnn_bconv2d_rows__avx2_get_buffer_size(const void *params) {
    return ebnn_rows_buffer_size(params);
}

ebnn_status_t ebnn_bconv2d_rows__avx2(const void *params, const ebnn_io_t *io) {
    return ebnn_rows_run(params, io);
}

#include "../core/target_end.h"
