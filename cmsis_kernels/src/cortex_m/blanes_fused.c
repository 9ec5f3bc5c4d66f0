/*
 * Epilogue of the lanes kernel with the DSP extension: class sums of a pass -> s8 outputs and the next
 * layer's codes, two pixels an instruction where the arithmetic allows it.
 *
 * Eight pixels are four words of two 16-bit halves: A = 0 4, B = 2 6, C = 1 5, D = 3 7 (lanes.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "blanes_dsp.h"
#include "blanes_m4.h"

typedef struct {
    uint32_t half[4][4]; /* [plane][A, B, C, D] */
} totals_t;

/* The four planes' sums of two pixels from their eight class sums. bias: of their sum. */
BL_INLINE void add_classes(const uint32_t *c, uint32_t bias, uint32_t *t) {
    const uint32_t s01 = bl_sadd16(c[0], c[1]), s23 = bl_sadd16(c[2], c[3]);
    const uint32_t s45 = bl_sadd16(c[4], c[5]), s67 = bl_sadd16(c[6], c[7]);
    const uint32_t d03 = bl_sadd16(bl_ssub16(c[1], c[0]), bl_ssub16(c[3], c[2]));
    const uint32_t d47 = bl_sadd16(bl_ssub16(c[5], c[4]), bl_ssub16(c[7], c[6]));
    t[0] = bl_ssub16(bl_sadd16(bl_sadd16(s01, s23), bl_sadd16(s45, s67)), bias);
    t[4] = bl_sadd16(d03, d47);
    t[8] = bl_sadd16(bl_ssub16(s23, s01), bl_ssub16(s67, s45));
    t[12] = bl_ssub16(bl_sadd16(s45, s67), bl_sadd16(s01, s23));
}

#define NEXT_CHUNK (sizeof(ebnn_lanes_sums_t) / sizeof(uint32_t))

/* c = the class sums of two pixels of one chunk; first: their fields of a word v. */
#define GATHER(w, first)                                                                                     \
    for (uint32_t j = 0; j < EBNN_CLASSES; j++) {                                                            \
        const uint32_t v = (w)[4u * j];                                                                      \
        c[j] = first;                                                                                        \
    }

/* The same of words of negative and positive entries apart. */
#define GATHER_APART(w, bytes)                                                                               \
    for (uint32_t j = 0; j < EBNN_CLASSES; j++) {                                                            \
        c[j] = bl_ssub16(bytes((w)[8u * j + 4u]), bytes((w)[8u * j]));                                       \
    }

static void totals_apart(const uint32_t *w, totals_t *t) {
    for (uint32_t k = 0; k < 4u; k += 2u, w++) {
        uint32_t c[8];
        GATHER_APART(w, bl_uxtb16)
        add_classes(c, 0u, t->half[0] + k);
        GATHER_APART(w, bl_uxtb16_ror8)
        add_classes(c, 0u, t->half[0] + k + 1u);
    }
}

/* The totals of eight pixels (of the first only where only_first) from one chunk of 4-bit fields; w: the
 * first of their words of class 0. */
static void totals_of_one(const uint32_t *w, int only_first, totals_t *t) {
    const uint32_t bias = EBNN_CLASSES * EBNN_LANES_BIAS4 * 0x00010001u;
    for (uint32_t k = 0; k < 4u; k += 2u, w++) {
        uint32_t c[8];
        GATHER(w, bl_uxtb16(v))
        add_classes(c, bias, t->half[0] + k);
        if (only_first) {
            return;
        }
        GATHER(w, bl_uxtb16_ror8(v))
        add_classes(c, bias, t->half[0] + k + 1u);
    }
}

