/*
 * Epilogue of the lanes kernel with the DSP extension: class sums of a pass -> s8 outputs and the next layer's codes,
 * two pixels an instruction where the arithmetic allows it.
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

/* The four planes' sums from the eight class sums of two pixels. */
BL_INLINE void add_classes(const uint32_t *c, totals_t *t, uint32_t i) {
    const uint32_t s01 = c[0] + c[1], s23 = c[2] + c[3], s45 = c[4] + c[5], s67 = c[6] + c[7];
    const uint32_t d03 = bl_sadd16(bl_ssub16(c[1], c[0]), bl_ssub16(c[3], c[2]));
    const uint32_t d47 = bl_sadd16(bl_ssub16(c[5], c[4]), bl_ssub16(c[7], c[6]));
    t->half[0][i] = (s01 + s23) + (s45 + s67);
    t->half[1][i] = bl_sadd16(d03, d47);
    t->half[2][i] = bl_sadd16(bl_ssub16(s23, s01), bl_ssub16(s67, s45));
    t->half[3][i] = bl_ssub16(s45 + s67, s01 + s23);
}

/* The totals of eight pixels; first: the first of their words of class 0. */
static void totals(const ebnn_bconv_lanes_params_t *p, const uint32_t *first, totals_t *t) {
    uint32_t c[8];
    for (uint32_t i = 0; i < 4u; i++) {
        if (p->field_bits == 8u) {
            for (uint32_t j = 0; j < EBNN_CLASSES; j++) {
                c[j] = first[4u * j + i];
            }
        } else if ((i & 1u) == 0u) {
            for (uint32_t j = 0; j < EBNN_CLASSES; j++) {
                c[j] = bl_uxtb16(first[4u * j + i / 2u]);
            }
        } else {
            for (uint32_t j = 0; j < EBNN_CLASSES; j++) {
                c[j] = bl_uxtb16_ror8(first[4u * j + i / 2u]);
            }
        }
        add_classes(c, t, i);
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
    if (shift == 16u) {
        return ebnn_pkhtb16((uint32_t)low, (uint32_t)high);
    }
    return ebnn_pkhbt16((uint32_t)(low >> shift), (uint32_t)(high >> shift));
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
BL_INLINE uint32_t codes8(const channel_t *c, const uint32_t *y) {
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

/* Bytes 0 .. n - 1 of a word, n > 0. */
BL_INLINE uint32_t first_bytes(uint32_t v, uint32_t n) {
    return n < 4u ? v & ((1u << (8u * n)) - 1u) : v;
}

/* n pixels of one channel; d: their totals; residual and next may be NULL. */
BL_INLINE void channel(const channel_t *c, uint32_t n, const totals_t *t, uint32_t plane, uint8_t *out,
                       const uint8_t *residual, uint32_t *next) {
    for (;;) {
        const uint32_t *d = t->half[plane];
        uint32_t y0 = outputs2(c, d[0]), y1 = outputs2(c, d[1]), y2 = outputs2(c, d[2]), y3 = outputs2(c, d[3]);
        if (residual != NULL) {
            const uint32_t r0 = ebnn_load32(residual);
            const uint32_t r1 = n > 4u ? ebnn_load32(residual + 4) : 0u;
            const uint32_t p0 = ebnn_pkhbt16(r0, r1), p1 = ebnn_pkhtb16(r0, r1);
            y0 = ebnn_sxtab16(y0, p0);
            y2 = ebnn_sxtab16_ror8(y2, p0);
            y1 = ebnn_sxtab16(y1, p1);
            y3 = ebnn_sxtab16_ror8(y3, p1);
            residual += 8;
        }
        BL_USAT16X4(y0, y1, y2, y3, 8);
        const uint32_t e = y0 | (y2 << 8), f = y1 | (y3 << 8);
        const uint32_t w0 = ebnn_pkhbt16(e, f) ^ 0x80808080u;
        const uint32_t w1 = ebnn_pkhtb16(e, f) ^ 0x80808080u;
        if (n < 8u) { /* the last pixels: zeros behind them up to the next word */
            ebnn_store32(out, first_bytes(w0, n));
            if (n > 4u) {
                ebnn_store32(out + 4, first_bytes(w1, n - 4u));
            }
            if (next != NULL) {
                const uint32_t y[4] = {y0, y1, y2, y3};
                *next = codes8(c, y) & ((1u << (4u * n)) - 1u);
            }
            return;
        }
        ebnn_store32(out, w0);
        ebnn_store32(out + 4, w1);
        if (next != NULL) {
            const uint32_t y[4] = {y0, y1, y2, y3};
            *next++ = codes8(c, y);
        }
        if (n == 8u) {
            return;
        }
        n -= 8u;
        out += 8;
        t++;
    }
}

static void channels(const ebnn_bconv_lanes_params_t *p, const ebnn_io_t *io, uint32_t group, uint32_t first,
                     uint32_t n, const totals_t *t) {
    const uint32_t pixels = (uint32_t)p->dims.out_h * p->dims.out_w;
    const uint32_t bytes = (pixels + 3u) & ~3u, words = (pixels + 7u) / 8u;
    const uint32_t per_group = p->weight_kind == 1u ? 4u : 2u;
    const uint32_t left = p->dims.out_c - group * per_group;
    const uint32_t count = left < per_group ? left : per_group;
    const int high_halves = p->combine == 0u && p->shift == 16u && (p->next_bits == 0u || p->next_shift == 16u);
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t o = group * per_group + i;
        uint8_t *out = (uint8_t *)io->out + o * bytes + first;
        const uint8_t *residual = p->residual != 0u ? (const uint8_t *)io->in[1] + o * bytes + first : NULL;
        uint32_t *next = p->next_bits != 0u ? (uint32_t *)io->out2 + o * words + first / 8u : NULL;
        /* outputs are computed 128 too high, so that the clamp to 0 .. 255 is theirs to -128 .. 127 */
        channel_t c = {p->mul[o], p->add[o] + (128 << p->shift), 0, 0, 0, 0, p->shift, p->next_shift, p->combine,
                       p->next_bits};
        if (p->combine != 0u) {
            c.mul2 = p->mul2[o];
            c.add2 = p->add2[o] + (128 << p->shift);
        }
        if (next != NULL) {
            c.next_mul = p->next_mul[o];
            c.next_add = p->next_add[o] - 128 * c.next_mul;
        }
        if (high_halves) {
            c.shift = c.next_shift = 16u;
            c.combine = 0u;
            channel(&c, n, t, i, out, residual, next);
        } else {
            channel(&c, n, t, i, out, residual, next);
        }
    }
}

int ebnn_lanes_fused__cortex_m4(const ebnn_bconv_lanes_params_t *p, const ebnn_io_t *io, uint32_t group,
                                uint32_t first, const ebnn_lanes_sums_t *sums) {
    if (p->fast == 0u) {
        return 0;
    }
    const uint32_t pixels = (uint32_t)p->dims.out_h * p->dims.out_w;
    const uint32_t most = p->field_bits == 4u ? 16u : 8u;
    const uint32_t n = pixels - first < most ? pixels - first : most;
    totals_t t[2];
    totals(p, sums->word[0], &t[0]);
    if (n > 8u) {
        totals(p, sums->word[0] + 2, &t[1]);
    }
    channels(p, io, group, first, n, t);
    return 1;
}
