/*
 * Lists of the bits kernels from packed weights.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bits.h"

void ebnn_bits_sort(const uint32_t *codes, uint32_t n, const uint16_t *counts, uint16_t *list) {
    uint16_t *at[16];
    ebnn_bits_sort_starts(n, counts, list, at);
    for (uint32_t k = 0; k < n; k += 8u) {
        uint32_t v = *codes++;
        for (uint32_t i = k; i < n && i < k + 8u; i++, v >>= 4) {
            *at[v & 15u]++ = (uint16_t)(8u * i + 4u * (v & 1u));
        }
    }
}

static inline uint32_t lowest_bit(uint32_t v) {
#if defined(__GNUC__)
    return (uint32_t)__builtin_ctz(v);
#else
    uint32_t i = 0;
    while (((v >> i) & 1u) == 0u) {
        i++;
    }
    return i;
#endif
}

/* Entries offset + 8 * bit of the set bits of v. */
static uint16_t *collect_word(uint32_t v, uint32_t offset, uint16_t *at) {
    for (; v != 0u; v &= v - 1u) {
        *at++ = (uint16_t)(offset + 8u * lowest_bit(v));
    }
    return at;
}

uint16_t *ebnn_bits_collect(const uint32_t *codes, uint32_t k, uint32_t way, uint16_t *list) {
    const uint32_t words = (k + 31u) / 32u;
    const uint32_t plain = way != EBNN_BITS_ROWS ? 4u : 0u;
    uint16_t *at = list;
    for (uint32_t i = 0; i < words; i++) {
        at = collect_word(codes[i], 256u * i + plain, at);
        if (way == EBNN_BITS_DIRECT) {
            at = collect_word(codes[words + i], 256u * i, at);
        }
    }
    if (((at - list) & 1) != 0) {
        *at++ = (uint16_t)(8u * k);
    }
    return at;
}