/* The same of any number of chunks and width of fields. */
BL_INLINE void totals_of_any(uint32_t chunks, uint32_t field_bits, const uint32_t *w, totals_t *t) {
    const uint32_t bias = field_bits == 8u ? 0u : chunks * EBNN_CLASSES * EBNN_LANES_BIAS4 * 0x00010001u;
    for (uint32_t k = 0; k < 4u; k++) {
        const uint32_t *of_k = field_bits == 8u ? w + k : w + k / 2u;
        uint32_t c[8] = {0, 0, 0, 0, 0, 0, 0, 0};
        for (uint32_t i = 0; i < chunks; i++, of_k += NEXT_CHUNK) {
            for (uint32_t j = 0; j < EBNN_CLASSES; j++) {
                const uint32_t v = of_k[4u * j];
                const uint32_t bytes = (k & 1u) != 0u ? bl_uxtb16_ror8(v) : bl_uxtb16(v);
                c[j] = bl_sadd16(c[j], field_bits == 8u ? v : bytes);
            }
        }
        add_classes(c, bias, t->half[0] + k); /* 8 * EBNN_LANES_BIAS8 is 0 modulo 2^16 */
    }
}

static void totals(const ebnn_bconv_lanes_params_t *p, const uint32_t *w, int only_first, totals_t *t) {
    if (p->apart != 0u) {
        totals_apart(w, t);
    } else if (p->field_bits == 8u) {
        totals_of_any(p->chunks, 8u, w, t);
    } else if (p->chunks == 1u && p->field_bits == 4u) {
        totals_of_one(w, only_first, t);
    } else {
        totals_of_any(p->chunks, 4u, w, t);
    }
    if (p->weight_kind != 1u) {
        for (uint32_t i = 0; i < 4u; i++) {
            for (uint32_t c2 = 0; c2 < 2u; c2++) {
                const uint32_t s0 = t->half[2u * c2][i], s1 = t->half[2u * c2 + 1u][i];
                t->half[c2][i] = p->weight_kind == 2u ? bl_shadd16(s0, s1) : bl_sadd16(bl_sadd16(s0, s0), s1);
            }
        }
    }
}

/* What the epilogue of a channel needs, in registers as far as they go: p could alias the outputs. */
typedef struct {
    int32_t mul, add, mul2, add2, next_mul, next_add;
    uint32_t shift, next_shift, combine, next_bits;
} channel_t;

/* Two pixels through an affine map, as halves. */
BL_INLINE uint32_t affine2(uint32_t d, int32_t mul, int32_t add, uint32_t shift) {
    const int32_t low = bl_smlabb(d, mul, add);
    const int32_t high = bl_smlatb(d, mul, add);
    return ebnn_pkhbt16((uint32_t)(low >> shift), (uint32_t)(high >> shift));
}

/* The same with a shift of 16, by the low or the high half of muls. */
BL_INLINE uint32_t map_low(uint32_t d, int32_t muls, int32_t add) {
    return ebnn_pkhtb16((uint32_t)bl_smlabb(d, muls, add), (uint32_t)bl_smlatb(d, muls, add));
}

BL_INLINE uint32_t map_high(uint32_t d, int32_t muls, int32_t add) {
    return ebnn_pkhtb16((uint32_t)bl_smlabt(d, muls, add), (uint32_t)bl_smlatt(d, muls, add));
}

BL_INLINE int32_t pick(int32_t t, int32_t u, uint32_t combine) {
    const int take_u = combine == 1u ? u > t : u < t;
    return take_u ? u : t;
}

BL_INLINE uint32_t outputs2(const channel_t *c, uint32_t d) {
    if (c->combine == 0u) {
        return affine2(d, c->mul, c->add, c->shift);
    }
    const int32_t low = pick(bl_smlabb(d, c->mul, c->add), bl_smlabb(d, c->mul2, c->add2), c->combine);
    const int32_t high = pick(bl_smlatb(d, c->mul, c->add), bl_smlatb(d, c->mul2, c->add2), c->combine);
    return ebnn_pkhbt16((uint32_t)(low >> c->shift), (uint32_t)(high >> c->shift));
}

