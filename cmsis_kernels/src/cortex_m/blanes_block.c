/*
 * Epilogue of the usual s8 block in integer lanes, without tests inside: shortcut, shifts of 16, whose two
 * results PKHTB joins in one instruction, and 2-bit codes for the next layer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "blanes_dsp.h"
#include "blanes_finish.h"

/* Two pixels through an affine map with a shift of 16, by the low or the high half of muls. */
BL_INLINE uint32_t map_low(uint32_t d, int32_t muls, int32_t add) {
    return ebnn_pkhtb16((uint32_t)bl_smlabb(d, muls, add), (uint32_t)bl_smlatb(d, muls, add));
}

BL_INLINE uint32_t map_high(uint32_t d, int32_t muls, int32_t add) {
    return ebnn_pkhtb16((uint32_t)bl_smlabt(d, muls, add), (uint32_t)bl_smlatt(d, muls, add));
}

/* Eight pixels: y: their outputs, from the totals d and the shortcut r0, r1; returns their codes. */
BL_INLINE uint32_t eight(const uint32_t *d, int32_t muls, int32_t add, int32_t next_add, uint32_t r0,
                         uint32_t r1, uint32_t *y) {
    const uint32_t p0 = ebnn_pkhbt16(r0, r1), p1 = ebnn_pkhtb16(r0, r1);
    uint32_t y0 = d[0], y1 = d[4], y2 = d[8], y3 = d[12];
    BL_TOGETHER(y0, y1, y2, y3);
    y0 = ebnn_sxtab16(map_low(y0, muls, add), p0);
    y1 = ebnn_sxtab16(map_low(y1, muls, add), p1);
    y2 = ebnn_sxtab16_ror8(map_low(y2, muls, add), p0);
    y3 = ebnn_sxtab16_ror8(map_low(y3, muls, add), p1);
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

static void channel(const ebnn_bconv_lanes_params_t *p, const ebnn_lanes_channel_t *c) {
    /* outputs are 128 too high */
    const int32_t add = c->add, next_add = c->next_add - 128 * c->next_mul;
    const int32_t muls = (int32_t)ebnn_pkhbt16((uint32_t)c->mul, (uint32_t)c->next_mul);
    const uint32_t n = c->n & 7u;
    const uint32_t *d = c->totals;
    const uint8_t *residual = c->residual;
    uint8_t *out = c->out;
    uint32_t *next = c->next;
    const uint32_t *end = next + c->n / 8u;
    uint32_t y[2];
    (void)p;
    for (; next != end; d += 16, residual += 8, out += 8) {
        *next++ = eight(d, muls, add, next_add, ebnn_load32(residual), ebnn_load32(residual + 4), y);
        ebnn_store32(out, y[0]);
        ebnn_store32(out + 4, y[1]);
    }
    if (n != 0u) {
        const uint32_t r1 = n > 4u ? ebnn_load32(residual + 4) : 0u;
        const uint32_t q = eight(d, muls, add, next_add, ebnn_load32(residual), r1, y);
        ebnn_lanes_put_tail__cortex_m4(n, y, q, out, next);
    }
}

void ebnn_lanes_finish_block__cortex_m4(const ebnn_lanes_job_t *job, const int32_t *bias) {
    ebnn_lanes_channels__cortex_m4(job, bias, channel);
}
