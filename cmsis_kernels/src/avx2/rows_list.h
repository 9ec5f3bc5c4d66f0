/*
 * What the kernel of weight rows reads a pixel's bits as: a list of the rows of its ones, or the row that
 * each group of three picks. x86, AVX2 and wider lanes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_ROWS_LIST_H
#define EBNN_ROWS_LIST_H

#include <immintrin.h>
#include <stdint.h>

#include "../core/wide_add.h"

#define ROWS_UNITS (EBNN_LANE_BYTES / EBNN_LANE_UNIT) /* of a row */

/* The positions (from 1 on) of the set bits of a byte, a byte each, the lowest first. */
#define ROWS_PUSH(list, b, i)                                                                                \
    ((list) << (8u * (((b) >> (i)) & 1u)) | (uint64_t)((((b) >> (i)) & 1u) * ((i) + 1u) * ROWS_UNITS))
#define ROWS_HIGH(b) ROWS_PUSH(ROWS_PUSH(ROWS_PUSH(ROWS_PUSH(UINT64_C(0), b, 7u), b, 6u), b, 5u), b, 4u)
#define ROWS_OF(b) ROWS_PUSH(ROWS_PUSH(ROWS_PUSH(ROWS_PUSH(ROWS_HIGH(b), b, 3u), b, 2u), b, 1u), b, 0u)
#define ROWS_4(b) ROWS_OF(b), ROWS_OF((b) + 1u), ROWS_OF((b) + 2u), ROWS_OF((b) + 3u)
#define ROWS_16(b) ROWS_4(b), ROWS_4((b) + 4u), ROWS_4((b) + 8u), ROWS_4((b) + 12u)
#define ROWS_64(b) ROWS_16(b), ROWS_16((b) + 16u), ROWS_16((b) + 32u), ROWS_16((b) + 48u)
static const uint64_t ebnn_rows_of_byte[256] = {ROWS_64(0u), ROWS_64(64u), ROWS_64(128u), ROWS_64(192u)};
#undef ROWS_64
#undef ROWS_16
#undef ROWS_4
#undef ROWS_OF
#undef ROWS_HIGH
#undef ROWS_PUSH

static inline uint32_t ebnn_rows_ones(const uint32_t *x, uint32_t words) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < words; i++) {
        n += (uint32_t)__builtin_popcount(x[i]);
    }
    return n;
}

/* Fills a list up to whole turns of so many runs of 8; returns the runs. */
static inline uint32_t ebnn_rows_fill(const uint16_t *list, uint16_t *end, uint32_t turn) {
    const uint32_t turns = ((uint32_t)(end - list) + 8u * turn - 1u) / (8u * turn);
    for (uint32_t i = 0; i < turn; i++, end += 8) {
        _mm_storeu_si128((__m128i *)(void *)end, _mm_setzero_si128());
    }
    return turn * turns;
}

/* Offsets of the rows 1 + k, or pairs of rows, of the set bits k of x ^ flip, filled up with row 0 to a
 * multiple of `turn` (1, 2 or 4) runs of 8: lists of about the same length then take the same branches.
 * Returns the runs; writes up to 8 * turn entries behind the last bit's. */
static inline __attribute__((always_inline)) uint32_t ebnn_rows_list(const uint32_t *x, uint32_t words,
                                                                     uint32_t flip, const uint32_t pairs,
                                                                     uint32_t turn, uint16_t *list) {
    const __m128i step = _mm_set1_epi16((short)(8u * ROWS_UNITS << pairs));
    __m128i base = _mm_setzero_si128();
    uint16_t *end = list;
    for (uint32_t i = 0; i < words; i++) {
        uint32_t word = x[i] ^ flip;
        for (uint32_t j = 0; j < 4u; j++, word >>= 8) {
            const uint64_t *rows = ebnn_rows_of_byte + (word & 0xFFu);
            const __m128i entries = _mm_cvtepu8_epi16(_mm_loadl_epi64((const __m128i *)(const void *)rows));
            _mm_storeu_si128((__m128i *)(void *)end,
                             _mm_add_epi16(pairs ? _mm_add_epi16(entries, entries) : entries, base));
            base = _mm_add_epi16(base, step);
            end += __builtin_popcount(word & 0xFFu);
        }
    }
    return ebnn_rows_fill(list, end, turn);
}

/* The same of pairs, for words with about one set bit of eight: without the work for bytes that are 0. */
static inline uint32_t ebnn_rows_list_few(const uint32_t *x, uint32_t words, uint32_t turn, uint16_t *list) {
    const uint32_t unit = 2u * ROWS_UNITS, usual = 12;
    uint16_t *end = list;
    for (uint32_t i = 0; i < words; i += 2u) {
        const uint32_t base = (32u * i + 1u) * unit;
        uint64_t v = i + 1u < words ? x[i] | (uint64_t)x[i + 1u] << 32 : x[i];
        const uint32_t n = (uint32_t)__builtin_popcountll(v);
        uint32_t j = 0;
        EBNN_WIDE_UNROLL
        for (; j < usual; j++, v = _blsr_u64(v)) { /* a branch for each would often go wrong */
            end[j] = (uint16_t)(base + (uint32_t)_tzcnt_u64(v) * unit);
        }
        for (; j < n; j++, v = _blsr_u64(v)) {
            end[j] = (uint16_t)(base + (uint32_t)_tzcnt_u64(v) * unit);
        }
        end += n;
    }
    return ebnn_rows_fill(list, end, turn);
}

#endif