/* y: halves of 0 .. 255 (128 more than the outputs); eight codes of the next layer. */
static BL_COLD uint32_t codes8(const channel_t *c, const uint32_t *y) {
    uint32_t a = affine2(y[0], c->next_mul, c->next_add, c->next_shift);
    uint32_t b = affine2(y[1], c->next_mul, c->next_add, c->next_shift);
    uint32_t e = affine2(y[2], c->next_mul, c->next_add, c->next_shift);
    uint32_t f = affine2(y[3], c->next_mul, c->next_add, c->next_shift);
    switch (c->next_bits) {
    case 1:
        BL_USAT16X4(a, b, e, f, 1);
        break;
    case 2:
        BL_USAT16X4(a, b, e, f, 2);
        break;
    case 3:
        BL_USAT16X4(a, b, e, f, 3);
        break;
    default:
        BL_USAT16X4(a, b, e, f, 4);
        break;
    }
    return a | (e << 4) | (b << 8) | (f << 12);
}

/* The first n of eight pixels, n = 1 .. 7: outputs behind them are 0. y: the outputs of pixels 0 .. 3 and 4
 * .. 7. */
static void put_tail(uint32_t n, const uint32_t *y, uint32_t q, uint8_t *out, uint32_t *next) {
    const uint32_t bits = 8u * (n & 3u);
    const uint32_t mask = (1u << bits) - 1u;
    ebnn_store32(out, n < 4u ? y[0] & mask : y[0]);
    if (n > 4u) {
        ebnn_store32(out + 4, y[1] & mask);
    }
    if (next != NULL) {
        *next = q & ((1u << (4u * n)) - 1u);
    }
}

/* Eight pixels of the usual block: y: their outputs, from the totals d and the shortcut r0, r1; returns their
 * codes. */
BL_INLINE uint32_t eight_of_block(const uint32_t *d, int32_t muls, int32_t add, int32_t next_add, uint32_t r0,
                                  uint32_t r1, uint32_t *y) {
    const uint32_t p0 = ebnn_pkhbt16(r0, r1), p1 = ebnn_pkhtb16(r0, r1);
    uint32_t y0 = ebnn_sxtab16(map_low(d[0], muls, add), p0), y1 = ebnn_sxtab16(map_low(d[1], muls, add), p1);
    uint32_t y2 = ebnn_sxtab16_ror8(map_low(d[2], muls, add), p0);
    uint32_t y3 = ebnn_sxtab16_ror8(map_low(d[3], muls, add), p1);
    BL_USAT16X4(y0, y1, y2, y3, 8);
    const uint32_t e = y0 | (y2 << 8), f = y1 | (y3 << 8);
    y[0] = ebnn_pkhbt16(e, f) ^ 0x80808080u;
    y[1] = ebnn_pkhtb16(e, f) ^ 0x80808080u;
    y0 = map_high(y0, muls, next_add);
    y1 = map_high(y1, muls, next_add);
    y2 = map_high(y2, muls, next_add);
    y3 = map_high(y3, muls, next_add);
    BL_USAT16X4(y0, y1, y2, y3, 2);
    return y0 | (y2 << 4) | (y1 << 8) | (y3 << 12);
}

/* The usual block, without tests inside: shortcut, shifts of 16, 2 bits a code. */
static void channel_of_block(const channel_t *channel, uint32_t n, const totals_t *t, uint32_t plane,
                             uint8_t *out, const uint8_t *residual, uint32_t *next) {
    const int32_t add = channel->add, next_add = channel->next_add;
    const int32_t muls = (int32_t)ebnn_pkhbt16((uint32_t)channel->mul, (uint32_t)channel->next_mul);
    const uint32_t *d = t->half[plane];
    const uint32_t *end = next + n / 8u;
    uint32_t y[2];
    for (; next != end; d += sizeof *t / sizeof *d, residual += 8, out += 8) {
        *next++ = eight_of_block(d, muls, add, next_add, ebnn_load32(residual), ebnn_load32(residual + 4), y);
        ebnn_store32(out, y[0]);
        ebnn_store32(out + 4, y[1]);
    }
    n &= 7u;
    if (n != 0u) {
        const uint32_t r1 = n > 4u ? ebnn_load32(residual + 4) : 0u;
        const uint32_t q = eight_of_block(d, muls, add, next_add, ebnn_load32(residual), r1, y);
        put_tail(n, y, q, out, next);
    }
}

