/*
 * Integer outputs of the wide bit-plane core for AVX2: accumulators of 16 bits, 256 pixels of a channel at a
 * time. Part of core/wide_finish.h.
 *
 * Order of pixels: vector q (0..7) holds the pixels 16 q .. 16 q + 15 in its low half and 128 + 16 q .. in
 * its high half, as bytes; as 16-bit numbers, two vectors, the first with the first eight of each half.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_WIDE_FINISH_256_H
#define EBNN_WIDE_FINISH_256_H

#define WIDE_HALF 128u /* pixels from the low to the high half of a vector */

/* A group's channels: bytes in the order above. */
typedef struct {
    int8_t residual[4][2 * WIDE_HALF];
    int8_t codes[4][2 * WIDE_HALF];
} ebnn_wide_bytes_t;

/* Accumulators fit 16 bits, and outputs bytes. */
static inline int ebnn_wide_narrow(const ebnn_bconv_wide_params_t *p) {
    const ebnn_conv_dims_t *d = &p->dims;
    const uint64_t products = (uint64_t)d->kernel_h * d->kernel_w * d->in_c;
    const uint64_t most = products * ((1u << p->in_bits) - 1u) * (p->weight_kind == 3u ? 3u : 1u);
    return most <= 0x7FFFu && p->epilogue.out_dtype != EBNN_S32;
}

static inline void wide_swap(__m256i *a, __m256i *b, const int shift, const __m256i mask) {
    const __m256i t = _mm256_and_si256(_mm256_xor_si256(_mm256_srli_epi16(*a, shift), *b), mask);
    *b = _mm256_xor_si256(*b, t);
    *a = _mm256_xor_si256(*a, _mm256_slli_epi16(t, shift));
}

/* out[q]: byte sums of bit << plane for 8 planes, in the order above. */
static EBNN_WIDE_INLINE void wide_transpose(const __m256i *planes, __m256i *out) {
    __m256i v[8], w[8];
    for (uint32_t i = 0; i < 8u; i++) {
        v[i] = planes[i];
    }
    for (uint32_t i = 0; i < 4u; i++) { /* 8 x 8 bits: planes against the pixels of a byte */
        wide_swap(v + i, v + i + 4u, 4, _mm256_set1_epi8(0x0F));
    }
    for (uint32_t i = 0; i < 8u; i += 4u) {
        wide_swap(v + i, v + i + 2u, 2, _mm256_set1_epi8(0x33));
        wide_swap(v + i + 1u, v + i + 3u, 2, _mm256_set1_epi8(0x33));
    }
    for (uint32_t i = 0; i < 8u; i += 2u) {
        wide_swap(v + i, v + i + 1u, 1, _mm256_set1_epi8(0x55));
    }
    for (uint32_t i = 0; i < 4u; i++) { /* v[r]: pixels r, 8 + r, ...: side by side */
        w[i] = _mm256_unpacklo_epi8(v[2u * i], v[2u * i + 1u]);
        w[i + 4u] = _mm256_unpackhi_epi8(v[2u * i], v[2u * i + 1u]);
    }
    for (uint32_t i = 0; i < 8u; i += 4u) {
        const __m256i a = _mm256_unpacklo_epi16(w[i], w[i + 1u]),
                      b = _mm256_unpacklo_epi16(w[i + 2u], w[i + 3u]);
        const __m256i c = _mm256_unpackhi_epi16(w[i], w[i + 1u]),
                      d = _mm256_unpackhi_epi16(w[i + 2u], w[i + 3u]);
        out[i] = _mm256_unpacklo_epi32(a, b);
        out[i + 1u] = _mm256_unpackhi_epi32(a, b);
        out[i + 2u] = _mm256_unpacklo_epi32(c, d);
        out[i + 3u] = _mm256_unpackhi_epi32(c, d);
    }
}

