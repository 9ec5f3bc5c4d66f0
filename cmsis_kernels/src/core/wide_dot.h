/*
 * Low-bit convolution by counting: output channels along the lanes, the words of a pixel's taps one after
 * another (ebnn_wide.h says what it computes).
 *
 * A lane header stands before this one. Besides what wide.h lists it defines
 *
 * - EBNN_DOT_PIXELS, the pixels worked on at a time, and EBNN_DOT_VECTORS, the lanes of channels: 1 unless
 * defined, or 2, with ebnn_lane_join(low, high) of their bits;
 * - for lanes of 32 bits ebnn_lane_add32(a, b), ebnn_lane_shl32(a, n) and ebnn_lane_below(a, b): bit i tells
 * whether lane i of a is smaller than that of b, signed;
 * - with EBNN_LANE_WORD_COUNTS ebnn_lane_count32(v), the set bits of each 32-bit lane in one instruction, for
 * every word, and EBNN_LANE_KEEP(v), which keeps v in its register; else ebnn_lane_count8(v), those of each
 * byte, called once for eight words, which Harley-Seal carry-save adders sum up, with ebnn_lane_add8(a, b)
 * and ebnn_lane_sum8(v), the sum of the bytes of each 32-bit lane.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_WIDE_DOT_H
#define EBNN_WIDE_DOT_H

#include <string.h>

#include "../portable/ebnn_epilogue.h"
#include "ebnn_wide.h"
#include "part.h"
#include "wide_add.h"
#include "wide_gather.h"

#define EBNN_DOT_LANES (EBNN_LANE_BYTES / 4u)
#define EBNN_DOT_INLINE inline __attribute__((always_inline))
#ifndef EBNN_DOT_VECTORS
#define EBNN_DOT_VECTORS 1u
#endif
#define EBNN_DOT_COUNTS (8u * EBNN_DOT_VECTORS)           /* of a tile, at most */
#define EBNN_DOT_TILE (EBNN_DOT_LANES * EBNN_DOT_VECTORS) /* channels worked on at a time */

#if defined(__clang__)
#define EBNN_DOT_UNROLL _Pragma("clang loop unroll(full)")
#else
#define EBNN_DOT_UNROLL _Pragma("GCC unroll 32")
#endif

/* Differing bits of one word of a pixel and of the channels' weights. */
static EBNN_DOT_INLINE ebnn_lane_t ebnn_dot_word(uint32_t x, const uint32_t *w, const uint32_t planes) {
    const ebnn_lane_t differ = ebnn_lane_xor(ebnn_lane_splat(x), ebnn_lane_load(w));
    return planes == 1u ? differ : ebnn_lane_and(differ, ebnn_lane_load(w + EBNN_DOT_LANES));
}

/* ebnn_dot_counts: counts[pixel][vector] of n pixels and EBNN_DOT_VECTORS lanes of channels, `words` words
 * each; a pixel's words lie `stride` words apart; w: [vector][words][planes][lanes]. */

#if defined(EBNN_LANE_WORD_COUNTS)
static EBNN_DOT_INLINE void ebnn_dot_counts(const uint32_t *x, size_t stride, const uint32_t *w,
                                            uint32_t words, const uint32_t n, const uint32_t planes,
                                            ebnn_lane_t *counts) {
    const size_t next = (size_t)words * planes * EBNN_DOT_LANES;
    ebnn_lane_t sums[EBNN_DOT_COUNTS];
    EBNN_DOT_UNROLL
    for (uint32_t i = 0; i < EBNN_DOT_COUNTS; i++) {
        sums[i] = ebnn_lane_splat(0);
    }
    for (uint32_t k = 0; k < words; k++, w += planes * EBNN_DOT_LANES) {
        EBNN_DOT_UNROLL
        for (uint32_t i = 0; i < n; i++) {
            EBNN_DOT_UNROLL
            for (uint32_t v = 0; v < EBNN_DOT_VECTORS; v++) {
                const ebnn_lane_t differ = ebnn_dot_word(x[i * stride + k], w + v * next, planes);
                ebnn_lane_t *sum = &sums[i * EBNN_DOT_VECTORS + v];
                *sum = ebnn_lane_add32(*sum, ebnn_lane_count32(differ));
                EBNN_LANE_KEEP(*sum);
            }
        }
    }
    EBNN_DOT_UNROLL
    for (uint32_t i = 0; i < EBNN_DOT_COUNTS; i++) { /* all: compilers then see that none is left unset */
        counts[i] = sums[i];
    }
}
#else
typedef struct {
    ebnn_lane_t low[3]; /* counts of weight 1, 2 and 4, bit by bit */
    ebnn_lane_t eights; /* counts of weight 8 of each byte */
} ebnn_dot_sum_t;

