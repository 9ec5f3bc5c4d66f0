/*
 * Lists of the lanes kernels from packed weight patterns.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "lanes.h"

uint16_t *ebnn_lanes_runs(const uint8_t *counts, uint32_t weight_kind, uint16_t *list, uint16_t **at) {
    for (uint32_t j = 0; j < EBNN_CLASSES; j++) {
        at[14u - 2u * j] = list; /* negative: the complement of ... */
        list += EBNN_LANES_UNIT * (counts[j] & 15u);
        at[2u * j + 1u] = list; /* ... positive: channel 0's bit is set */
        list += EBNN_LANES_UNIT * (counts[j] >> 4);
    }
    if (weight_kind == 2u) {
        at[5] = at[10] = list; /* ternary: elements without weights, past the end of the list */
    }
    return list;
}

void ebnn_lanes_pad(const uint8_t *counts, uint32_t zero, uint16_t *list, uint16_t *const *at) {
    for (uint32_t j = 0; j < EBNN_CLASSES; j++) {
        list += EBNN_LANES_UNIT * (counts[j] & 15u);
        for (uint16_t *entry = at[14u - 2u * j]; entry < list; entry++) {
            *entry = (uint16_t)zero;
        }
        list += EBNN_LANES_UNIT * (counts[j] >> 4);
        for (uint16_t *entry = at[2u * j + 1u]; entry < list; entry++) {
            *entry = (uint16_t)zero;
        }
    }
}

uint16_t *ebnn_lanes_sort(const uint32_t *codes, uint32_t n, const uint8_t *counts, uint32_t weight_kind,
                          uint32_t offset, uint32_t stride, uint32_t zero, uint16_t *list) {
    uint16_t *at[16];
    uint16_t *end = ebnn_lanes_runs(counts, weight_kind, list, at);
    for (uint32_t k = 0; k < n; k += 8u) {
        uint32_t v = *codes++;
        const uint32_t m = n - k < 8u ? n - k : 8u;
        for (uint32_t i = 0; i < m; i++, v >>= 4, offset += stride) {
            *at[v & 15u]++ = (uint16_t)offset;
        }
    }
    ebnn_lanes_pad(counts, zero, list, at);
    return end;
}
