/*
 * From bit-sliced sums to outputs: thresholds on the planes, or integers and the epilogue of SPEC.md
 * section 5.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_WIDE_FINISH_H
#define EBNN_WIDE_FINISH_H

#include "ebnn_wide.h"
#include "wide_sum.h"

#define EBNN_LANE_PIXELS (8u * EBNN_LANE_BYTES)

/* A block of pixels: what all channels share. */
typedef struct {
    uint32_t first, n, pixels;     /* first pixel, pixels in the block, pixels of the output */
    uint32_t masks_from, masks_to; /* entries of border_masks */
} ebnn_wide_block_t;

/* Words of one lane to or from a row of 32-bit words that may end inside the lane. */
static inline void ebnn_wide_store_plane(uint32_t *row, const ebnn_wide_block_t *block, ebnn_lane_t v) {
    uint32_t words[EBNN_LANE_BYTES / 4u];
    ebnn_lane_store(words, v);
    row += block->first / 32u;
    const uint32_t n = (block->n + 31u) / 32u;
    if (n == EBNN_LANE_BYTES / 4u && block->n % 32u == 0u) {
        for (uint32_t i = 0; i < EBNN_LANE_BYTES / 4u; i++) {
            row[i] = words[i];
        }
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t left = block->n - 32u * i;
        row[i] = left < 32u ? words[i] & ((1u << left) - 1u) : words[i];
    }
}

/* D >= T for every pixel, m: the masks of one threshold, bits of them; d has n <= bits planes. */
static inline ebnn_lane_t ebnn_wide_compare(const ebnn_lane_t *d, uint32_t n, const uint32_t *m,
                                            uint32_t bits) {
    ebnn_lane_t ge = ebnn_lane_splat(0xFFFFFFFFu);
    const ebnn_lane_t sign = d[n - 1u];
    const ebnn_lane_t not_sign = ebnn_lane_xor(sign, ge);
    for (uint32_t i = 0; i < n; i++) {
        ge = ebnn_lane_majority(d[i], ebnn_lane_splat(m[i]), ge);
    }
    for (uint32_t i = n; i + 1u < bits; i++) {
        ge = ebnn_lane_majority(sign, ebnn_lane_splat(m[i]), ge);
    }
    return ebnn_lane_majority(not_sign, ebnn_lane_splat(m[bits - 1u]), ge);
}

static inline void ebnn_wide_thresholds(const ebnn_bconv_wide_params_t *p, const ebnn_io_t *io,
                                        const ebnn_wide_block_t *block, uint32_t c, const ebnn_lane_t *d,
                                        uint32_t n) {
    const uint32_t bits = p->threshold_bits;
    const size_t per_border = (size_t)p->dims.out_c * bits;
    const uint32_t *t = p->threshold + (size_t)c * bits;
    ebnn_lane_t v = ebnn_wide_compare(d, n, t, bits);
    for (uint32_t i = block->masks_from; i < block->masks_to; i++) {
        const ebnn_lane_t mask = ebnn_lane_load(p->border_masks + (size_t)i * (EBNN_LANE_BYTES / 4u));
        const ebnn_lane_t there = ebnn_wide_compare(d, n, t + p->border_ids[i] * per_border, bits);
        v = ebnn_lane_xor(v, ebnn_lane_and(mask, ebnn_lane_xor(v, there)));
    }
    v = ebnn_lane_xor(v, ebnn_lane_splat(p->flip[c]));
    ebnn_wide_store_plane((uint32_t *)io->out + (size_t)c * ((block->pixels + 31u) / 32u), block, v);
}

/* Accumulators of every pixel of the block. */
static inline void ebnn_wide_accumulators(const ebnn_bconv_wide_params_t *p, const ebnn_wide_block_t *block,
                                          uint32_t c, const ebnn_lane_t *d, uint32_t n, int32_t *acc) {
    const int32_t offset = p->offset[c];
    const int32_t gain = p->gain;
    ebnn_lane_t planes[8];
    uint8_t bytes[EBNN_LANE_PIXELS];
    for (uint32_t i = 0; i < EBNN_LANE_PIXELS; i++) {
        acc[i] = 0;
    }
    for (uint32_t from = 0; from < n; from += 8u) {
        for (uint32_t i = 0; i < 8u; i++) {
            planes[i] = d[from + i < n ? from + i : n - 1u];
        }
        ebnn_lane_bytes(planes, 8, bytes);
        if (from + 8u < n) {
            for (uint32_t i = 0; i < EBNN_LANE_PIXELS; i++) {
                acc[i] += (int32_t)((uint32_t)bytes[i] << from);
            }
        } else {
            for (uint32_t i = 0; i < EBNN_LANE_PIXELS; i++) {
                acc[i] += (int8_t)bytes[i] * (1 << from);
            }
        }
    }
    for (uint32_t i = 0; i < EBNN_LANE_PIXELS; i++) {
        acc[i] = acc[i] * gain + offset;
    }
    for (uint32_t i = block->masks_from; i < block->masks_to; i++) {
        const uint32_t *mask = p->border_masks + (size_t)i * (EBNN_LANE_BYTES / 4u);
        const int32_t more = p->offset[(size_t)p->border_ids[i] * p->dims.out_c + c] - offset;
        for (uint32_t word = 0; word < EBNN_LANE_BYTES / 4u; word++) {
            for (uint32_t m = mask[word]; m != 0u; m &= m - 1u) {
                acc[32u * word + (uint32_t)__builtin_ctz(m)] += more;
            }
        }
    }
}

