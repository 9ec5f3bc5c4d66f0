/*
 * Epilogue of the lanes kernels with the DSP extension to b1: the signs of D + add or -D + add.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "blanes_dsp.h"
#include "blanes_m4.h"

/* The signs of D + add, turned by flip, of n pixels of one channel as 4-bit codes. */
static void signs(int32_t add, uint32_t flip, uint32_t n, const uint32_t *d, uint32_t *out) {
    const uint32_t add2 = ebnn_pkhbt16((uint32_t)add, (uint32_t)add);
    uint32_t top = 0x80008000u;
    BL_OPAQUE(top); /* or the masks are applied after the shifts, which takes two instructions more */
    for (;; d += 16) {
        uint32_t a = d[0], b = d[4], c = d[8], e = d[12];
        BL_TOGETHER(a, b, c, e);
        a = bl_sadd16(add2, a) & top, b = bl_sadd16(add2, b) & top;
        c = bl_sadd16(add2, c) & top, e = bl_sadd16(add2, e) & top;
        const uint32_t v = flip ^ ((e | b >> 4 | c >> 8 | a >> 12) >> 3);
        if (n <= 8u) {
            *out = v & (~0u >> (32u - 4u * n)); /* GCC 12 miscompiles a condition here (M55) */
            return;
        }
        *out++ = v;
        n -= 8u;
    }
}

void ebnn_lanes_finish_b1__cortex_m4(const ebnn_lanes_job_t *job, const int32_t *bias) {
    const ebnn_bconv_lanes_params_t *p = job->p;
    const uint32_t words = ((uint32_t)p->dims.out_h * p->dims.out_w + 7u) / 8u;
    const uint32_t per_group = p->weight_kind == 1u ? 4u : 2u;
    uint32_t o = job->group * per_group;
    for (uint32_t i = 0; i < per_group && o < p->dims.out_c; i++, o++) {
        const int minus = p->mul[o] < 0; /* -D + add < 0 is not D - add - 1 < 0 */
        const int32_t stored = ebnn_lanes_add(p->add, p->add_bytes, p->add_shift, o);
        const int32_t add = (minus ? -1 - stored : stored) - bias[i];
        signs(add, minus ? 0x11111111u : 0u, job->n, job->totals + i,
              (uint32_t *)job->io->out + o * words + job->first / 8u);
    }
}
