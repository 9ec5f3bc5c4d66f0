/*
 * Lane of the wide bit-plane core: 256 bits, AVX2.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_WIDE_256_H
#define EBNN_WIDE_256_H

#include "ebnn_avx2.h"

#define EBNN_LANE_BYTES 32u
#define EBNN_LANE_UNIT 8u
#define EBNN_WIDE_TERNARY
#define EBNN_WIDE_PAIRS
#define EBNN_LANE_BYTEWISE
#define EBNN_WIDE_NARROW_HEADER "../avx2/wide_finish_256.h"

typedef __m256i ebnn_lane_t;

static inline ebnn_lane_t ebnn_lane_load(const void *p) {
    return _mm256_loadu_si256(p);
}

static inline void ebnn_lane_store(void *p, ebnn_lane_t v) {
    _mm256_storeu_si256(p, v);
}

static inline ebnn_lane_t ebnn_lane_splat(uint32_t v) {
    return _mm256_set1_epi32((int)v);
}

static inline ebnn_lane_t ebnn_lane_xor(ebnn_lane_t a, ebnn_lane_t b) {
    return _mm256_xor_si256(a, b);
}

static inline ebnn_lane_t ebnn_lane_and(ebnn_lane_t a, ebnn_lane_t b) {
    return _mm256_and_si256(a, b);
}

static inline ebnn_lane_t ebnn_lane_xor3(ebnn_lane_t a, ebnn_lane_t b, ebnn_lane_t c) {
    return _mm256_xor_si256(_mm256_xor_si256(a, b), c);
}

static inline ebnn_lane_t ebnn_lane_majority(ebnn_lane_t a, ebnn_lane_t b, ebnn_lane_t c) {
    const __m256i u = _mm256_xor_si256(a, b);
    return _mm256_xor_si256(a, _mm256_and_si256(u, _mm256_xor_si256(a, c)));
}

/* The lower halves of two lanes. */
static inline ebnn_lane_t ebnn_lane_join_halves(ebnn_lane_t low, ebnn_lane_t high) {
    return _mm256_permute2x128_si256(low, high, 0x20);
}

/* The upper half in place of the lower one. */
static inline ebnn_lane_t ebnn_lane_upper(ebnn_lane_t v) {
    return _mm256_permute2x128_si256(v, v, 0x81);
}

#define EBNN_DOT_PIXELS 1u

static inline ebnn_lane_t ebnn_lane_add32(ebnn_lane_t a, ebnn_lane_t b) {
    return _mm256_add_epi32(a, b);
}

static inline ebnn_lane_t ebnn_lane_shl32(ebnn_lane_t a, uint32_t n) {
    return _mm256_sll_epi32(a, _mm_cvtsi32_si128((int)n));
}

/* Set bits of each byte, by nibbles. */
static inline ebnn_lane_t ebnn_lane_count8(ebnn_lane_t v) {
    const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2,
                                           2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const __m256i low = _mm256_set1_epi8(15);
    const __m256i a = _mm256_shuffle_epi8(table, _mm256_and_si256(v, low));
    const __m256i b = _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(v, 4), low));
    return _mm256_add_epi8(a, b);
}

static inline ebnn_lane_t ebnn_lane_add8(ebnn_lane_t a, ebnn_lane_t b) {
    return _mm256_add_epi8(a, b);
}

/* The sum of the four unsigned bytes of each 32-bit lane. */
static inline ebnn_lane_t ebnn_lane_sum8(ebnn_lane_t v) {
    return _mm256_madd_epi16(_mm256_maddubs_epi16(v, _mm256_set1_epi8(1)), _mm256_set1_epi16(1));
}

static inline uint32_t ebnn_lane_below(ebnn_lane_t a, ebnn_lane_t b) {
    return (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(b, a)));
}

/* words[i] >> shift, shift 0..63, with the low bits of words[i + 1] above. */
static inline ebnn_lane_t ebnn_lane_bits(const uint64_t *words, uint32_t shift) {
    const __m256i low = _mm256_srl_epi64(ebnn_lane_load(words), _mm_cvtsi32_si128((int)shift));
    const __m256i high = _mm256_sll_epi64(ebnn_lane_load(words + 1), _mm_cvtsi32_si128((int)(64u - shift)));
    return _mm256_or_si256(low, high);
}

/* out[i] = sum of bit i of planes[b] << b, b < n <= 8. */
static inline void ebnn_lane_bytes(const ebnn_lane_t *planes, uint32_t n, uint8_t *out) {
    const __m256i copies = _mm256_setr_epi64x(0, INT64_C(0x0101010101010101), INT64_C(0x0202020202020202),
                                              INT64_C(0x0303030303030303));
    const __m256i bits = _mm256_set1_epi64x((long long)0x8040201008040201u);
    for (uint32_t word = 0; word < 8u; word++) {
        __m256i v = _mm256_setzero_si256();
        for (uint32_t b = 0; b < n; b++) {
            const int32_t w = ((const int32_t *)(const void *)(planes + b))[word];
            const __m256i x = _mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32(w), copies), bits);
            const __m256i set = _mm256_cmpeq_epi8(x, bits);
            v = _mm256_or_si256(v, _mm256_and_si256(set, _mm256_set1_epi8((char)(1u << b))));
        }
        _mm256_storeu_si256((__m256i *)(void *)(out + 32u * word), v);
    }
}

static inline ebnn_lane_t ebnn_lane_plane(const uint8_t *bytes, uint32_t bit) {
    uint32_t words[8];
    const __m128i up = _mm_cvtsi32_si128((int)(7u - bit));
    for (uint32_t word = 0; word < 8u; word++) {
        const __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)(bytes + 32u * word));
        words[word] = (uint32_t)_mm256_movemask_epi8(_mm256_sll_epi16(v, up));
    }
    return ebnn_lane_load(words);
}

#endif
