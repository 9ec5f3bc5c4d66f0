/*
 * Binary and ternary convolution by counting: output channels along the lanes, Harley-Seal carry-save adders
 * along the words of a pixel's taps (ebnn_wide.h says what it computes).
 *
 * A lane header stands before this one. Besides what wide.h lists it defines EBNN_DOT_PIXELS, the pixels
 * worked on at a time, and ebnn_lane_add32(a, b), ebnn_lane_shl32(a, n)      lanes of 32 bits
 *   ebnn_lane_count32(v)                              set bits of each 32-bit lane
 *   EBNN_LANE_BYTE_COUNTS instead of it, where the processor counts the bits of bytes, with
 *   ebnn_lane_add_counts8(a, v), ebnn_lane_sum8(a)    adds the set bits of each byte; sums of the bytes of
 * 32-bit lanes ebnn_lane_below(a, b)                             bit i: lane i of a is smaller than lane i of
 * b, signed
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_WIDE_DOT_H
#define EBNN_WIDE_DOT_H

#include <string.h>

#include "../portable/ebnn_epilogue.h"
#include "ebnn_wide.h"
#include "part.h"

#define EBNN_DOT_LANES (EBNN_LANE_BYTES / 4u)
#define EBNN_DOT_INLINE inline __attribute__((always_inline))

/* Differing bits of one word of a pixel and of the channels' weights. */
static EBNN_DOT_INLINE ebnn_lane_t ebnn_dot_word(uint32_t x, const uint32_t *w, const uint32_t planes) {
    const ebnn_lane_t differ = ebnn_lane_xor(ebnn_lane_splat(x), ebnn_lane_load(w));
    return planes == 1u ? differ : ebnn_lane_and(differ, ebnn_lane_load(w + EBNN_DOT_LANES));
}

#ifdef EBNN_LANE_BYTE_COUNTS
/* Counts of a vector of channels for n pixels, `words` words each; x: [pixel][words], w:
 * [words][planes][lanes]. Byte by byte, where counting bytes costs no more than a carry-save adder: 8 a word,
 * so 31 words fit a byte. */
static EBNN_DOT_INLINE void ebnn_dot_counts(const uint32_t *x, const uint32_t *w, uint32_t words,
                                            const uint32_t n, const uint32_t planes, ebnn_lane_t *counts) {
    for (uint32_t i = 0; i < n; i++) {
        counts[i] = ebnn_lane_splat(0);
    }
    for (uint32_t first = 0; first < words; first += 31u) {
        const uint32_t end = words - first < 31u ? words : first + 31u;
        ebnn_lane_t sums[EBNN_DOT_PIXELS];
        const uint32_t *at[EBNN_DOT_PIXELS];
        for (uint32_t i = 0; i < n; i++) {
            sums[i] = ebnn_lane_splat(0);
            at[i] = x + (size_t)i * words + first;
        }
        for (uint32_t k = first; k < end; k++, w += planes * EBNN_DOT_LANES) {
            for (uint32_t i = 0; i < n; i++) {
                sums[i] = ebnn_lane_add_counts8(sums[i], ebnn_dot_word(*at[i]++, w, planes));
            }
        }
        for (uint32_t i = 0; i < n; i++) {
            counts[i] = ebnn_lane_add32(counts[i], ebnn_lane_sum8(sums[i]));
        }
    }
}
#else
typedef struct {
    ebnn_lane_t low[3]; /* counts of weight 1, 2 and 4, bit by bit */
    ebnn_lane_t eights; /* 32-bit counts */
} ebnn_dot_sum_t;

#define DOT_ADD(high, low, a_, b_, c_)                                                                       \
    do {                                                                                                     \
        const ebnn_lane_t da = (a_), db = (b_), dc = (c_);                                                   \
        (high) = ebnn_lane_majority(da, db, dc);                                                             \
        (low) = ebnn_lane_xor3(da, db, dc);                                                                  \
    } while (0)

