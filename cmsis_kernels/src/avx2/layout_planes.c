/*
 * Bits between NHWC and PLANES, AVX2.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_avx2.h"
#include "ebnn_kernels.h"
#include "../core/wide_layout.h"

ebnn_status_t ebnn_layout_planes__avx2(const void *params, const ebnn_io_t *io) {
    return ebnn_wide_layout(params, io);
}

#include "../core/target_end.h"
