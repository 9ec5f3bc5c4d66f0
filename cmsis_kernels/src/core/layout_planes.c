/*
 * Bits between NHWC and PLANES, plain C.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_kernels.h"
#include "wide_layout.h"

ebnn_status_t ebnn_layout_planes__word64(const void *params, const ebnn_io_t *io) {
    return ebnn_wide_layout(params, io);
}