static EBNN_DOT_INLINE void ebnn_dot_eight(ebnn_dot_sum_t *s, const uint32_t *x, const uint32_t *w,
                                           const uint32_t planes) {
    ebnn_lane_t t, h0, h1, h2, h3, q0, q1, eight;
#define WORD(i) ebnn_dot_word(x[i], w + (i)*planes * EBNN_DOT_LANES, planes)
    DOT_ADD(h0, t, WORD(0), WORD(1), WORD(2));
    DOT_ADD(h1, t, t, WORD(3), WORD(4));
    DOT_ADD(h2, t, t, WORD(5), WORD(6));
    DOT_ADD(q0, h0, h0, h1, h2);
    DOT_ADD(h3, s->low[0], s->low[0], t, WORD(7));
    DOT_ADD(q1, s->low[1], s->low[1], h0, h3);
    DOT_ADD(eight, s->low[2], s->low[2], q0, q1);
#undef WORD
    s->eights = ebnn_lane_add32(s->eights, ebnn_lane_count32(eight));
}

/* Counts of a vector of channels for n pixels, `words` words each; x: [pixel][words], w:
 * [words][planes][lanes]. */
static EBNN_DOT_INLINE void ebnn_dot_counts(const uint32_t *x, const uint32_t *w, uint32_t words,
                                            const uint32_t n, const uint32_t planes, ebnn_lane_t *counts) {
    ebnn_dot_sum_t s[EBNN_DOT_PIXELS];
    const uint32_t step = planes * EBNN_DOT_LANES;
    const ebnn_lane_t zero = ebnn_lane_splat(0);
    for (uint32_t i = 0; i < n; i++) {
        s[i].low[0] = s[i].low[1] = s[i].low[2] = s[i].eights = zero;
    }
    uint32_t k = 0;
    for (; k + 8u <= words; k += 8u) {
        for (uint32_t i = 0; i < n; i++) {
            ebnn_dot_eight(&s[i], x + (size_t)i * words + k, w + (size_t)k * step, planes);
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        ebnn_lane_t sum = ebnn_lane_shl32(s[i].eights, 3);
        sum = ebnn_lane_add32(sum, ebnn_lane_shl32(ebnn_lane_count32(s[i].low[2]), 2));
        sum = ebnn_lane_add32(sum, ebnn_lane_shl32(ebnn_lane_count32(s[i].low[1]), 1));
        sum = ebnn_lane_add32(sum, ebnn_lane_count32(s[i].low[0]));
        for (uint32_t j = k; j < words; j++) {
            const ebnn_lane_t v = ebnn_dot_word(x[(size_t)i * words + j], w + (size_t)j * step, planes);
            sum = ebnn_lane_add32(sum, ebnn_lane_count32(v));
        }
        counts[i] = sum;
    }
}

#endif

/* The words of the taps of n pixels from `first` on, zeros outside the image. */
static inline void ebnn_dot_gather(const ebnn_conv_dims_t *d, const uint32_t *in, uint32_t first, uint32_t n,
                                   uint32_t *out) {
    const uint32_t words = ((uint32_t)d->in_c + 31u) / 32u;
    for (uint32_t pixel = first; pixel < first + n; pixel++) {
        const int32_t y0 = (int32_t)(pixel / d->out_w * d->stride_h) - d->pad_h;
        const int32_t x0 = (int32_t)(pixel % d->out_w * d->stride_w) - d->pad_w;
        for (uint32_t ky = 0; ky < d->kernel_h; ky++) {
            const int32_t y = y0 + (int32_t)(ky * d->dilation_h);
            for (uint32_t kx = 0; kx < d->kernel_w; kx++, out += words) {
                const int32_t x = x0 + (int32_t)(kx * d->dilation_w);
                if (y < 0 || y >= d->in_h || x < 0 || x >= d->in_w) {
                    memset(out, 0, 4u * words);
                } else {
                    memcpy(out, in + ((size_t)(uint32_t)y * d->in_w + (uint32_t)x) * words, 4u * words);
                }
            }
        }
    }
}

/* The outputs of a vector of channels from c on, for one pixel. */
static inline void ebnn_dot_finish(const ebnn_bconv_dot_params_t *p, const ebnn_io_t *io, uint32_t pixel,
                                   uint32_t c, ebnn_lane_t count) {
    const ebnn_epilogue_t *e = &p->epilogue;
    const uint32_t channels = p->dims.out_c;
    const uint32_t padded = (channels + 31u) & ~31u;
    const size_t at = (p->kinds != NULL ? (size_t)p->kinds[pixel] * padded : 0u) + c;
    uint8_t *bits = (uint8_t *)io->out + (size_t)pixel * (padded / 8u) + c / 8u;
    uint32_t v = 0;
    if (p->threshold != NULL) {
        v = ~ebnn_lane_below(count, ebnn_lane_load(p->threshold + at)) ^ (p->flip[c / 32u] >> (c % 32u));
    } else {
        int32_t counts[EBNN_DOT_LANES];
        ebnn_lane_store(counts, count);
        for (uint32_t i = 0; i < EBNN_DOT_LANES && c + i < channels; i++) {
            const int32_t acc = p->offset[at + i] - 2 * counts[i];
            const size_t index = (size_t)pixel * channels + c + i;
            if (e->out_dtype == EBNN_B1) {
                v |= ebnn_epilogue_bit(e, acc, c + i) << i;
            } else if (e->out_dtype == EBNN_S32) {
                ((int32_t *)io->out)[index] = acc;
            } else {
                const int32_t residual = e->residual != 0u ? ((const int8_t *)io->in[1])[index] : 0;
                ((int8_t *)io->out)[index] = (int8_t)ebnn_epilogue_code(e, acc, c + i, residual);
            }
        }
    }
    if (e->out_dtype == EBNN_B1) {
#if EBNN_LANE_BYTES >= 32u
        for (uint32_t i = 0; i < EBNN_DOT_LANES / 8u; i++) {
            bits[i] = (uint8_t)(v >> (8u * i));
        }
#else
        bits[0] = (uint8_t)(c % 8u == 0u ? v & 15u : (bits[0] & 15u) | (v << 4));
#endif
    }
}

static EBNN_DOT_INLINE void ebnn_dot_block(const ebnn_bconv_dot_params_t *p, const ebnn_io_t *io,
                                           const uint32_t *x, uint32_t first, uint32_t n, uint32_t words,
                                           const uint32_t planes) {
    const uint32_t padded = ((uint32_t)p->dims.out_c + 31u) & ~31u;
    const ebnn_part_t part = ebnn_parts(io, (uint32_t)p->dims.out_h * p->dims.out_w, padded, 32).columns;
    const uint32_t *w = p->weights + (size_t)part.begin * words * planes;
    for (uint32_t c = part.begin; c < part.end;
         c += EBNN_DOT_LANES, w += (size_t)words * planes * EBNN_DOT_LANES) {
        ebnn_lane_t counts[EBNN_DOT_PIXELS];
        uint32_t i = 0;
        for (; i + EBNN_DOT_PIXELS <= n; i += EBNN_DOT_PIXELS) {
            ebnn_dot_counts(x + (size_t)i * words, w, words, EBNN_DOT_PIXELS, planes, counts);
            for (uint32_t j = 0; j < EBNN_DOT_PIXELS; j++) {
                ebnn_dot_finish(p, io, first + i + j, c, counts[j]);
            }
        }
        for (; i < n; i++) {
            ebnn_dot_counts(x + (size_t)i * words, w, words, 1, planes, counts);
            ebnn_dot_finish(p, io, first + i, c, counts[0]);
        }
    }
}

static inline uint32_t ebnn_dot_words(const ebnn_conv_dims_t *d) {
    return (uint32_t)d->kernel_h * d->kernel_w * (((uint32_t)d->in_c + 31u) / 32u);
}

static inline uint32_t ebnn_dot_buffer_size(const ebnn_bconv_dot_params_t *p) {
    return 4u * p->block_pixels * ebnn_dot_words(&p->dims);
}

static inline ebnn_status_t ebnn_dot_run(const ebnn_bconv_dot_params_t *p, const ebnn_io_t *io) {
    if (p->lanes != EBNN_DOT_LANES) {
        return EBNN_ERR_ARGUMENT;
    }
    const uint32_t pixels = (uint32_t)p->dims.out_h * p->dims.out_w;
    const uint32_t words = ebnn_dot_words(&p->dims);
    const ebnn_part_t part = ebnn_parts(io, pixels, p->dims.out_c, 32).rows;
    uint32_t *x = io->scratch;
    for (uint32_t first = part.begin; first < part.end; first += p->block_pixels) {
        const uint32_t n = part.end - first < p->block_pixels ? part.end - first : p->block_pixels;
        ebnn_dot_gather(&p->dims, io->in[0], first, n, x);
        if (p->weight_kind == 1u) {
            ebnn_dot_block(p, io, x, first, n, words, 1);
        } else {
            ebnn_dot_block(p, io, x, first, n, words, 2);
        }
    }
    return EBNN_OK;
}

#endif
