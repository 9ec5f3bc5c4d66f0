/*
 * Lane of the wide bit-plane core: 512 bits, AVX-512; VPTERNLOG is half a full adder.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_WIDE_512_H
#define EBNN_WIDE_512_H

#ifndef EBNN_AVX512_ICL_H
#include "ebnn_avx512.h"
#endif

#define EBNN_LANE_BYTES 64u
#define EBNN_LANE_UNIT 8u
#define EBNN_WIDE_TERNARY
#define EBNN_WIDE_PAIRS
#define EBNN_LANE_BYTEWISE
#define EBNN_LANE_ENTRY

typedef __m512i ebnn_lane_t;

static inline ebnn_lane_t ebnn_lane_load(const void *p) {
    return _mm512_loadu_si512(p);
}

static inline void ebnn_lane_store(void *p, ebnn_lane_t v) {
    _mm512_storeu_si512(p, v);
}

static inline ebnn_lane_t ebnn_lane_splat(uint32_t v) {
    return _mm512_set1_epi32((int)v);
}

static inline ebnn_lane_t ebnn_lane_xor(ebnn_lane_t a, ebnn_lane_t b) {
    return _mm512_xor_si512(a, b);
}

static inline ebnn_lane_t ebnn_lane_and(ebnn_lane_t a, ebnn_lane_t b) {
    return _mm512_and_si512(a, b);
}

static inline ebnn_lane_t ebnn_lane_xor3(ebnn_lane_t a, ebnn_lane_t b, ebnn_lane_t c) {
    return _mm512_ternarylogic_epi64(a, b, c, 0x96);
}

static inline ebnn_lane_t ebnn_lane_majority(ebnn_lane_t a, ebnn_lane_t b, ebnn_lane_t c) {
    return _mm512_ternarylogic_epi64(a, b, c, 0xE8);
}

/* The i-th of four list entries. Loads of entries one by one take as long as those of the planes. */
static inline uint64_t ebnn_lane_entry(uint64_t four, const uint32_t i) {
    return i == 0u ? four & 0xFFFFu : __bextr_u64(four, 0x1000u | 16u * i);
}

/* The lower halves of two lanes. */
static inline ebnn_lane_t ebnn_lane_join_halves(ebnn_lane_t low, ebnn_lane_t high) {
    return _mm512_shuffle_i64x2(low, high, 0x44);
}

/* The upper half in place of the lower one. */
static inline ebnn_lane_t ebnn_lane_upper(ebnn_lane_t v) {
    return _mm512_shuffle_i64x2(v, v, 0xEE);
}

static inline ebnn_lane_t ebnn_lane_add32(ebnn_lane_t a, ebnn_lane_t b) {
    return _mm512_add_epi32(a, b);
}

static inline ebnn_lane_t ebnn_lane_shl32(ebnn_lane_t a, uint32_t n) {
    return _mm512_sll_epi32(a, _mm_cvtsi32_si128((int)n));
}

#ifdef EBNN_AVX512_ICL_H
#define EBNN_LANE_WORD_COUNTS 1
#define EBNN_LANE_KEEP(v) __asm__("" : "+v"(v)) /* compilers copy sums and spill them otherwise */
#define EBNN_DOT_PIXELS 7u                      /* divides the maps of networks for 224 x 224 pixels */
#define EBNN_DOT_VECTORS 2u

static inline ebnn_lane_t ebnn_lane_count32(ebnn_lane_t v) {
    return _mm512_popcnt_epi32(v);
}

static inline uint32_t ebnn_lane_join(uint32_t low, uint32_t high) {
    return _mm512_kunpackw(high, low);
}
#else
#define EBNN_DOT_PIXELS 2u

/* Set bits of each byte, by nibbles: VPOPCNTDQ is no part of the AVX-512 this is compiled for, and one count
 * in eight words costs little. */
static inline ebnn_lane_t ebnn_lane_count8(ebnn_lane_t v) {
    const __m512i table =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    const __m512i low = _mm512_set1_epi8(15);
    const __m512i a = _mm512_shuffle_epi8(table, _mm512_and_si512(v, low));
    const __m512i b = _mm512_shuffle_epi8(table, _mm512_and_si512(_mm512_srli_epi16(v, 4), low));
    return _mm512_add_epi8(a, b);
}

static inline ebnn_lane_t ebnn_lane_add8(ebnn_lane_t a, ebnn_lane_t b) {
    return _mm512_add_epi8(a, b);
}

/* The sum of the four unsigned bytes of each 32-bit lane. */
static inline ebnn_lane_t ebnn_lane_sum8(ebnn_lane_t v) {
    return _mm512_madd_epi16(_mm512_maddubs_epi16(v, _mm512_set1_epi8(1)), _mm512_set1_epi16(1));
}
#endif

static inline uint32_t ebnn_lane_below(ebnn_lane_t a, ebnn_lane_t b) {
    return _mm512_cmplt_epi32_mask(a, b);
}

/* words[i] >> shift, shift 0..63, with the low bits of words[i + 1] above. */
static inline ebnn_lane_t ebnn_lane_bits(const uint64_t *words, uint32_t shift) {
    const __m512i low = _mm512_srl_epi64(ebnn_lane_load(words), _mm_cvtsi32_si128((int)shift));
    const __m512i high = _mm512_sll_epi64(ebnn_lane_load(words + 1), _mm_cvtsi32_si128((int)(64u - shift)));
    return _mm512_or_si512(low, high);
}

/* out[i] = sum of bit i of planes[b] << b, b < n <= 8. */
static inline void ebnn_lane_bytes(const ebnn_lane_t *planes, uint32_t n, uint8_t *out) {
    for (uint32_t word = 0; word < 8u; word++) {
        __m512i v = _mm512_setzero_si512();
        for (uint32_t b = 0; b < n; b++) {
            const __mmask64 m = ((const uint64_t *)(const void *)(planes + b))[word];
            v = _mm512_mask_add_epi8(v, m, v, _mm512_set1_epi8((char)(1u << b)));
        }
        _mm512_storeu_si512(out + 64u * word, v);
    }
}

static inline ebnn_lane_t ebnn_lane_plane(const uint8_t *bytes, uint32_t bit) {
    uint64_t words[8];
    const __m512i mask = _mm512_set1_epi8((char)(1u << bit));
    for (uint32_t word = 0; word < 8u; word++) {
        words[word] = _mm512_test_epi8_mask(_mm512_loadu_si512(bytes + 64u * word), mask);
    }
    return ebnn_lane_load(words);
}

#endif
