/*
 * Lanes of the s8 convolution (core/wide_conv_s8.h): 16 output channels; four 8-bit products with VNNI, else
 * two 16-bit ones.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_S8_512_H
#define EBNN_S8_512_H

#ifndef EBNN_AVX512_ICL_H
#include "ebnn_avx512.h"
#endif

#define EBNN_S8_LANES 16u
#define EBNN_S8_TILE 7u

typedef __m512i ebnn_s8_lane_t;

static inline ebnn_s8_lane_t ebnn_s8_zero(void) {
    return _mm512_setzero_si512();
}

static inline ebnn_s8_lane_t ebnn_s8_load(const void *p) {
    return _mm512_loadu_si512(p);
}

static inline ebnn_s8_lane_t ebnn_s8_add(ebnn_s8_lane_t a, ebnn_s8_lane_t b) {
    return _mm512_add_epi32(a, b);
}

/* acc + w . x for EBNN_S8_STEP products a lane; x: their 32 bits. Exact: the sums of VPDPBUSD and of
 * VPMADDWD are 32 bits wide. */
#ifdef EBNN_AVX512_ICL_H
#define EBNN_S8_STEP 4u
#define EBNN_S8_FLIP 0x80 /* VPDPBUSD takes unsigned activations: x + 128 */

typedef uint8_t ebnn_s8_x_t;

/* 16 activations as the products take them. */
static inline void ebnn_s8_widen(const int8_t *from, ebnn_s8_x_t *out) {
    const __m128i x = _mm_loadu_si128((const __m128i *)(const void *)from);
    _mm_storeu_si128((__m128i *)(void *)out, _mm_xor_si128(x, _mm_set1_epi8((char)EBNN_S8_FLIP)));
}

static inline ebnn_s8_lane_t ebnn_s8_mac(ebnn_s8_lane_t acc, int32_t x, ebnn_s8_lane_t w) {
    return _mm512_dpbusd_epi32(acc, _mm512_set1_epi32(x), w);
}
#else
#define EBNN_S8_STEP 2u
#define EBNN_S8_FLIP 0

typedef int16_t ebnn_s8_x_t;

/* 16 activations as the products take them. */
static inline void ebnn_s8_widen(const int8_t *from, ebnn_s8_x_t *out) {
    const __m128i x = _mm_loadu_si128((const __m128i *)(const void *)from);
    _mm256_storeu_si256((__m256i *)(void *)out, _mm256_cvtepi8_epi16(x));
}

static inline ebnn_s8_lane_t ebnn_s8_mac(ebnn_s8_lane_t acc, int32_t x, ebnn_s8_lane_t w) {
    return _mm512_add_epi32(acc, _mm512_madd_epi16(_mm512_set1_epi32(x), w));
}
#endif

/* ebnn_requantize lane by lane; multipliers are not negative, so that the product cannot overflow. */
static inline ebnn_s8_lane_t ebnn_s8_requantize(ebnn_s8_lane_t acc, const int32_t *multiplier,
                                                const int8_t *shift) {
    const __m512i zero = _mm512_setzero_si512(), one = _mm512_set1_epi32(1);
    const __m512i s = _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)shift));
    const __m512i m = ebnn_s8_load(multiplier);
    const __m512i nudge = _mm512_set1_epi64(INT64_C(1) << 30);
    acc = _mm512_sllv_epi32(acc, _mm512_max_epi32(s, zero));
    const __m512i even = _mm512_add_epi64(_mm512_mul_epi32(acc, m), nudge);
    const __m512i odd =
        _mm512_add_epi64(_mm512_mul_epi32(_mm512_srli_epi64(acc, 32), _mm512_srli_epi64(m, 32)), nudge);
    const __m512i v = _mm512_mask_blend_epi32(0xAAAA, _mm512_srli_epi64(even, 31), _mm512_slli_epi64(odd, 1));
    const __m512i e = _mm512_max_epi32(_mm512_sub_epi32(zero, s), zero);
    const __m512i mask = _mm512_sub_epi32(_mm512_sllv_epi32(one, e), one);
    const __m512i half = _mm512_sub_epi32(_mm512_srli_epi32(mask, 1), _mm512_srai_epi32(v, 31));
    const __mmask16 up = _mm512_cmpgt_epi32_mask(_mm512_and_si512(v, mask), half);
    const __m512i shifted = _mm512_srav_epi32(v, e);
    return _mm512_mask_add_epi32(shifted, up, shifted, one);
}

/* clamp(v + offset) of all lanes as bytes. */
static inline void ebnn_s8_codes(ebnn_s8_lane_t v, int32_t offset, int32_t low, int32_t high, int8_t *out) {
    v = _mm512_add_epi32(v, _mm512_set1_epi32(offset));
    v = _mm512_min_epi32(_mm512_max_epi32(v, _mm512_set1_epi32(low)), _mm512_set1_epi32(high));
    _mm_storeu_si128((__m128i *)(void *)out, _mm512_cvtepi32_epi8(v));
}

#endif
