/*
 * Bits between NHWC and PLANES, AVX-512.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_avx512.h"
#include "ebnn_kernels.h"
#include "../core/wide_layout.h"

ebnn_status_t ebnn_layout_planes__avx512(const void *params, const ebnn_io_t *io) {
    return ebnn_wide_layout(params, io);
}

#include "../core/target_end.h"
