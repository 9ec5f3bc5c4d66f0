/*
 * Bit planes to bytes and back in plain C, for lanes without instructions of their own.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_WIDE_BYTES_H
#define EBNN_WIDE_BYTES_H

#include <stdint.h>

/* The bits of a byte, one to each byte of a word. */
static inline uint64_t ebnn_spread(uint64_t byte) {
    const uint64_t copies = (byte * UINT64_C(0x0101010101010101)) & UINT64_C(0x8040201008040201);
    return ((copies + UINT64_C(0x00406070787C7E7F)) >> 7) & UINT64_C(0x0101010101010101);
}

/* out[i] = sum of bit i of planes[b] << b, b < n <= 8, for every pixel of a lane. */
static inline void ebnn_lane_bytes(const ebnn_lane_t *planes, uint32_t n, uint8_t *out) {
    uint64_t *words = (uint64_t *)(void *)out;
    for (uint32_t octet = 0; octet < EBNN_LANE_BYTES; octet++) {
        uint64_t v = 0;
        for (uint32_t b = 0; b < n; b++) {
            v |= ebnn_spread(((const uint8_t *)(planes + b))[octet]) << b;
        }
        words[octet] = v;
    }
}

/* The plane of bit `bit` of the bytes of a lane's pixels. */
static inline ebnn_lane_t ebnn_lane_plane(const uint8_t *bytes, uint32_t bit) {
    const uint64_t *words = (const uint64_t *)(const void *)bytes;
    uint64_t out[EBNN_LANE_BYTES / 8u];
    for (uint32_t i = 0; i < EBNN_LANE_BYTES / 8u; i++) {
        uint64_t v = 0;
        for (uint32_t octet = 0; octet < 8u; octet++) {
            const uint64_t bits = (words[8u * i + octet] >> bit) & UINT64_C(0x0101010101010101);
            v |= ((bits * UINT64_C(0x0102040810204080)) >> 56) << (8u * octet);
        }
        out[i] = v;
    }
    return ebnn_lane_load(out);
}

#endif
