/*
 * Vector helpers of the NEON kernels, with ARMv7 forms of what only AArch64 has.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_NEON_VECTOR_H
#define EBNN_NEON_VECTOR_H

#include <arm_neon.h>
#include <stdint.h>
#include <string.h>

#define NEON_INLINE inline __attribute__((always_inline))

#if defined(__clang__)
#define NEON_UNROLL _Pragma("clang loop unroll(full)")
#else
#define NEON_UNROLL _Pragma("GCC unroll 16")
#endif

#if defined(__aarch64__)
#define NEON_PIXELS 4u /* of a tile: 32 registers hold 16 sums */

static NEON_INLINE int32x4_t neon_pair_add(int32x4_t a, int32x4_t b) {
    return vpaddq_s32(a, b);
}

static NEON_INLINE uint32_t neon_sum(uint32x4_t v) {
    return vaddvq_u32(v);
}

static NEON_INLINE int16x8_t neon_mull_high(int8x16_t a, int8x16_t b) {
    return vmull_high_s8(a, b);
}

static NEON_INLINE int16x8_t neon_mlal_high(int16x8_t sum, int8x16_t a, int8x16_t b) {
    return vmlal_high_s8(sum, a, b);
}
#else
#define NEON_PIXELS 2u

static NEON_INLINE int16x8_t neon_mull_high(int8x16_t a, int8x16_t b) {
    return vmull_s8(vget_high_s8(a), vget_high_s8(b));
}

static NEON_INLINE int16x8_t neon_mlal_high(int16x8_t sum, int8x16_t a, int8x16_t b) {
    return vmlal_s8(sum, vget_high_s8(a), vget_high_s8(b));
}

/* a0 + a1, a2 + a3, b0 + b1, b2 + b3 */
static NEON_INLINE int32x4_t neon_pair_add(int32x4_t a, int32x4_t b) {
    return vcombine_s32(vpadd_s32(vget_low_s32(a), vget_high_s32(a)),
                        vpadd_s32(vget_low_s32(b), vget_high_s32(b)));
}

static NEON_INLINE uint32_t neon_sum(uint32x4_t v) {
    const uint32x2_t s = vpadd_u32(vget_low_u32(v), vget_high_u32(v));
    return vget_lane_u32(vpadd_u32(s, s), 0);
}
#endif

/* Sums of the lanes of four vectors. */
static NEON_INLINE int32x4_t neon_sum4(int32x4_t a, int32x4_t b, int32x4_t c, int32x4_t d) {
    return neon_pair_add(neon_pair_add(a, b), neon_pair_add(c, d));
}

/* Bit i: the lowest bit of lane i, where the lanes of mask are all ones or all zeros. */
static NEON_INLINE uint32_t neon_mask_bits(uint32x4_t mask) {
    static const uint32_t BITS[4] = {1, 2, 4, 8};
    return neon_sum(vandq_u32(mask, vld1q_u32(BITS)));
}

/* Four s8 to 32 bits, and the low bytes of four lanes back; any alignment. */
static NEON_INLINE int32x4_t neon_load_s8x4(const int8_t *p) {
    uint32_t word;
    memcpy(&word, p, 4);
    return vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_u32(vdup_n_u32(word)))));
}

static NEON_INLINE void neon_store_s8x4(int8_t *p, int32x4_t v) {
    const int16x4_t half = vmovn_s32(v);
    const uint32x2_t bytes = vreinterpret_u32_s8(vmovn_s16(vcombine_s16(half, half)));
    const uint32_t word = vget_lane_u32(bytes, 0);
    memcpy(p, &word, 4);
}

#endif
