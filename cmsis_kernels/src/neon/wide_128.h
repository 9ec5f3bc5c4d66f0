/*
 * Lane of the wide bit-plane core: 128 bits, NEON (AArch64 and ARMv7); a full adder is EOR, EOR, BSL.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_WIDE_128_H
#define EBNN_WIDE_128_H

#include <arm_neon.h>
#include <stddef.h>

#define EBNN_LANE_BYTES 16u
#define EBNN_LANE_UNIT 16u
#if defined(__aarch64__) /* needs 32 registers */
#define EBNN_WIDE_CLASS_HEADER "../neon/wide_class.h"
#endif

typedef uint64x2_t ebnn_lane_t;

static inline ebnn_lane_t ebnn_lane_load(const void *p) {
    return vreinterpretq_u64_u8(vld1q_u8(p));
}

static inline void ebnn_lane_store(void *p, ebnn_lane_t v) {
    vst1q_u8(p, vreinterpretq_u8_u64(v));
}

static inline ebnn_lane_t ebnn_lane_splat(uint32_t v) {
    return vreinterpretq_u64_u32(vdupq_n_u32(v));
}

static inline ebnn_lane_t ebnn_lane_xor(ebnn_lane_t a, ebnn_lane_t b) {
    return veorq_u64(a, b);
}

static inline ebnn_lane_t ebnn_lane_and(ebnn_lane_t a, ebnn_lane_t b) {
    return vandq_u64(a, b);
}

static inline ebnn_lane_t ebnn_lane_xor3(ebnn_lane_t a, ebnn_lane_t b, ebnn_lane_t c) {
    return veorq_u64(veorq_u64(a, b), c);
}

static inline ebnn_lane_t ebnn_lane_majority(ebnn_lane_t a, ebnn_lane_t b, ebnn_lane_t c) {
    return vbslq_u64(veorq_u64(a, b), c, a);
}

/* words[i] >> shift, shift 0..63, with the low bits of words[i + 1] above; a shift by 64 gives 0. */
static inline ebnn_lane_t ebnn_lane_bits(const uint64_t *words, uint32_t shift) {
    const int64x2_t right = vdupq_n_s64(-(int64_t)shift);
    const int64x2_t left = vdupq_n_s64(64 - (int64_t)shift);
    return vorrq_u64(vshlq_u64(ebnn_lane_load(words), right), vshlq_u64(ebnn_lane_load(words + 1), left));
}

/* out[i] = sum of bit i of planes[b] << b, b < n <= 8. */
static inline void ebnn_lane_bytes(const ebnn_lane_t *planes, uint32_t n, uint8_t *out) {
    static const uint8_t BITS[8] = {1, 2, 4, 8, 16, 32, 64, 128};
    const uint8x16_t bits = vcombine_u8(vld1_u8(BITS), vld1_u8(BITS));
    for (uint32_t pair = 0; pair < 8u; pair++) {
        uint8x16_t v = vdupq_n_u8(0);
        for (uint32_t b = 0; b < n; b++) {
            const uint8_t *bytes = (const uint8_t *)(planes + b) + 2u * pair;
            const uint8x16_t x = vcombine_u8(vdup_n_u8(bytes[0]), vdup_n_u8(bytes[1]));
            v = vorrq_u8(v, vandq_u8(vtstq_u8(x, bits), vdupq_n_u8((uint8_t)(1u << b))));
        }
        vst1q_u8(out + 16u * pair, v);
    }
}

static inline ebnn_lane_t ebnn_lane_plane(const uint8_t *bytes, uint32_t bit) {
    static const uint8_t BITS[8] = {1, 2, 4, 8, 16, 32, 64, 128};
    const uint8x16_t bits = vcombine_u8(vld1_u8(BITS), vld1_u8(BITS));
    const uint8x16_t mask = vdupq_n_u8((uint8_t)(1u << bit));
    uint8_t out[16];
    for (uint32_t pair = 0; pair < 8u; pair++) {
        const uint8x16_t set = vandq_u8(vtstq_u8(vld1q_u8(bytes + 16u * pair), mask), bits);
        uint8x8_t sums = vpadd_u8(vget_low_u8(set), vget_high_u8(set));
        sums = vpadd_u8(sums, sums);
        sums = vpadd_u8(sums, sums);
        out[2u * pair] = vget_lane_u8(sums, 0);
        out[2u * pair + 1u] = vget_lane_u8(sums, 1);
    }
    return ebnn_lane_load(out);
}

#endif
