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
    uint32_t o = job->group * per_group;
    for (uint32_t i = 0; i < per_group && o < p->dims.out_c; i++, o++) {
        const uint32_t at = o * bytes + job->first;
        ebnn_lanes_channel_t c = {
            job->totals + i, (uint8_t *)job->io->out + at, NULL, NULL, job->n, p->mul[o], 0, 0, 0, 0, 0};
        c.add = p->add[o] - c.mul * bias[i] + raise;
        if (p->residual != 0u) {
            c.residual = (const uint8_t *)job->io->in[1] + at;
        }
        if (p->combine != 0u) {
            c.mul2 = p->mul2[o];
            c.add2 = p->add2[o] - c.mul2 * bias[i] + raise;
        }
        if (p->next_bits != 0u) {
            c.next = (uint32_t *)job->io->out2 + o * words + job->first / 8u;
            c.next_mul = p->next_mul[o];
            c.next_add = p->next_add[o] + p->act_min * c.next_mul;
        }
        channel(p, &c);
    }
}

/* Two pixels through an affine map, as halves. */
BL_INLINE uint32_t affine2(uint32_t d, int32_t mul, int32_t add, uint32_t shift) {
    const int32_t low = bl_smlabb(d, mul, add);
    const int32_t high = bl_smlatb(d, mul, add);
    return ebnn_pkhbt16((uint32_t)(low >> shift), (uint32_t)(high >> shift));
}

BL_INLINE int32_t pick(int32_t t, int32_t u, uint32_t combine) {
    const int take_u = combine == 1u ? u > t : u < t;
    return take_u ? u : t;
}

BL_INLINE uint32_t combined2(const ebnn_lanes_channel_t *c, uint32_t d, uint32_t shift, uint32_t combine) {
    const int32_t low = pick(bl_smlabb(d, c->mul, c->add), bl_smlabb(d, c->mul2, c->add2), combine);
    const int32_t high = pick(bl_smlatb(d, c->mul, c->add), bl_smlatb(d, c->mul2, c->add2), combine);
    return ebnn_pkhbt16((uint32_t)(low >> shift), (uint32_t)(high >> shift));
}

static void channel(const ebnn_bconv_lanes_params_t *p, const ebnn_lanes_channel_t *c) {
    const uint32_t *d = c->totals;
    const uint8_t *residual = c->residual;
    uint8_t *out = c->out;
    uint32_t *next = c->next;
    const int32_t mul = c->mul, add = c->add, next_mul = c->next_mul, next_add = c->next_add;
    const uint32_t shift = p->shift, next_shift = p->next_shift, combine = p->combine;
    const uint32_t low = (uint32_t)(p->act_min & 0xFF) * 0x01010101u;
    const uint32_t range = (uint32_t)(p->act_max - p->act_min) * 0x01010101u;
    const uint32_t top = ((1u << p->next_bits) - 1u) * 0x01010101u;
    for (uint32_t n = c->n;; n -= 8u, d += 16, out += 8) {
        uint32_t y[4], e, f, q = 0;
        for (uint32_t i = 0; i < 4u; i++) {
            y[i] =
                combine == 0u ? affine2(d[4u * i], mul, add, shift) : combined2(c, d[4u * i], shift, combine);
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
        e = bl_uadd8(bl_umin8(y[0] | (y[2] << 8), range), low);
        f = bl_uadd8(bl_umin8(y[1] | (y[3] << 8), range), low);
        const uint32_t both[2] = {ebnn_pkhbt16(e, f), ebnn_pkhtb16(e, f)};
        if (next != NULL) {
            for (uint32_t i = 0; i < 4u; i++) {
                y[i] = affine2(y[i], next_mul, next_add, next_shift);
            }
            BL_USAT16X4(y[0], y[1], y[2], y[3], 4);
            q = bl_umin8(y[0] | (y[1] << 8), top) | bl_umin8(y[2] | (y[3] << 8), top) << 4;
        }
        if (n < 8u) {
            ebnn_lanes_put_tail__cortex_m4(n, both, q, out, next);
            return;
        }
        ebnn_store32(out, both[0]);
        ebnn_store32(out + 4, both[1]);
        if (next != NULL) {
            *next++ = q;
        }
        if (n == 8u) {
            return;
        }
    }
}

void ebnn_lanes_finish_s8__cortex_m4(const ebnn_lanes_job_t *job, const int32_t *bias) {
    ebnn_lanes_channels__cortex_m4(job, bias, channel);
}
