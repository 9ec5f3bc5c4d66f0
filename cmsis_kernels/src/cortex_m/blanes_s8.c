/*
 * Epilogue of the lanes kernels with the DSP extension to s8, any parameters that say fast: two pixels an
 * instruction where the arithmetic allows it.
 *
 * Eight pixels are four words of two halves: A = 0 4, B = 2 6, C = 1 5, D = 3 7.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "blanes_dsp.h"
#include "blanes_finish.h"

void ebnn_lanes_put_tail__cortex_m4(uint32_t n, const uint32_t *y, uint32_t q, uint8_t *out, uint32_t *next) {
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

void ebnn_lanes_channels__cortex_m4(const ebnn_lanes_job_t *job, const int32_t *bias,
                                    void (*channel)(const ebnn_bconv_lanes_params_t *p,
                                                    const ebnn_lanes_channel_t *c)) {
    const ebnn_bconv_lanes_params_t *p = job->p;
    const uint32_t pixels = (uint32_t)p->dims.out_h * p->dims.out_w;
    const uint32_t bytes = (pixels + 3u) & ~3u, words = (pixels + 7u) / 8u;
    const uint32_t per_group = p->weight_kind == 1u ? 4u : 2u;
    const int32_t raise = (int32_t)((uint32_t)-p->act_min << p->shift);
    const uint32_t first = job->group * per_group, left = p->dims.out_c - first;
    const uint32_t end = left < per_group ? p->dims.out_c : first + per_group;
    const uint32_t at = first * bytes + job->first;
    ebnn_lanes_channel_t c = {
        job->totals, (uint8_t *)job->io->out + at, NULL, NULL, job->n, 0, 0, 0, 0, 0, 0};
    if (p->residual != 0u) {
        c.residual = (const uint8_t *)job->io->in[1] + at;
    }
    if (p->next_bits != 0u) {
        c.next = (uint32_t *)job->io->out2 + first * words + job->first / 8u;
    }
    for (uint32_t o = first; o < end; o++, bias++) {
        c.mul = p->mul[o];
        c.add = ebnn_lanes_add(p->add, p->add_bytes, p->add_shift, o) - c.mul * *bias + raise;
        if (p->combine != 0u) {
            c.mul2 = p->mul2[o];
            c.add2 = ebnn_lanes_add(p->add2, p->add_bytes, p->add_shift, o) - c.mul2 * *bias + raise;
        }
        if (c.next != NULL) {
            c.next_mul = p->next_mul[o];
            c.next_add = ebnn_lanes_add(p->next_add, p->next_add_bytes, p->next_add_shift, o);
        }
        channel(p, &c);
        c.totals++;
        c.out += bytes;
        c.residual += c.residual != NULL ? bytes : 0u;
        c.next += c.next != NULL ? words : 0u;
    }
}

/* Two pixels through an affine map, as halves. */
BL_INLINE uint32_t affine2(uint32_t d, int32_t mul, int32_t add, uint32_t shift) {
    const int32_t low = bl_smlabb(d, mul, add);
    const int32_t high = bl_smlatb(d, mul, add);
    return ebnn_pkhbt16((uint32_t)(low >> shift), (uint32_t)(high >> shift));
}

/* PReLU and its like: puts max or min of two maps in the place of the totals. */
static BL_COLD void combine(const ebnn_bconv_lanes_params_t *p, const ebnn_lanes_channel_t *c) {
    uint32_t *d = c->totals;
    for (uint32_t i = 0; i < ((c->n + 7u) & ~7u); i += 2u, d += 4) {
        int32_t y[2];
        for (uint32_t half = 0; half < 2u; half++) {
            const int32_t v = (int16_t)(*d >> (16u * half));
            const int32_t t = v * c->mul + c->add, u = v * c->mul2 + c->add2;
            const int take_u = p->combine == 1u ? u > t : u < t;
            y[half] = (take_u ? u : t) >> p->shift;
        }
        *d = ebnn_pkhbt16((uint32_t)y[0], (uint32_t)y[1]);
    }
}

