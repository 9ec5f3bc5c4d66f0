/*
 * Convolution of b1 and u2..u4 with binary weights by tables: for each half byte of a pixel's bits a table of
 * 16 counts, looked up by 64 channels' half bytes at once (VPSHUFB). Several rows x 64 channels at a time, so
 * that weights are loaded once for all of them; a row is one bit of the codes of a pixel's taps.
 *
 * Parameters as in ebnn_bconv_dot_params_t with lanes = 32: weights are half bytes, a byte each, so that they
 * need no unpacking: [out_c / 32][byte of the taps][low, high][32].
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "wide_256.h"
#include "ebnn_kernels.h"
#include "../core/wide_dot.h"

#define LUT_LANES 32u
#define MOST_ROWS 6u
/* Keeps a sum in its register: compilers add up the looked up counts first and run out of registers. */
#define KEEP(v) __asm__("" : "+x"(v))
#define MOST_BYTES 31u     /* added before an 8-bit count may overflow */
#define MOST_COUNT 0xFFFFu /* of an output: 16 bits */

#if defined(__clang__)
#define LUT_UNROLL _Pragma("clang loop unroll(full)")
#else
#define LUT_UNROLL _Pragma("GCC unroll 8")
#endif

/* Row n: the set bits of n ^ i for i = 0..15. */
typedef struct {
    uint8_t row[16][16];
} lut_t;

static void make_table(lut_t *t) {
    for (uint32_t n = 0; n < 16u; n++) {
        for (uint32_t i = 0; i < 16u; i++) {
            t->row[n][i] = (uint8_t)__builtin_popcount(n ^ i);
        }
    }
}

static inline __m256i row_at(const lut_t *t, uint32_t offset) {
    const void *row = (const uint8_t *)t + offset;
    return _mm256_broadcastsi128_si256(_mm_loadu_si128(row));
}

/* Counts of n rows of offsets (n <= MOST_ROWS) and vectors x 32 channels, 16 bits each: even channels, then
 * odd ones. */
static EBNN_DOT_INLINE void lut_counts(const lut_t *t, const uint8_t *x, const uint8_t *w, uint32_t bytes,
                                       const uint32_t n, const uint32_t vectors, __m256i (*counts)[2][2]) {
    const size_t next = 2u * (size_t)bytes * LUT_LANES; /* from one vector of channels to the next */
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t v = 0; v < vectors; v++) {
            counts[i][v][0] = counts[i][v][1] = _mm256_setzero_si256();
        }
    }
    for (uint32_t first = 0; first < bytes; first += MOST_BYTES) {
        const uint32_t end = bytes - first < MOST_BYTES ? bytes : first + MOST_BYTES;
        __m256i sum[MOST_ROWS][2];
        LUT_UNROLL
        for (uint32_t i = 0; i < n; i++) {
            LUT_UNROLL
            for (uint32_t v = 0; v < vectors; v++) {
                sum[i][v] = _mm256_setzero_si256();
            }
        }
        for (uint32_t k = first; k < end; k++) {
            LUT_UNROLL
            for (uint32_t half = 0; half < 2u; half++) { /* of each byte: fewer registers than both at once */
                __m256i index[2];
                LUT_UNROLL
                for (uint32_t v = 0; v < vectors; v++) {
                    index[v] = ebnn_lane_load(w + v * next + ((size_t)k * 2u + half) * LUT_LANES);
                }
                LUT_UNROLL
                for (uint32_t i = 0; i < n; i++) {
                    const __m256i row = row_at(t, x[2u * ((size_t)i * bytes + k) + half]);
                    LUT_UNROLL
                    for (uint32_t v = 0; v < vectors; v++) {
                        sum[i][v] = _mm256_add_epi8(sum[i][v], _mm256_shuffle_epi8(row, index[v]));
                        KEEP(sum[i][v]);
                    }
                }
            }
        }
        LUT_UNROLL
        for (uint32_t i = 0; i < n; i++) {
            LUT_UNROLL
            for (uint32_t v = 0; v < vectors; v++) {
                counts[i][v][0] = _mm256_add_epi16(counts[i][v][0], sum[i][v]); /* and 256 * the odd ones */
                counts[i][v][1] = _mm256_add_epi16(counts[i][v][1], _mm256_srli_epi16(sum[i][v], 8));
            }
        }
    }
    LUT_UNROLL
    for (uint32_t i = 0; i < n; i++) {
        LUT_UNROLL
        for (uint32_t v = 0; v < vectors; v++) {
            const __m256i odd = _mm256_slli_epi16(counts[i][v][1], 8);
            counts[i][v][0] = _mm256_sub_epi16(counts[i][v][0], odd);
        }
    }
}