/* acc -> t of SPEC.md section 5, in place. */
static inline void ebnn_wide_affine(const ebnn_epilogue_t *e, uint32_t c, int32_t *acc) {
    const int32_t mul = e->mul[c], add = e->add[c];
    if (e->combine == 0u) {
        for (uint32_t i = 0; i < EBNN_LANE_PIXELS; i++) {
            acc[i] = acc[i] * mul + add;
        }
        return;
    }
    const int32_t mul2 = e->mul2[c], add2 = e->add2[c];
    const int32_t sign = e->combine == 1u ? 1 : -1; /* min(t, u) = -max(-t, -u) */
    for (uint32_t i = 0; i < EBNN_LANE_PIXELS; i++) {
        const int32_t t = (acc[i] * mul + add) * sign;
        const int32_t u = (acc[i] * mul2 + add2) * sign;
        acc[i] = (t > u ? t : u) * sign;
    }
}

static inline void ebnn_wide_clamp(int32_t *t, uint32_t shift, int32_t low, int32_t high) {
    for (uint32_t i = 0; i < EBNN_LANE_PIXELS; i++) {
        int32_t y = t[i] >> shift;
        y = y < low ? low : y;
        t[i] = y > high ? high : y;
    }
}

/* Codes of a b1 (dtype EBNN_B1: 1 where negative) or u2..u4 tensor as planes. */
static inline void ebnn_wide_store_codes(const ebnn_bconv_wide_params_t *p, const ebnn_wide_block_t *block,
                                         void *out, uint32_t dtype, uint32_t c, const int32_t *code) {
    uint8_t bytes[EBNN_LANE_PIXELS];
    const size_t words = (block->pixels + 31u) / 32u;
    for (uint32_t i = 0; i < EBNN_LANE_PIXELS; i++) {
        bytes[i] = (uint8_t)(dtype == EBNN_B1 ? code[i] < 0 : code[i]);
    }
    for (uint32_t bit = 0; bit < dtype; bit++) {
        uint32_t *row = (uint32_t *)out + ((size_t)bit * p->dims.out_c + c) * words;
        ebnn_wide_store_plane(row, block, ebnn_lane_plane(bytes, bit));
    }
}

/* One channel of the stream, bytes each (1: s8, 4: s32), NHWC or CHW with zeros in the tail. */
static inline void ebnn_wide_store_stream(const ebnn_bconv_wide_params_t *p, const ebnn_wide_block_t *block,
                                          void *out, uint32_t c, const int32_t *y) {
    const size_t channels = p->dims.out_c;
    const int chw = p->out_layout == EBNN_CHW;
    const uint32_t end = block->first + block->n == block->pixels ? (block->n + 3u) & ~3u : block->n;
    const size_t at =
        chw ? c * (size_t)((block->pixels + 3u) & ~3u) + block->first : block->first * channels + c;
    if (p->epilogue.out_dtype == EBNN_S32) {
        int32_t *to = (int32_t *)out + at;
        for (uint32_t i = 0; i < (chw ? end : block->n); i++) {
            to[chw ? i : i * channels] = i < block->n ? y[i] : 0;
        }
    } else if (chw) {
        int8_t *to = (int8_t *)out + at;
        for (uint32_t i = 0; i < block->n; i++) {
            to[i] = (int8_t)y[i];
        }
        for (uint32_t i = block->n; i < end; i++) {
            to[i] = 0;
        }
    } else {
        int8_t *to = (int8_t *)out + at;
        for (uint32_t i = 0; i < block->n; i++) {
            to[i * channels] = (int8_t)y[i];
        }
    }
}