/* The s8 outputs of a channel: totals through the map, plus the shortcut, clamped. */
static void outputs(const ebnn_bconv_lanes_params_t *p, const ebnn_lanes_channel_t *c) {
    const uint32_t *d = c->totals;
    const uint8_t *residual = c->residual;
    uint8_t *out = c->out;
    const int32_t mul = p->combine != 0u ? 1 : c->mul, add = p->combine != 0u ? 0 : c->add;
    const uint32_t shift = p->combine != 0u ? 0u : p->shift;
    const uint32_t low = (uint32_t)(p->act_min & 0xFF) * 0x01010101u;
    const uint32_t range = (uint32_t)(p->act_max - p->act_min) * 0x01010101u;
    for (uint32_t n = c->n;; n -= 8u, d += 16, out += 8) {
        uint32_t y0 = d[0], y1 = d[4], y2 = d[8], y3 = d[12];
        BL_TOGETHER(y0, y1, y2, y3);
        y0 = affine2(y0, mul, add, shift), y1 = affine2(y1, mul, add, shift);
        y2 = affine2(y2, mul, add, shift), y3 = affine2(y3, mul, add, shift);
        if (residual != NULL) {
            const uint32_t r0 = ebnn_load32(residual), r1 = n > 4u ? ebnn_load32(residual + 4) : 0u;
            const uint32_t p0 = ebnn_pkhbt16(r0, r1), p1 = ebnn_pkhtb16(r0, r1);
            y0 = ebnn_sxtab16(y0, p0);
            y2 = ebnn_sxtab16_ror8(y2, p0);
            y1 = ebnn_sxtab16(y1, p1);
            y3 = ebnn_sxtab16_ror8(y3, p1);
            residual += 8;
        }
        BL_USAT16X4(y0, y1, y2, y3, 8);
        const uint32_t e = bl_uadd8(bl_umin8(y0 | (y2 << 8), range), low);
        const uint32_t f = bl_uadd8(bl_umin8(y1 | (y3 << 8), range), low);
        const uint32_t both[2] = {ebnn_pkhbt16(e, f), ebnn_pkhtb16(e, f)};
        if (n < 8u) {
            ebnn_lanes_put_tail__cortex_m4(n, both, 0, out, NULL);
            return;
        }
        ebnn_store32(out, both[0]);
        ebnn_store32(out + 4, both[1]);
        if (n == 8u) {
            return;
        }
    }
}

/* The codes of a channel's outputs for the next layer. */
static void codes(const ebnn_bconv_lanes_params_t *p, const ebnn_lanes_channel_t *c) {
    const uint8_t *y = c->out;
    uint32_t *next = c->next;
    const int32_t mul = c->next_mul, add = c->next_add;
    const uint32_t shift = p->next_shift;
    const uint32_t top = ((1u << p->next_bits) - 1u) * 0x01010101u;
    for (uint32_t n = c->n;; n -= 8u, y += 8) {
        const uint32_t r0 = ebnn_load32(y), r1 = n > 4u ? ebnn_load32(y + 4) : 0u;
        const uint32_t p0 = ebnn_pkhbt16(r0, r1), p1 = ebnn_pkhtb16(r0, r1);
        uint32_t q0 = affine2(ebnn_sxtb16(p0), mul, add, shift);
        uint32_t q1 = affine2(ebnn_sxtb16(p1), mul, add, shift);
        uint32_t q2 = affine2(ebnn_sxtb16_ror8(p0), mul, add, shift);
        uint32_t q3 = affine2(ebnn_sxtb16_ror8(p1), mul, add, shift);
        BL_USAT16X4(q0, q1, q2, q3, 4);
        const uint32_t q = bl_umin8(q0 | (q1 << 8), top) | bl_umin8(q2 | (q3 << 8), top) << 4;
        if (n <= 8u) {
            *next = q & (~0u >> (32u - 4u * n));
            return;
        }
        *next++ = q;
    }
}

static void channel(const ebnn_bconv_lanes_params_t *p, const ebnn_lanes_channel_t *c) {
    if (p->combine != 0u) {
        combine(p, c);
    }
    outputs(p, c);
    if (p->next_bits != 0u) {
        codes(p, c);
    }
}

void ebnn_lanes_finish_s8__cortex_m4(const ebnn_lanes_job_t *job, const int32_t *bias) {
    ebnn_lanes_channels__cortex_m4(job, bias, channel);
}