/* Accumulators of channel c: two vectors for each q. */
static inline void wide_accumulators(const ebnn_bconv_wide_params_t *p, const ebnn_wide_block_t *block,
                                     uint32_t c, const __m256i *d, uint32_t n, __m256i *acc) {
    const __m256i gain = _mm256_set1_epi16((int16_t)p->gain);
    const __m256i offset = _mm256_set1_epi16((int16_t)p->offset[c]);
    __m256i planes[16], low[8], high[8];
    for (uint32_t i = 0; i < 16u; i++) {
        planes[i] = d[i < n ? i : n - 1u];
    }
    wide_transpose(planes, low);
    wide_transpose(planes + 8, high);
    for (uint32_t q = 0; q < 8u; q++) {
        const __m256i a = _mm256_unpacklo_epi8(low[q], high[q]), b = _mm256_unpackhi_epi8(low[q], high[q]);
        acc[2u * q] = _mm256_add_epi16(_mm256_mullo_epi16(a, gain), offset);
        acc[2u * q + 1u] = _mm256_add_epi16(_mm256_mullo_epi16(b, gain), offset);
    }
    for (uint32_t i = block->masks_from; i < block->masks_to; i++) {
        const uint32_t *mask = p->border_masks + (size_t)i * (EBNN_LANE_BYTES / 4u);
        const int32_t more = p->offset[(size_t)p->border_ids[i] * p->dims.out_c + c] - p->offset[c];
        for (uint32_t word = 0; word < EBNN_LANE_BYTES / 4u; word++) {
            for (uint32_t m = mask[word]; m != 0u; m &= m - 1u) {
                const uint32_t at = 32u * word + (uint32_t)__builtin_ctz(m);
                const uint32_t q = at % WIDE_HALF / 16u;
                int16_t *to =
                    (int16_t *)(void *)(acc + 2u * q + at % 16u / 8u) + at / WIDE_HALF * 8u + at % 8u;
                *to = (int16_t)(*to + more);
            }
        }
    }
}

/* x * mul + add in 32 bits: the first and the last four of each half. */
static EBNN_WIDE_INLINE void wide_affine(__m256i x, int32_t mul, int32_t add, __m256i *t) {
    const int16_t low = (int16_t)(uint16_t)((uint32_t)add & 0xFFFFu);
    const __m256i factors =
        _mm256_set1_epi32((int32_t)((uint32_t)(uint16_t)mul | (uint32_t)(uint16_t)low << 16));
    const __m256i rest = _mm256_set1_epi32((int32_t)((uint32_t)add - (uint32_t)(int32_t)low));
    const __m256i one = _mm256_set1_epi16(1);
    t[0] = _mm256_add_epi32(_mm256_madd_epi16(_mm256_unpacklo_epi16(x, one), factors), rest);
    t[1] = _mm256_add_epi32(_mm256_madd_epi16(_mm256_unpackhi_epi16(x, one), factors), rest);
}

/* t >> shift of SPEC.md section 5, saturated to 16 bits: what follows adds a byte and limits to a byte. */
static EBNN_WIDE_INLINE __m256i wide_epilogue(const ebnn_epilogue_t *e, uint32_t c, __m256i acc,
                                              uint32_t shift) {
    __m256i t[2], u[2];
    wide_affine(acc, e->mul[c], e->add[c], t);
    if (e->combine != 0u) {
        wide_affine(acc, e->mul2[c], e->add2[c], u);
        for (uint32_t i = 0; i < 2u; i++) {
            t[i] = e->combine == 1u ? _mm256_max_epi32(t[i], u[i]) : _mm256_min_epi32(t[i], u[i]);
        }
    }
    const __m128i by = _mm_cvtsi32_si128((int)shift);
    return _mm256_packs_epi32(_mm256_sra_epi32(t[0], by), _mm256_sra_epi32(t[1], by));
}

static EBNN_WIDE_INLINE __m256i wide_limit(__m256i v, int32_t low, int32_t high) {
    v = _mm256_max_epi16(v, _mm256_set1_epi16((int16_t)low));
    return _mm256_min_epi16(v, _mm256_set1_epi16((int16_t)high));
}

/* Bit `bit` of each pixel's byte as a plane. */
static inline void wide_store_bit(const ebnn_wide_block_t *block, const int8_t *bytes, uint32_t bit,
                                  uint32_t *row) {
    uint16_t words[16];
    const __m128i up = _mm_cvtsi32_si128((int)(7u - bit));
    for (uint32_t q = 0; q < 8u; q++) {
        const __m256i v = _mm256_sll_epi16(ebnn_lane_load(bytes + 32u * q), up);
        const uint32_t both = (uint32_t)_mm256_movemask_epi8(v);
        words[q] = (uint16_t)both;
        words[8u + q] = (uint16_t)(both >> 16);
    }
    ebnn_wide_store_plane(row, block, ebnn_lane_load(words));
}

