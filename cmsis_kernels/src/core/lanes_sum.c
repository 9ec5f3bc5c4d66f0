/*
 * Class sums of the lanes kernels in plain C.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "lanes.h"

/* One class: widened sums of the fields of two words. */
static void sum_class(const uint16_t **list, const uint8_t *counts, const uint8_t *base, uint32_t code_max,
                      uint32_t field_bits, uint32_t *out) {
    const uint32_t mask = field_bits == 4u ? 0x0F0F0F0Fu : 0x00FF00FFu;
    const uint32_t block = ((1u << field_bits) - 1u) / code_max;
    const uint32_t bias = field_bits == 4u ? 0x80808080u : 0x20002000u;
    uint32_t even0 = bias, odd0 = bias, even1 = bias, odd1 = bias;
    const uint16_t *at = *list;
    for (uint32_t positive = 0; positive < 2u; positive++) {
        uint32_t n = counts[positive];
        while (n != 0u) {
            const uint32_t m = n < block ? n : block;
            uint32_t a = 0, b = 0;
            for (uint32_t i = 0; i < m; i++) {
                const uint32_t *plane = (const uint32_t *)(const void *)(base + *at++);
                a += plane[0];
                b += plane[1];
            }
            n -= m;
            if (positive != 0u) {
                even0 += a & mask;
                odd0 += (a >> field_bits) & mask;
                even1 += b & mask;
                odd1 += (b >> field_bits) & mask;
            } else {
                even0 -= a & mask;
                odd0 -= (a >> field_bits) & mask;
                even1 -= b & mask;
                odd1 -= (b >> field_bits) & mask;
            }
        }
    }
    *list = at;
    out[0] = even0;
    out[1] = odd0;
    out[2] = even1;
    out[3] = odd1;
}

const uint16_t *ebnn_lanes_sum4(const uint16_t *list, const uint8_t *counts, const uint8_t *base,
                                uint32_t code_max, ebnn_lanes_sums_t *sums) {
    for (uint32_t j = 0; j < EBNN_CLASSES; j++) {
        sum_class(&list, counts + 2u * j, base, code_max, 4u, sums->word[j]);
    }
    return list;
}

const uint16_t *ebnn_lanes_sum8(const uint16_t *list, const uint8_t *counts, const uint8_t *base,
                                uint32_t code_max, ebnn_lanes_sums_t *sums) {
    for (uint32_t j = 0; j < EBNN_CLASSES; j++) {
        sum_class(&list, counts + 2u * j, base, code_max, 8u, sums->word[j]);
    }
    return list;
}