#define EBNN_DOT_MOST (8u * 31u) /* words whose eights a byte counts: 31 times 8 */

static EBNN_DOT_INLINE void ebnn_dot_eight(ebnn_dot_sum_t *s, const uint32_t *x, const uint32_t *w,
                                           const uint32_t planes) {
    ebnn_lane_t t0, t1, h0, h1, h2, h3, q0, q1, eight; /* a flat tree: less to wait for than in a chain */
#define WORD(i) ebnn_dot_word(x[i], w + (i)*planes * EBNN_DOT_LANES, planes)
    FULL_ADD(h0, t0, WORD(0), WORD(1), WORD(2));
    FULL_ADD(h1, t1, WORD(3), WORD(4), WORD(5));
    FULL_ADD(h2, s->low[0], s->low[0], WORD(6), WORD(7));
    FULL_ADD(h3, s->low[0], t0, t1, s->low[0]);
    FULL_ADD(q0, h0, h0, h1, h2);
    FULL_ADD(q1, s->low[1], s->low[1], h0, h3);
    FULL_ADD(eight, s->low[2], s->low[2], q0, q1);
#undef WORD
    s->eights = ebnn_lane_add8(s->eights, ebnn_lane_count8(eight));
}

static EBNN_DOT_INLINE void ebnn_dot_counts(const uint32_t *x, size_t stride, const uint32_t *w,
                                            uint32_t words, const uint32_t n, const uint32_t planes,
                                            ebnn_lane_t *counts) {
    ebnn_dot_sum_t s[EBNN_DOT_COUNTS];
    ebnn_lane_t eights[EBNN_DOT_COUNTS]; /* 32-bit counts */
    const uint32_t step = planes * EBNN_DOT_LANES;
    const ebnn_lane_t zero = ebnn_lane_splat(0);
    for (uint32_t i = 0; i < n; i++) {
        s[i].low[0] = s[i].low[1] = s[i].low[2] = eights[i] = zero;
    }
    uint32_t k = 0;
    while (k + 8u <= words) {
        const uint32_t end = words - k < EBNN_DOT_MOST ? words : k + EBNN_DOT_MOST;
        for (uint32_t i = 0; i < n; i++) {
            s[i].eights = zero;
        }
        for (; k + 8u <= end; k += 8u) {
            for (uint32_t i = 0; i < n; i++) {
                ebnn_dot_eight(&s[i], x + i * stride + k, w + (size_t)k * step, planes);
            }
        }
        for (uint32_t i = 0; i < n; i++) {
            eights[i] = ebnn_lane_add32(eights[i], ebnn_lane_sum8(s[i].eights));
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        /* at most 8 of weight 4, 2 and 1 each in a byte, and 7 words of 8 bits */
        ebnn_lane_t rest = ebnn_lane_count8(s[i].low[2]);
        rest = ebnn_lane_add8(ebnn_lane_add8(rest, rest), ebnn_lane_count8(s[i].low[1]));
        rest = ebnn_lane_add8(ebnn_lane_add8(rest, rest), ebnn_lane_count8(s[i].low[0]));
        for (uint32_t j = k; j < words; j++) {
            const ebnn_lane_t v = ebnn_dot_word(x[i * stride + j], w + (size_t)j * step, planes);
            rest = ebnn_lane_add8(rest, ebnn_lane_count8(v));
        }
        counts[i] = ebnn_lane_add32(ebnn_lane_shl32(eights[i], 3), ebnn_lane_sum8(rest));
    }
}

#endif

/* Pixels of a tile: two-bit codes are two rows of words a pixel. */
static EBNN_DOT_INLINE uint32_t ebnn_dot_pixels(const uint32_t bits) {
    return bits == 2u ? (EBNN_DOT_PIXELS + 1u) / 2u : EBNN_DOT_PIXELS;
}

/* The same for codes of several bits, x: [pixel][bit][words]: each bit counts twice the one below. `bits` is
 * a constant 1 or 2, or any number. */
static EBNN_DOT_INLINE void ebnn_dot_codes(const uint32_t *x, const uint32_t *w, uint32_t words,
                                           const uint32_t bits, const uint32_t n, const uint32_t planes,
                                           ebnn_lane_t *counts) {
    const size_t stride = (size_t)bits * words;
    if (bits == 1u) {
        ebnn_dot_counts(x, stride, w, words, n, planes, counts);
        return;
    }
    if (bits == 2u) { /* a row of words for each bit, together */
        ebnn_lane_t rows[EBNN_DOT_COUNTS];
        ebnn_dot_counts(x, words, w, words, 2u * n, planes, rows);
        EBNN_DOT_UNROLL
        for (uint32_t i = 0; i < n; i++) {
            EBNN_DOT_UNROLL
            for (uint32_t v = 0; v < EBNN_DOT_VECTORS; v++) {
                const ebnn_lane_t high = rows[(2u * i + 1u) * EBNN_DOT_VECTORS + v];
                const ebnn_lane_t low = rows[2u * i * EBNN_DOT_VECTORS + v];
                counts[i * EBNN_DOT_VECTORS + v] = ebnn_lane_add32(low, ebnn_lane_add32(high, high));
            }
        }
        return;
    }
    ebnn_dot_counts(x + (size_t)(bits - 1u) * words, stride, w, words, n, planes, counts);
    for (uint32_t bit = bits - 1u; bit-- > 0u;) {
        ebnn_lane_t more[EBNN_DOT_COUNTS];
        ebnn_dot_counts(x + (size_t)bit * words, stride, w, words, n, planes, more);
        EBNN_DOT_UNROLL
        for (uint32_t i = 0; i < n * EBNN_DOT_VECTORS; i++) {
            counts[i] = ebnn_lane_add32(ebnn_lane_add32(counts[i], counts[i]), more[i]);
        }
    }
}

/* Bits of EBNN_DOT_VECTORS lanes of channels from c on to their word of an EBNN_NHWC tensor. */
static inline void ebnn_dot_put_bits(uint32_t *word, uint32_t c, uint32_t v) {
    uint8_t *bits = (uint8_t *)word + c % 32u / 8u;
    memcpy(bits, &v, EBNN_DOT_TILE / 8u); /* little-endian, as the formats are */
}

#include "wide_dot_finish.h"

/* b1 outputs by thresholds: lanes of channels from c on, for n pixels. */
static EBNN_DOT_INLINE void ebnn_dot_thresholds(const ebnn_bconv_dot_params_t *p, void *out, uint32_t first,
                                                const uint32_t n, uint32_t c, const ebnn_lane_t *counts) {
    const size_t padded = ((size_t)p->dims.out_c + 31u) & ~(size_t)31u;
    const int32_t *limits = p->threshold + c;
    const uint32_t flip = ~(p->flip[c / 32u] >> (c % 32u));
    const uint8_t *kinds = p->kinds;
    uint32_t *word = (uint32_t *)out + first * (padded / 32u) + c / 32u;
    EBNN_DOT_UNROLL
    for (uint32_t i = 0; i < n; i++, word += padded / 32u) {
        const int32_t *limit = kinds == NULL ? limits : limits + kinds[first + i] * padded;
        uint32_t below = ebnn_lane_below(counts[i * EBNN_DOT_VECTORS], ebnn_lane_load(limit));
#if EBNN_DOT_VECTORS == 2u
        const ebnn_lane_t t = ebnn_lane_load(limit + EBNN_DOT_LANES);
        below = ebnn_lane_join(below, ebnn_lane_below(counts[i * EBNN_DOT_VECTORS + 1u], t));
#endif
        ebnn_dot_put_bits(word, c, below ^ flip);
    }
}

/* One tile: n pixels from `first` on, x theirs, and the channels from c on. */
static EBNN_DOT_INLINE void ebnn_dot_tile(const ebnn_bconv_dot_params_t *p, const ebnn_io_t *io,
                                          const uint32_t *x, const uint32_t *w, uint32_t words,
                                          uint32_t first, const uint32_t n, uint32_t c, const uint32_t planes,
                                          const uint32_t bits) {
    ebnn_lane_t counts[EBNN_DOT_COUNTS];
    ebnn_dot_codes(x, w, words, bits, n, planes, counts);
    if (p->threshold != NULL) {
        ebnn_dot_thresholds(p, io->out, first, n, c, counts);
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        ebnn_dot_finish(p, io, first + i, c, counts + i * EBNN_DOT_VECTORS);
    }
}

/* All channels of n pixels from `first` on. */
static EBNN_DOT_INLINE void ebnn_dot_block(const ebnn_bconv_dot_params_t *p, const ebnn_io_t *io,
                                           const uint32_t *x, uint32_t first, uint32_t n, uint32_t words,
                                           const uint32_t planes, const uint32_t bits) {
    const uint32_t padded = ((uint32_t)p->dims.out_c + 31u) & ~31u;
    const ebnn_part_t part = ebnn_parts(io, (uint32_t)p->dims.out_h * p->dims.out_w, padded, 32).columns;
    const size_t stride = (size_t)bits * words;
    const uint32_t tile = ebnn_dot_pixels(bits);
    const uint32_t *w = p->weights + (size_t)part.begin * words * planes;
    for (uint32_t c = part.begin; c < part.end;
         c += EBNN_DOT_TILE, w += (size_t)words * planes * EBNN_DOT_TILE) {
        uint32_t i = 0;
        for (; n >= tile && i < n; i += tile) {
            i = n - i < tile ? n - tile : i; /* the last ones together, some again */
            ebnn_dot_tile(p, io, x + i * stride, w, words, first + i, tile, c, planes, bits);
        }
        for (; i < n; i++) {
            ebnn_dot_tile(p, io, x + i * stride, w, words, first + i, 1, c, planes, bits);
        }
    }
}

/* The same, the kind of weights and the usual widths of codes made constants. */
static inline void ebnn_dot_blocks(const ebnn_bconv_dot_params_t *p, const ebnn_io_t *io, const uint32_t *x,
                                   uint32_t first, uint32_t n, uint32_t words) {
    const int binary = p->weight_kind == 1u;
    if (p->in_bits == 1u && binary) {
        ebnn_dot_block(p, io, x, first, n, words, 1, 1);
    } else if (p->in_bits == 1u) {
        ebnn_dot_block(p, io, x, first, n, words, 2, 1);
    } else if (p->in_bits == 2u && binary) {
        ebnn_dot_block(p, io, x, first, n, words, 1, 2);
    } else if (binary) {
        ebnn_dot_block(p, io, x, first, n, words, 1, p->in_bits);
    } else {
        ebnn_dot_block(p, io, x, first, n, words, 2, p->in_bits);
    }
}

static inline uint32_t ebnn_dot_buffer_size(const ebnn_bconv_dot_params_t *p) {
    return 4u * p->block_pixels * p->in_bits * ebnn_dot_words(&p->dims);
}

static inline ebnn_status_t ebnn_dot_run(const ebnn_bconv_dot_params_t *p, const ebnn_io_t *io) {
    if (p->lanes != EBNN_DOT_LANES) {
        return EBNN_ERR_ARGUMENT;
    }
    const uint32_t pixels = (uint32_t)p->dims.out_h * p->dims.out_w;
    const uint32_t words = ebnn_dot_words(&p->dims);
    const ebnn_part_t part = ebnn_parts(io, pixels, p->dims.out_c, 32).rows;
    const int direct = ebnn_dot_direct(&p->dims);
    const uint32_t *x = io->scratch;
    for (uint32_t first = part.begin; first < part.end; first += p->block_pixels) {
        const uint32_t n = part.end - first < p->block_pixels ? part.end - first : p->block_pixels;
        if (direct) {
            x = (const uint32_t *)io->in[0] + (size_t)first * p->in_bits * words;
        } else {
            ebnn_dot_gather(&p->dims, p->in_bits, io->in[0], first, n, io->scratch);
        }
        ebnn_dot_blocks(p, io, x, first, n, words);
    }
    return EBNN_OK;
}

#endif
