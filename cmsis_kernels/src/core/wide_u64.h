/*
 * Lane of the wide bit-plane core: 64 bits, plain C. See wide.h for what a lane header defines.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_WIDE_U64_H
#define EBNN_WIDE_U64_H

#include <stdint.h>

#define EBNN_LANE_BYTES 8u
#define EBNN_LANE_UNIT 8u

typedef uint64_t ebnn_lane_t;

static inline ebnn_lane_t ebnn_lane_load(const void *p) {
    return *(const uint64_t *)p;
}

static inline void ebnn_lane_store(void *p, ebnn_lane_t v) {
    *(uint64_t *)p = v;
}

static inline ebnn_lane_t ebnn_lane_splat(uint32_t v) {
    return ((uint64_t)v << 32) | v;
}

static inline ebnn_lane_t ebnn_lane_xor(ebnn_lane_t a, ebnn_lane_t b) {
    return a ^ b;
}

static inline ebnn_lane_t ebnn_lane_and(ebnn_lane_t a, ebnn_lane_t b) {
    return a & b;
}

static inline ebnn_lane_t ebnn_lane_xor3(ebnn_lane_t a, ebnn_lane_t b, ebnn_lane_t c) {
    return a ^ b ^ c;
}

static inline ebnn_lane_t ebnn_lane_majority(ebnn_lane_t a, ebnn_lane_t b, ebnn_lane_t c) {
    return a ^ ((a ^ b) & (a ^ c));
}

/* words[i] >> shift, shift 0..63, with the low bits of words[i + 1] above. */
static inline ebnn_lane_t ebnn_lane_bits(const uint64_t *words, uint32_t shift) {
    return (words[0] >> shift) | ((words[1] << 1) << (63u - shift));
}

#include "wide_bytes.h"

#endif
