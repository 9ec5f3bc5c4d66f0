/*
 * Lanes of the s8 convolution (core/wide_conv_s8.h): 8 output channels, 16-bit products, AVX2.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_S8_256_H
#define EBNN_S8_256_H

#include "ebnn_avx2.h"

#define EBNN_S8_LANES 8u
#define EBNN_S8_STEP 2u
#define EBNN_S8_TILE 6u
#define EBNN_S8_FLIP 0

typedef __m256i ebnn_s8_lane_t;
typedef int16_t ebnn_s8_x_t;

/* 16 activations as the products take them. */
static inline void ebnn_s8_widen(const int8_t *from, ebnn_s8_x_t *out) {
    const __m128i x = _mm_loadu_si128((const __m128i *)(const void *)from);
    _mm256_storeu_si256((__m256i *)(void *)out, _mm256_cvtepi8_epi16(x));
}

static inline ebnn_s8_lane_t ebnn_s8_zero(void) {
    return _mm256_setzero_si256();
}

static inline ebnn_s8_lane_t ebnn_s8_load(const void *p) {
    return _mm256_loadu_si256(p);
}

static inline ebnn_s8_lane_t ebnn_s8_add(ebnn_s8_lane_t a, ebnn_s8_lane_t b) {
    return _mm256_add_epi32(a, b);
}

/* acc + w . x for EBNN_S8_STEP products a lane; x: their 32 bits. Exact: a pair of products of 8-bit numbers
 * in 16 bits fits 32 bits. */
static inline ebnn_s8_lane_t ebnn_s8_mac(ebnn_s8_lane_t acc, int32_t x, ebnn_s8_lane_t w) {
    acc = _mm256_add_epi32(acc, _mm256_madd_epi16(_mm256_set1_epi32(x), w));
    __asm__("" : "+x"(acc)); /* added here: compilers gather the products first and run out of registers */
    return acc;
}

/* ebnn_requantize lane by lane; multipliers are not negative, so that the product cannot overflow. */
static inline ebnn_s8_lane_t ebnn_s8_requantize(ebnn_s8_lane_t acc, const int32_t *multiplier,
                                                const int8_t *shift) {
    const __m256i zero = _mm256_setzero_si256(), one = _mm256_set1_epi32(1);
    const __m256i s = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)shift));
    const __m256i m = ebnn_s8_load(multiplier);
    const __m256i nudge = _mm256_set1_epi64x(INT64_C(1) << 30);
    acc = _mm256_sllv_epi32(acc, _mm256_max_epi32(s, zero));
    const __m256i even = _mm256_add_epi64(_mm256_mul_epi32(acc, m), nudge);
    const __m256i odd =
        _mm256_add_epi64(_mm256_mul_epi32(_mm256_srli_epi64(acc, 32), _mm256_srli_epi64(m, 32)), nudge);
    const __m256i v = _mm256_blend_epi32(_mm256_srli_epi64(even, 31), _mm256_slli_epi64(odd, 1), 0xAA);
    const __m256i e = _mm256_max_epi32(_mm256_sub_epi32(zero, s), zero);
    const __m256i mask = _mm256_sub_epi32(_mm256_sllv_epi32(one, e), one);
    const __m256i half = _mm256_sub_epi32(_mm256_srli_epi32(mask, 1), _mm256_srai_epi32(v, 31));
    const __m256i up = _mm256_cmpgt_epi32(_mm256_and_si256(v, mask), half); /* -1 where rounded up */
    return _mm256_sub_epi32(_mm256_srav_epi32(v, e), up);
}

/* clamp(v + offset) of all lanes as bytes. */
static inline void ebnn_s8_codes(ebnn_s8_lane_t v, int32_t offset, int32_t low, int32_t high, int8_t *out) {
    v = _mm256_add_epi32(v, _mm256_set1_epi32(offset));
    v = _mm256_min_epi32(_mm256_max_epi32(v, _mm256_set1_epi32(low)), _mm256_set1_epi32(high));
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    _mm_storel_epi64((__m128i *)(void *)out, _mm_packs_epi16(words, words));
}

#endif