/* n pixels of one channel; residual and next may be NULL. */
static BL_NOINLINE void channel(const channel_t *c, uint32_t n, const totals_t *t, uint32_t plane,
                                uint8_t *out, const uint8_t *residual, uint32_t *next) {
    for (; n != 0u; t++) {
        const uint32_t *d = t->half[plane];
        uint32_t y[4];
        for (uint32_t i = 0; i < 4u; i++) {
            y[i] = outputs2(c, d[i]);
        }
        if (residual != NULL) {
            const uint32_t r0 = ebnn_load32(residual), r1 = n > 4u ? ebnn_load32(residual + 4) : 0u;
            const uint32_t p0 = ebnn_pkhbt16(r0, r1), p1 = ebnn_pkhtb16(r0, r1);
            y[0] = ebnn_sxtab16(y[0], p0);
            y[2] = ebnn_sxtab16_ror8(y[2], p0);
            y[1] = ebnn_sxtab16(y[1], p1);
            y[3] = ebnn_sxtab16_ror8(y[3], p1);
            residual += 8;
        }
        BL_USAT16X4(y[0], y[1], y[2], y[3], 8);
        const uint32_t e = y[0] | (y[2] << 8), f = y[1] | (y[3] << 8);
        const uint32_t low = ebnn_pkhbt16(e, f) ^ 0x80808080u, high = ebnn_pkhtb16(e, f) ^ 0x80808080u;
        const uint32_t q = next != NULL ? codes8(c, y) : 0u;
        if (n < 8u) {
            const uint32_t both[2] = {low, high};
            put_tail(n, both, q, out, next);
            return;
        }
        ebnn_store32(out, low);
        ebnn_store32(out + 4, high);
        if (next != NULL) {
            *next++ = q;
        }
        out += 8;
        n -= 8u;
    }
}

/* Narrows n stored outputs to act_min .. act_max; the bytes behind the last are 0 and stay 0 when 0 is
 * inside. */
static BL_COLD void limit(const ebnn_bconv_lanes_params_t *p, uint8_t *out, uint32_t n) {
    if (p->act_min == 0 && p->act_max == INT8_MAX) { /* ReLU: four bytes at a time */
        for (uint32_t i = 0; i < n; i += 4u) {
            const uint32_t y = ebnn_load32(out + i);
            ebnn_store32(out + i, y & ~(((y >> 7) & 0x01010101u) * 0xFFu));
        }
        return;
    }
    int8_t *y = (int8_t *)out;
    for (uint32_t i = 0; i < n; i++) {
        const int32_t v = y[i] < p->act_min ? p->act_min : y[i];
        y[i] = (int8_t)(v > p->act_max ? p->act_max : v);
    }
}

/* The signs of mul * D + add, mul 1 or -1, of n pixels of one channel as 4-bit codes. */
static void signs(int32_t mul, int32_t add, uint32_t n, const totals_t *t, uint32_t plane, uint32_t *out) {
    const uint32_t add2 = ebnn_pkhbt16((uint32_t)add, (uint32_t)add);
    const uint32_t top = 0x80008000u;
    for (;; t++) {
        const uint32_t *d = t->half[plane];
        uint32_t a, b, c, e;
        if (mul > 0) {
            a = bl_sadd16(add2, d[0]), b = bl_sadd16(add2, d[1]), c = bl_sadd16(add2, d[2]),
            e = bl_sadd16(add2, d[3]);
        } else {
            a = bl_ssub16(add2, d[0]), b = bl_ssub16(add2, d[1]), c = bl_ssub16(add2, d[2]),
            e = bl_ssub16(add2, d[3]);
        }
        const uint32_t v = (a & top) >> 15 | (c & top) >> 11 | (b & top) >> 7 | (e & top) >> 3;
        if (n <= 8u) {
            *out = v & (~0u >> (32u - 4u * n)); /* GCC 12 miscompiles a condition here (M55) */
            return;
        }
        *out++ = v;
        n -= 8u;
    }
}

