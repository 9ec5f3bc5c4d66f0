/*
 * Epilogue of the lanes kernels with the DSP extension to s8, any parameters that say fast: the usual case
 * (blanes_eights.h), with passes over a channel before and after it for what is not usual.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "blanes_dsp.h"
#include "blanes_eights.h"
#include "blanes_m4.h"

#define MAP_MUL 0x4000 /* of totals that are outputs already, times 4 */

/* The addend of element o of a map for totals that exceed D by bias. */
static int32_t addend(const ebnn_bconv_lanes_params_t *p, const uint8_t *add, uint32_t o, int32_t mul,
                      int32_t bias) {
    return (int32_t)((uint32_t)ebnn_lanes_add(add, p->add_bytes, p->add_shift, o) - (uint32_t)(mul * bias));
}

/* Puts four times the outputs, without the shortcut, in the place of n totals of channel o: other shifts than
 * 16, PReLU and its like (max or min of two maps, min as max of the complements). */
static EBNN_COLD void map(const ebnn_bconv_lanes_params_t *p, uint32_t o, int32_t bias, uint32_t n,
                          uint32_t *d) {
    const int two = p->combine != 0u;
    const int32_t mul = p->mul[o], mul2 = two ? p->mul2[o] : mul, flip = p->combine == 2u ? -1 : 0;
    const int32_t add = addend(p, p->add, o, mul, bias);
    const int32_t add2 = two ? addend(p, p->add2, o, mul2, bias) : add;
    const uint32_t shift = p->shift - 2u;
    for (; n != 0u; n -= 2u, d += 4) {
        const int32_t t0 = bl_smlabb(*d, mul, add) ^ flip, u0 = bl_smlabb(*d, mul2, add2) ^ flip;
        const int32_t t1 = bl_smlatb(*d, mul, add) ^ flip, u1 = bl_smlatb(*d, mul2, add2) ^ flip;
        const int32_t y0 = ((u0 > t0 ? u0 : t0) ^ flip) >> shift, y1 = ((u1 > t1 ? u1 : t1) ^ flip) >> shift;
        /* outputs beyond -512 .. 511 change nothing */
        *d = ebnn_pkhbt16(bl_ssat12(y0), bl_ssat12(y1));
    }
}

/* Clamps the outputs of n pixels to act_min .. act_max. */
static EBNN_COLD void limit(const ebnn_bconv_lanes_params_t *p, uint32_t n, uint8_t *y) {
    const uint32_t low = (uint32_t)(p->act_min + 128) * 0x01010101u;
    const uint32_t range = (uint32_t)(p->act_max - p->act_min) * 0x01010101u;
    for (uint32_t i = 0; i < n; i += 4u) {
        const uint32_t v = bl_uqsub8(ebnn_load32(y + i) ^ 0x80808080u, low);
        ebnn_store32(y + i, bl_uadd8(bl_umin8(v, range), low) ^ 0x80808080u);
    }
}

/* The codes of n outputs of channel o, any width and shift. */
static EBNN_COLD void codes(const ebnn_bconv_lanes_params_t *p, uint32_t o, uint32_t n, const int8_t *y,
                            uint32_t *next) {
    const int32_t mul = p->next_mul[o], top = (1 << p->next_bits) - 1;
    const int32_t add = ebnn_lanes_add(p->next_add, p->next_add_bytes, p->next_add_shift, o);
    for (uint32_t lane = 0, v = 0; n != 0u; n--) {
        const int32_t q = (*y++ * mul + add) >> p->next_shift;
        v |= (uint32_t)(q < 0 ? 0 : q > top ? top : q) << lane;
        lane = (lane + 4u) & 31u;
        if (lane == 0u || n == 1u) {
            *next++ = v;
            v = 0;
        }
    }
}

/* Doubles n totals, `times` times; n: a multiple of 4. */
static EBNN_COLD void twice(uint32_t *t, uint32_t n, uint32_t times) {
    for (; times != 0u; times--) {
        for (uint32_t i = 0; i < n; i += 4u) {
            uint32_t a = t[i], b = t[i + 1u], c = t[i + 2u], d = t[i + 3u];
            BL_TOGETHER(a, b, c, d);
            t[i] = bl_sadd16(a, a);
            t[i + 1u] = bl_sadd16(b, b);
            t[i + 2u] = bl_sadd16(c, c);
            t[i + 3u] = bl_sadd16(d, d);
        }
    }
}