/* Bytes to the offsets of their half bytes' rows, two each. */
static void expand(const uint8_t *in, uint8_t *out, size_t n) {
    const __m128i high = _mm_set1_epi8((char)0xF0);
    for (size_t i = 0; i < n; i += 16u) { /* whole words: n may end with 4, 8 or 12 bytes */
        if (n - i < 16u) {
            for (; i < n; i++) {
                out[2u * i] = (uint8_t)(in[i] << 4);
                out[2u * i + 1u] = in[i] & 0xF0u;
            }
            return;
        }
        const __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(in + i));
        const __m128i a = _mm_and_si128(_mm_slli_epi16(v, 4), high);
        const __m128i b = _mm_and_si128(v, high);
        _mm_storeu_si128((__m128i *)(void *)(out + 2u * i), _mm_unpacklo_epi8(a, b));
        _mm_storeu_si128((__m128i *)(void *)(out + 2u * i + 16u), _mm_unpackhi_epi8(a, b));
    }
}

/* 32 channels' counts in order, eight at a time. */
static void finish(const ebnn_bconv_dot_params_t *p, const ebnn_io_t *io, uint32_t pixel, uint32_t c,
                   const __m256i *counts) {
    const __m256i a = _mm256_unpacklo_epi16(counts[0], counts[1]); /* channels 0..7, 16..23 */
    const __m256i b = _mm256_unpackhi_epi16(counts[0], counts[1]); /* channels 8..15, 24..31 */
    const __m256i eights[4] = {_mm256_cvtepu16_epi32(_mm256_castsi256_si128(a)),
                               _mm256_cvtepu16_epi32(_mm256_castsi256_si128(b)),
                               _mm256_cvtepu16_epi32(_mm256_extracti128_si256(a, 1)),
                               _mm256_cvtepu16_epi32(_mm256_extracti128_si256(b, 1))};
    for (uint32_t i = 0; i < 4u; i++) {
        if (p->threshold != NULL) {
            ebnn_dot_thresholds(p, io->out, pixel, 1, c + 8u * i, eights + i);
        } else {
            ebnn_dot_finish(p, io, pixel, c + 8u * i, eights + i);
        }
    }
}

/* counts[i] += 2^bit * rows[i * bits + bit] for n pixels: one bit counts twice the one below. */
static EBNN_DOT_INLINE void add_bits(__m256i (*rows)[2][2], const uint32_t n, const uint32_t bits,
                                     const uint32_t vectors) {
    for (uint32_t i = 0; i < n && bits > 1u; i++) {
        for (uint32_t v = 0; v < vectors; v++) {
            for (uint32_t half = 0; half < 2u; half++) {
                __m256i sum = rows[i * bits + bits - 1u][v][half];
                for (uint32_t bit = bits - 1u; bit-- > 0u;) {
                    sum = _mm256_add_epi16(_mm256_add_epi16(sum, sum), rows[i * bits + bit][v][half]);
                }
                rows[i][v][half] = sum;
            }
        }
    }
}

