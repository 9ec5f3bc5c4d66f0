/*
 * Class sums of the lanes kernels in plain C.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "lanes.h"

/* One class: widened sums of the fields of two words. block: entries that a field takes. */
static const uint16_t *sum_class(const uint16_t *list, uint32_t units, const uint8_t *base, uint32_t top,
                                 uint32_t field_bits, uint32_t *out) {
    const uint32_t mask = field_bits == 4u ? 0x0F0F0F0Fu : 0x00FF00FFu;
    const uint32_t block = ((1u << field_bits) - 1u) / top;
    const uint32_t bias = ebnn_lanes_bias(units, top) * (field_bits == 4u ? 0x01010101u : 0x00010001u);
    uint32_t even0 = bias, odd0 = bias, even1 = bias, odd1 = bias;
    for (uint32_t positive = 0; positive < 2u; positive++, units >>= 4) {
        uint32_t n = EBNN_LANES_UNIT * (units & 15u);
        while (n != 0u) {
            const uint32_t m = n < block ? n : block;
            uint32_t a = 0, b = 0;
            for (uint32_t i = 0; i < m; i++) {
                const uint32_t *plane = (const uint32_t *)(const void *)(base + *list++);
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
    out[0] = even0;
    out[1] = odd0;
    out[2] = even1;
    out[3] = odd1;
    return list;
}

const uint16_t *ebnn_lanes_sum1(const uint16_t *list, const uint8_t *counts, const uint8_t *base,
                                uint32_t *sums) {
    for (uint32_t j = 0; j < EBNN_CLASSES; j++) {
        list = sum_class(list, counts[j], base, 1u, 4u, sums + 4u * j);
    }
    return list;
}

const uint16_t *ebnn_lanes_sum3(const uint16_t *list, const uint8_t *counts, const uint8_t *base,
                                uint32_t *sums) {
    for (uint32_t j = 0; j < EBNN_CLASSES; j++) {
        list = sum_class(list, counts[j], base, 3u, 4u, sums + 4u * j);
    }
    return list;
}

const uint16_t *ebnn_lanes_sum15(const uint16_t *list, const uint8_t *counts, const uint8_t *base,
                                 uint32_t *sums) {
    for (uint32_t j = 0; j < EBNN_CLASSES; j++) {
        list = sum_class(list, counts[j], base, 15u, 8u, sums + 4u * j);
    }
    return list;
}