/* What the flags `what` ask for after the eights of channel o. */
static EBNN_COLD void after(const ebnn_lanes_job_t *job, uint32_t o, uint32_t what, uint8_t *out,
                            uint32_t next_at) {
    const ebnn_bconv_lanes_params_t *p = job->p;
    uint32_t *next = (uint32_t *)job->io->out2;
    if ((what & EBNN_LANES_LIMITED) != 0u) {
        limit(p, job->n, out);
    }
    if ((what & EBNN_LANES_CODES) != 0u) {
        codes(p, o, job->n, (const int8_t *)out, next + next_at);
    }
    for (uint32_t i = 0; (what & EBNN_LANES_NARROW) != 0u && i < job->n; i += 8u, next_at++) {
        next[next_at] = (next[next_at] | next[next_at] >> 1) & 0x11111111u;
    }
}

void ebnn_lanes_finish_s8__cortex_m4(const ebnn_lanes_job_t *job, const int32_t *bias) {
    const ebnn_bconv_lanes_params_t *p = job->p;
    const uint32_t pixels = (uint32_t)p->dims.out_h * p->dims.out_w;
    const uint32_t bytes = (pixels + 3u) & ~3u, words = (pixels + 7u) / 8u;
    const uint32_t per_group = p->weight_kind == 1u ? 4u : 2u, first = job->group * per_group;
    const uint32_t what = p->fast, up = (what & EBNN_LANES_UP) != 0u ? 16u - p->shift : 0u;
    const uint32_t last = job->n - 1u;
    uint32_t at = first * bytes + job->first, next_at = first * words + job->first / 8u;
    ebnn_lanes_eights_t row;
    row.totals = job->totals;
    twice(job->totals, 2u * ((job->n + 7u) & ~7u), up);
    for (uint32_t o = first; o < first + per_group && o < p->dims.out_c; o++) {
        int32_t mul = p->mul[o];
        uint32_t next_mul = 0;
        row.add = (int32_t)((uint32_t)addend(p, p->add, o, mul, *bias) << up) + (128 << 16);
        if ((what & EBNN_LANES_MAPPED) != 0u) {
            map(p, o, *bias, (job->n + 7u) & ~7u, job->totals + (o - first));
            mul = MAP_MUL;
            row.add = 128 << 16;
        }
        row.next = job->totals - p->block_words; /* the masks, which are free */
        if ((what & EBNN_LANES_FUSED) != 0u) {
            next_mul = (uint32_t)p->next_mul[o];
            row.next = (uint32_t *)job->io->out2 + next_at;
            row.next_add = ebnn_lanes_add(p->next_add, p->next_add_bytes, p->next_add_shift, o) -
                           (int32_t)(128u * next_mul);
        }
        row.muls = (int32_t)ebnn_pkhbt16((uint32_t)mul, next_mul);
        row.out = (uint8_t *)job->io->out + at;
        row.residual = (what & EBNN_LANES_ALONE) != 0u ? memset(row.out, 0, (job->n + 3u) & ~3u)
                                                       : (const uint8_t *)job->io->in[1] + at;
        row.last = (const uint8_t *)(row.next + last / 8u) + (last & 4u) / 2u;
        ebnn_lanes_eights__cortex_m4(&row);
        uint8_t *end = row.out + (last & ~3u);
        ebnn_store32(end, ebnn_load32(end) & (~0u >> ((24u - 8u * last) & 31u)));
        row.next[last / 8u] &= ~0u >> ((28u - 4u * last) & 31u);
        if ((what & (EBNN_LANES_LIMITED | EBNN_LANES_NARROW | EBNN_LANES_CODES)) != 0u) {
            after(job, o, what, row.out, next_at);
        }
        bias++, row.totals++, at += bytes, next_at += words;
    }
}
