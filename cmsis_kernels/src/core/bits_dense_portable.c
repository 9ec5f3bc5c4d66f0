/*
 * Binary dense layer on channel lanes, plain C.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_kernels.h"

#include "bits_dense.h"

uint32_t ebnn_bdense_bits__portable_get_buffer_size(const void *params) {
    return ebnn_bits_dense_size(params);
}

ebnn_status_t ebnn_bdense_bits__portable(const void *params, const ebnn_io_t *io) {
    return ebnn_bits_dense(params, io, ebnn_bits_sum, ebnn_bits_collect);
}