/* All pixels of a block for one or two vectors of channels from c on, `tile` of them at a time. */
static EBNN_DOT_INLINE void lut_block(const ebnn_bconv_dot_params_t *p, const ebnn_io_t *io, const lut_t *t,
                                      const uint8_t *x, uint32_t first, uint32_t n, uint32_t bytes,
                                      uint32_t c, const uint32_t vectors, const uint32_t bits,
                                      const uint32_t tile) {
    const uint8_t *w = (const uint8_t *)p->weights + 2u * (size_t)c * bytes;
    __m256i counts[MOST_ROWS][2][2];
    uint32_t i = 0;
    while (i < n) {
        uint32_t m = 1;
        if (n >= tile && n - i > 1u) { /* the last ones go together, some of them again */
            m = tile;
            i = n - i < tile ? n - tile : i;
            lut_counts(t, x + 2u * (size_t)i * bits * bytes, w, bytes, bits * tile, vectors, counts);
            add_bits(counts, tile, bits, vectors);
        } else {
            lut_counts(t, x + 2u * (size_t)i * bits * bytes, w, bytes, bits, vectors, counts);
            add_bits(counts, 1, bits, vectors);
        }
        for (uint32_t j = 0; j < m; j++) {
            for (uint32_t v = 0; v < vectors; v++) {
                finish(p, io, first + i + j, c + v * LUT_LANES, counts[j][v]);
            }
        }
        i += m;
    }
}

/* The channels of a part, for n pixels from `first` on; `bits` and `tile` are constants. */
static EBNN_DOT_INLINE void lut_blocks(const ebnn_bconv_dot_params_t *p, const ebnn_io_t *io, const lut_t *t,
                                       const uint8_t *x, uint32_t first, uint32_t n, ebnn_part_t channels,
                                       const uint32_t bits, const uint32_t tile) {
    const uint32_t bytes = 4u * ebnn_dot_words(&p->dims);
    uint32_t c = channels.begin;
    for (; c + 2u * LUT_LANES <= channels.end; c += 2u * LUT_LANES) {
        lut_block(p, io, t, x, first, n, bytes, c, 2, bits, tile);
    }
    if (c < channels.end) {
        lut_block(p, io, t, x, first, n, bytes, c, 1, bits, tile);
    }
}

uint32_t ebnn_bconv2d_lut__avx2_get_buffer_size(const void *params) {
    return 3u * ebnn_dot_buffer_size(params); /* the words of the taps, and two offsets a byte */
}

ebnn_status_t ebnn_bconv2d_lut__avx2(const void *params, const ebnn_io_t *io) {
    const ebnn_bconv_dot_params_t *p = params;
    const uint64_t products = (uint64_t)p->dims.kernel_h * p->dims.kernel_w * p->dims.in_c;
    if (p->lanes != LUT_LANES || p->weight_kind != 1u || p->in_bits == 0u || p->in_bits > 4u ||
        products * ((1u << p->in_bits) - 1u) > MOST_COUNT) {
        return EBNN_ERR_ARGUMENT;
    }
    const uint32_t pixels = (uint32_t)p->dims.out_h * p->dims.out_w;
    const uint32_t bytes = 4u * ebnn_dot_words(&p->dims);
    const uint32_t padded = ((uint32_t)p->dims.out_c + 31u) & ~31u;
    const ebnn_parts_t part = ebnn_parts(io, pixels, padded, 32);
    uint8_t *x = (uint8_t *)io->scratch + ebnn_dot_buffer_size(p);
    lut_t table;
    make_table(&table);
    for (uint32_t first = part.rows.begin; first < part.rows.end; first += p->block_pixels) {
        const uint32_t n = part.rows.end - first < p->block_pixels ? part.rows.end - first : p->block_pixels;
        ebnn_dot_gather(&p->dims, p->in_bits, io->in[0], first, n, io->scratch);
        expand(io->scratch, x, (size_t)n * p->in_bits * bytes);
        switch (p->in_bits) {
        case 1:
            lut_blocks(p, io, &table, x, first, n, part.columns, 1, 5);
            break;
        case 2:
            lut_blocks(p, io, &table, x, first, n, part.columns, 2, 3);
            break;
        case 3:
            lut_blocks(p, io, &table, x, first, n, part.columns, 3, 2);
            break;
        default:
            lut_blocks(p, io, &table, x, first, n, part.columns, 4, 1);
        }
    }
    return EBNN_OK;
}

#include "../core/target_end.h"