static inline void ebnn_wide_integers(const ebnn_bconv_wide_params_t *p, const ebnn_io_t *io,
                                      const ebnn_wide_block_t *block, uint32_t c, const ebnn_lane_t *d,
                                      uint32_t n) {
    const ebnn_epilogue_t *e = &p->epilogue;
    int32_t v[EBNN_LANE_PIXELS];
    ebnn_wide_accumulators(p, block, c, d, n, v);
    if (e->out_dtype == EBNN_S32) {
        ebnn_wide_store_stream(p, block, io->out, c, v);
        return;
    }
    ebnn_wide_affine(e, c, v);
    if (e->out_dtype == EBNN_B1) {
        ebnn_wide_store_codes(p, block, io->out, EBNN_B1, c, v);
        return;
    }
    if (e->residual != 0u) {
        const int8_t *r = io->in[1];
        const size_t channels = p->dims.out_c;
        if (p->out_layout == EBNN_CHW) {
            r += c * (size_t)((block->pixels + 3u) & ~3u) + block->first;
            for (uint32_t i = 0; i < block->n; i++) {
                v[i] = (v[i] >> e->shift) + r[i];
            }
        } else {
            r += block->first * channels + c;
            for (uint32_t i = 0; i < block->n; i++) {
                v[i] = (v[i] >> e->shift) + r[i * channels];
            }
        }
    }
    ebnn_wide_clamp(v, e->residual != 0u ? 0u : e->shift, e->act_min, e->act_max);
    if (e->out_dtype == EBNN_S8) {
        ebnn_wide_store_stream(p, block, io->out, c, v);
    } else {
        ebnn_wide_store_codes(p, block, io->out, e->out_dtype, c, v);
    }
    if (p->next_dtype != 0u) {
        const int32_t mul = p->next_mul[c], add = p->next_add[c];
        for (uint32_t i = 0; i < EBNN_LANE_PIXELS; i++) {
            v[i] = v[i] * mul + add;
        }
        if (p->next_dtype != EBNN_B1) {
            ebnn_wide_clamp(v, p->next_shift, 0, (1 << p->next_dtype) - 1);
        }
        ebnn_wide_store_codes(p, block, io->out2, p->next_dtype, c, v);
    }
}

/* A lane header may name a header with a faster way for sums of 16 bits: ebnn_wide_narrow(p) tells where it
 * holds, ebnn_wide_narrow_read and _write move a group's s8 streams, ebnn_wide_narrow_channel does the rest.
 */
#ifdef EBNN_WIDE_NARROW_HEADER
#include EBNN_WIDE_NARROW_HEADER
#endif

/* The outputs of a group from its signed sums, `width` bits each. */
static inline void ebnn_wide_finish(const ebnn_bconv_wide_params_t *p, const ebnn_io_t *io,
                                    const ebnn_wide_block_t *block, uint32_t group,
                                    ebnn_lane_t (*d)[EBNN_WIDE_PLANES], uint32_t width) {
    const uint32_t per_group = p->classes == 13u ? 3u : p->weight_kind == 1u ? 4u : 2u;
    const uint32_t first = group * per_group, left = p->dims.out_c - first;
    const uint32_t channels = left < per_group ? left : per_group;
#ifdef EBNN_WIDE_NARROW_HEADER
    const int narrow = p->threshold == NULL && ebnn_wide_narrow(p);
    ebnn_wide_bytes_t rows;
    if (narrow) {
        ebnn_wide_narrow_read(p, io, block, first, channels, &rows);
    }
#endif
    for (uint32_t i = 0; i < channels; i++) {
        ebnn_lane_t sum[EBNN_WIDE_PLANES];
        const ebnn_lane_t *value = d[i];
        uint32_t n = width;
        if (p->weight_kind == 2u && p->classes == 8u) { /* w = (s0 + s1) / 2: bit 0 of the sum is 0 */
            ebnn_wide_add(sum, d[2u * i], d[2u * i + 1u], width);
            value = sum + 1;
        } else if (p->weight_kind == 3u) { /* w = 2 * s0 + s1 = s0 + s0 + s1 */
            ebnn_lane_t twice[EBNN_WIDE_PLANES], other[EBNN_WIDE_PLANES];
            twice[0] = other[0] = ebnn_lane_splat(0);
            for (uint32_t bit = 0; bit < width; bit++) {
                twice[bit + 1u] = d[2u * i][bit];
                other[bit] = d[2u * i + 1u][bit];
            }
            other[width] = other[width - 1u];
            ebnn_wide_add(sum, twice, other, width + 1u);
            value = sum;
            n = width + 2u;
        }
        const uint32_t c = first + i;
        if (p->threshold != NULL) {
            ebnn_wide_thresholds(p, io, block, c, value, n);
            continue;
        }
#ifdef EBNN_WIDE_NARROW_HEADER
        if (narrow) {
            ebnn_wide_narrow_channel(p, io, block, c, value, n, &rows, i);
            continue;
        }
#endif
        ebnn_wide_integers(p, io, block, c, value, n);
    }
#ifdef EBNN_WIDE_NARROW_HEADER
    if (narrow) {
        ebnn_wide_narrow_write(p, io, block, first, channels, &rows);
    }
#endif
}

#endif