/* b1 (bytes: negative where the bit is set) or u2..u4 codes of channel c. */
static inline void wide_store_codes(const ebnn_bconv_wide_params_t *p, const ebnn_wide_block_t *block,
                                    void *out, uint32_t dtype, uint32_t c, const int8_t *bytes) {
    const size_t words = (block->pixels + 31u) / 32u;
    for (uint32_t bit = 0; bit < dtype; bit++) {
        uint32_t *row = (uint32_t *)out + ((size_t)bit * p->dims.out_c + c) * words;
        wide_store_bit(block, bytes, dtype == EBNN_B1 ? 7u : bit, row);
    }
}

/* Outputs of channel c, the i-th of its group, except the s8 stream: its codes go to rows. */
static inline void ebnn_wide_narrow_channel(const ebnn_bconv_wide_params_t *p, const ebnn_io_t *io,
                                            const ebnn_wide_block_t *block, uint32_t c, const ebnn_lane_t *d,
                                            uint32_t n, ebnn_wide_bytes_t *rows, uint32_t i) {
    const ebnn_epilogue_t *e = &p->epilogue;
    const int b1 = e->out_dtype == EBNN_B1;
    const int32_t low = b1 ? -1 : e->act_min, high = b1 ? 0 : e->act_max;
    const __m128i next_shift = _mm_cvtsi32_si128(p->next_dtype == EBNN_B1 ? 0 : (int)p->next_shift);
    __m256i acc[16];
    int8_t next[2 * WIDE_HALF];
    wide_accumulators(p, block, c, d, n, acc);
    for (uint32_t q = 0; q < 8u; q++) {
        __m256i y[2], z[2];
        for (uint32_t j = 0; j < 2u; j++) {
            y[j] = wide_epilogue(e, c, acc[2u * q + j], b1 ? 0u : e->shift);
        }
        if (e->residual != 0u) {
            const __m256i r = ebnn_lane_load(rows->residual[i] + 32u * q);
            y[0] = _mm256_adds_epi16(y[0], _mm256_srai_epi16(_mm256_unpacklo_epi8(r, r), 8));
            y[1] = _mm256_adds_epi16(y[1], _mm256_srai_epi16(_mm256_unpackhi_epi8(r, r), 8));
        }
        y[0] = wide_limit(y[0], low, high);
        y[1] = wide_limit(y[1], low, high);
        ebnn_lane_store(rows->codes[i] + 32u * q, _mm256_packs_epi16(y[0], y[1]));
        if (p->next_dtype != 0u) {
            for (uint32_t j = 0; j < 2u; j++) {
                __m256i t[2];
                wide_affine(y[j], p->next_mul[c], p->next_add[c], t);
                z[j] = _mm256_packs_epi32(_mm256_sra_epi32(t[0], next_shift),
                                          _mm256_sra_epi32(t[1], next_shift));
                if (p->next_dtype != EBNN_B1) {
                    z[j] = wide_limit(z[j], 0, (1 << p->next_dtype) - 1);
                }
            }
            ebnn_lane_store(next + 32u * q, _mm256_packs_epi16(z[0], z[1]));
        }
    }
    if (e->out_dtype != EBNN_S8) {
        wide_store_codes(p, block, io->out, e->out_dtype, c, rows->codes[i]);
    }
    if (p->next_dtype != 0u) {
        wide_store_codes(p, block, io->out2, p->next_dtype, c, next);
    }
}

static EBNN_WIDE_INLINE __m256i wide_two(const void *low, const void *high) {
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(low)), _mm_loadu_si128(high), 1);
}

static EBNN_WIDE_INLINE void wide_put_two(void *low, void *high, __m256i v) {
    _mm_storeu_si128(low, _mm256_castsi256_si128(v));
    _mm_storeu_si128(high, _mm256_extracti128_si256(v, 1));
}

