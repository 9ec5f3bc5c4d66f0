/*
 * The bits kernels of the Cortex-M4 on the Cortex-M3: they need Thumb-2, and no DSP extension.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_kernels.h"

#include "ebnn_planes.h"

uint32_t ebnn_bconv2d_bits__thumb2_get_buffer_size(const void *params) {
    return ebnn_bconv2d_bits__cortex_m4_get_buffer_size(params);
}

ebnn_status_t ebnn_bconv2d_bits__thumb2(const void *params, const ebnn_io_t *io) {
    return ebnn_bconv2d_bits__cortex_m4(params, io);
}

uint32_t ebnn_bconv2d_bits_buckets__thumb2_get_buffer_size(const void *params) {
    return ebnn_bconv2d_bits_buckets__cortex_m4_get_buffer_size(params);
}

ebnn_status_t ebnn_bconv2d_bits_buckets__thumb2(const void *params, const ebnn_io_t *io) {
    return ebnn_bconv2d_bits_buckets__cortex_m4(params, io);
}

uint32_t ebnn_bconv2d_bits_minority__thumb2_get_buffer_size(const void *params) {
    return ebnn_bconv2d_bits_minority__cortex_m4_get_buffer_size(params);
}

ebnn_status_t ebnn_bconv2d_bits_minority__thumb2(const void *params, const ebnn_io_t *io) {
    return ebnn_bconv2d_bits_minority__cortex_m4(params, io);
}

uint32_t ebnn_bconv2d_bits_zero__thumb2_get_buffer_size(const void *params) {
    return ebnn_bconv2d_bits_zero__cortex_m4_get_buffer_size(params);
}

ebnn_status_t ebnn_bconv2d_bits_zero__thumb2(const void *params, const ebnn_io_t *io) {
    return ebnn_bconv2d_bits_zero__cortex_m4(params, io);
}

uint32_t ebnn_bconv2d_bits_zero_any__thumb2_get_buffer_size(const void *params) {
    return ebnn_bconv2d_bits_zero_any__cortex_m4_get_buffer_size(params);
}

ebnn_status_t ebnn_bconv2d_bits_zero_any__thumb2(const void *params, const ebnn_io_t *io) {
    return ebnn_bconv2d_bits_zero_any__cortex_m4(params, io);
}

uint32_t ebnn_bdense_bits__thumb2_get_buffer_size(const void *params) {
    return ebnn_bdense_bits__cortex_m4_get_buffer_size(params);
}

ebnn_status_t ebnn_bdense_bits__thumb2(const void *params, const ebnn_io_t *io) {
    return ebnn_bdense_bits__cortex_m4(params, io);
}

uint32_t ebnn_bdense_sums__thumb2_get_buffer_size(const void *params) {
    return ebnn_bdense_sums__cortex_m4_get_buffer_size(params);
}

ebnn_status_t ebnn_bdense_sums__thumb2(const void *params, const ebnn_io_t *io) {
    return ebnn_bdense_sums__cortex_m4(params, io);
}
