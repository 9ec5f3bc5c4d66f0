/*
 * Lists of the lanes kernels from packed weight patterns, for cores with Thumb-2.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "blanes_m4.h"

void ebnn_lanes_sort__cortex_m4(const uint32_t *codes, uint32_t n, const uint8_t *counts, uint32_t weight_kind,
                                uint32_t offset, uint32_t stride, uint16_t *list) {
    ebnn_lanes_sort(codes, n, counts, weight_kind, offset, stride, list);
}