static void channels(const ebnn_bconv_lanes_params_t *p, const ebnn_io_t *io, uint32_t group, uint32_t first,
                     uint32_t n, const totals_t *t) {
    const uint32_t pixels = (uint32_t)p->dims.out_h * p->dims.out_w;
    const uint32_t bytes = (pixels + 3u) & ~3u, words = (pixels + 7u) / 8u;
    const uint32_t per_group = p->weight_kind == 1u ? 4u : 2u;
    const uint32_t left = p->dims.out_c - group * per_group;
    const uint32_t count = left < per_group ? left : per_group;
    const int usual = p->combine == 0u && p->residual != 0u && p->shift == 16u && p->next_bits == 2u &&
                      p->next_shift == 16u;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t o = group * per_group + i;
        if (p->out_dtype == EBNN_B1) {
            signs(p->mul[o], p->add[o], n, t, i, (uint32_t *)io->out + o * words + first / 8u);
            continue;
        }
        uint8_t *out = (uint8_t *)io->out + o * bytes + first;
        const uint8_t *residual = p->residual != 0u ? (const uint8_t *)io->in[1] + o * bytes + first : NULL;
        uint32_t *next = p->next_bits != 0u ? (uint32_t *)io->out2 + o * words + first / 8u : NULL;
        /* outputs are computed 128 too high, so that the clamp to 0 .. 255 is theirs to -128 .. 127 */
        channel_t c = {
            p->mul[o],   p->add[o] + (128 << p->shift), 0, 0, 0, 0, p->shift, p->next_shift, p->combine,
            p->next_bits};
        if (p->combine != 0u) {
            c.mul2 = p->mul2[o];
            c.add2 = p->add2[o] + (128 << p->shift);
        }
        if (next != NULL) {
            c.next_mul = p->next_mul[o];
            c.next_add = p->next_add[o] - 128 * c.next_mul;
        }
        if (usual) {
            channel_of_block(&c, n, t, i, out, residual, next);
        } else {
            channel(&c, n, t, i, out, residual, next);
        }
        if (p->act_min > INT8_MIN || p->act_max < INT8_MAX) {
            limit(p, out, n);
        }
    }
}

void ebnn_lanes_fast_group__cortex_m4(const ebnn_bconv_lanes_params_t *p, const ebnn_io_t *io, uint32_t group,
                                      uint32_t first, uint32_t n, const uint16_t *list, const uint8_t *counts,
                                      const uint8_t *base, uint32_t *scratch) {
    const uint32_t most = p->field_bits == 4u ? 16u : 8u, chunks = p->chunks;
    const ebnn_lanes_runs_t narrow = p->code_max == 1u ? ebnn_lanes_sum4_long
                                     : p->apart != 0u  ? ebnn_lanes_sum4_apart
                                                       : ebnn_lanes_sum4_short;
    const ebnn_lanes_runs_t sum = most == 16u ? narrow : ebnn_lanes_sum8_long;
    ebnn_lanes_sums_t sums[EBNN_FAST_CHUNKS];
    totals_t *t = (totals_t *)scratch;
    for (uint32_t at = 0; at < n; at += most, base += 8) {
        const uint16_t *l = list;
        for (uint32_t i = 0; i < chunks; i++) {
            l = sum(l, counts + 16u * i, base, sums[i].word[0]);
        }
        totals(p, sums[0].word[0], at + 1u == n, t++);
        if (most == 16u && at + 8u < n) {
            totals(p, sums[0].word[0] + 2, at + 9u == n, t++);
        }
    }
    channels(p, io, group, first, n, (const totals_t *)scratch);
}