/* The residual of m channels from c on. */
static inline void ebnn_wide_narrow_read(const ebnn_bconv_wide_params_t *p, const ebnn_io_t *io,
                                         const ebnn_wide_block_t *block, uint32_t c, uint32_t m,
                                         ebnn_wide_bytes_t *rows) {
    if (p->epilogue.residual == 0u) {
        return;
    }
    const int8_t *from = io->in[1];
    if (p->out_layout == EBNN_CHW) {
        for (uint32_t i = 0; i < m; i++) {
            int8_t row[2 * WIDE_HALF] = {0};
            memcpy(row, from + (c + i) * (size_t)((block->pixels + 3u) & ~3u) + block->first, block->n);
            for (uint32_t q = 0; q < 8u; q++) {
                ebnn_lane_store(rows->residual[i] + 32u * q,
                                wide_two(row + 16u * q, row + WIDE_HALF + 16u * q));
            }
        }
        return;
    }
    const size_t channels = p->dims.out_c;
    uint32_t pixels[2 * WIDE_HALF] = {0}; /* a byte a channel */
    from += block->first * channels + c;
    for (uint32_t i = 0; i < block->n; i++, from += channels) {
        if (m == 4u) {
            memcpy(pixels + i, from, 4);
        } else {
            for (uint32_t j = 0; j < m; j++) {
                pixels[i] |= (uint32_t)(uint8_t)from[j] << (8u * j);
            }
        }
    }
    const __m256i order = _mm256_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15, 0, 4, 8, 12,
                                           1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    for (uint32_t q = 0; q < 8u; q++) {
        const uint32_t *at = pixels + 16u * q;
        __m256i v[4];
        for (uint32_t k = 0; k < 4u; k++) { /* four pixels of each half, a word a channel */
            v[k] = _mm256_shuffle_epi8(wide_two(at + 4u * k, at + WIDE_HALF + 4u * k), order);
        }
        const __m256i a = _mm256_unpacklo_epi32(v[0], v[1]), b = _mm256_unpackhi_epi32(v[0], v[1]);
        const __m256i x = _mm256_unpacklo_epi32(v[2], v[3]), y = _mm256_unpackhi_epi32(v[2], v[3]);
        ebnn_lane_store(rows->residual[0] + 32u * q, _mm256_unpacklo_epi64(a, x));
        ebnn_lane_store(rows->residual[1] + 32u * q, _mm256_unpackhi_epi64(a, x));
        ebnn_lane_store(rows->residual[2] + 32u * q, _mm256_unpacklo_epi64(b, y));
        ebnn_lane_store(rows->residual[3] + 32u * q, _mm256_unpackhi_epi64(b, y));
    }
}

/* The s8 codes of m channels from c on to the output. */
static inline void ebnn_wide_narrow_write(const ebnn_bconv_wide_params_t *p, const ebnn_io_t *io,
                                          const ebnn_wide_block_t *block, uint32_t c, uint32_t m,
                                          const ebnn_wide_bytes_t *rows) {
    if (p->epilogue.out_dtype != EBNN_S8) {
        return;
    }
    int8_t *to = io->out;
    if (p->out_layout == EBNN_CHW) {
        const uint32_t end = block->first + block->n == block->pixels ? (block->n + 3u) & ~3u : block->n;
        for (uint32_t i = 0; i < m; i++) {
            int8_t row[2 * WIDE_HALF];
            for (uint32_t q = 0; q < 8u; q++) {
                wide_put_two(row + 16u * q, row + WIDE_HALF + 16u * q,
                             ebnn_lane_load(rows->codes[i] + 32u * q));
            }
            int8_t *out = to + (c + i) * (size_t)((block->pixels + 3u) & ~3u) + block->first;
            memcpy(out, row, block->n);
            memset(out + block->n, 0, end - block->n);
        }
        return;
    }
    const size_t channels = p->dims.out_c;
    uint32_t pixels[2 * WIDE_HALF];
    for (uint32_t q = 0; q < 8u; q++) {
        __m256i v[4];
        for (uint32_t i = 0; i < 4u; i++) {
            v[i] = i < m ? ebnn_lane_load(rows->codes[i] + 32u * q) : _mm256_setzero_si256();
        }
        const __m256i a = _mm256_unpacklo_epi8(v[0], v[1]), b = _mm256_unpackhi_epi8(v[0], v[1]);
        const __m256i x = _mm256_unpacklo_epi8(v[2], v[3]), y = _mm256_unpackhi_epi8(v[2], v[3]);
        uint32_t *at = pixels + 16u * q;
        wide_put_two(at, at + WIDE_HALF, _mm256_unpacklo_epi16(a, x));
        wide_put_two(at + 4, at + WIDE_HALF + 4, _mm256_unpackhi_epi16(a, x));
        wide_put_two(at + 8, at + WIDE_HALF + 8, _mm256_unpacklo_epi16(b, y));
        wide_put_two(at + 12, at + WIDE_HALF + 12, _mm256_unpackhi_epi16(b, y));
    }
    to += block->first * channels + c;
    for (uint32_t i = 0; i < block->n; i++, to += channels) {
        if (m == 4u) {
            memcpy(to, pixels + i, 4);
        } else {
            for (uint32_t j = 0; j < m; j++) {
                to[j] = (int8_t)(uint8_t)(pixels[i] >> (8u * j) & 0xFFu);
            }
        }
    }
}

#endif
