/*
 * s8 softmax in fixed point, bit-exact with TFLite's reference (gemmlowp's exponential and reciprocal).
 * Qm.n below: m integer bits, n = 31 - m fractional bits.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_fixed.h"
#include "ebnn_kernels.h"
#include "ebnn_params.h"

enum { SUM_INTEGER_BITS = 12 };

static int32_t saturating_shl(int32_t x, int32_t by) {
    const int64_t v = (int64_t)x * (INT64_C(1) << by);
    return v > INT32_MAX ? INT32_MAX : (v < INT32_MIN ? INT32_MIN : (int32_t)v);
}

/* exp(a) in Q0.31 for a in [-1/4, 0), Q0.31: Taylor series around -1/8 */
static int32_t exp_quarter(int32_t a) {
    const int32_t exp_minus_eighth = 1895147668;
    const int32_t third = 715827883;
    const int32_t x = a + (1 << 28);
    const int32_t x2 = ebnn_srdhm(x, x);
    const int32_t x3 = ebnn_srdhm(x2, x);
    const int32_t x4_over_4 = ebnn_rdbpot(ebnn_srdhm(x2, x2), 2);
    const int32_t tail = ebnn_rdbpot(ebnn_srdhm(x4_over_4 + x3, third) + x2, 1);
    return exp_minus_eighth + ebnn_srdhm(exp_minus_eighth, x + tail);
}

/* exp(a) in Q0.31 for a <= 0 in Q5.26: a quarter's rest by series, the multiples of a quarter by table */
static int32_t exp_negative(int32_t a) {
    static const int32_t exp_minus_pow2[7] = {1672461947, 1302514674, 790015084, 290630308,
                                              39332535,   720401,     242};
    const int32_t quarter = 1 << 24;
    const int32_t rest = (int32_t)((uint32_t)a & (uint32_t)(quarter - 1)) - quarter;
    const uint32_t remainder = (uint32_t)rest - (uint32_t)a;
    int32_t result = exp_quarter(saturating_shl(rest, 5));
    for (uint32_t i = 0; i < 7u; i++) {
        if ((remainder & (1u << (24u + i))) != 0u) {
            result = ebnn_srdhm(result, exp_minus_pow2[i]);
        }
    }
    return a == 0 ? INT32_MAX : result;
}

/* 1 / (1 + a) in Q0.31 for a in [0, 1), Q0.31: three Newton steps */
static int32_t reciprocal_one_plus(int32_t a) {
    const int32_t half_denominator = (int32_t)(((int64_t)a + INT32_MAX + 1) / 2);
    int32_t x = 1515870810 + ebnn_srdhm(half_denominator, -1010580540);
    for (int i = 0; i < 3; i++) {
        const int32_t error = (1 << 29) - ebnn_srdhm(half_denominator, x);
        x += saturating_shl(ebnn_srdhm(x, error), 2);
    }
    return saturating_shl(x, 1);
}

static int32_t leading_zeros(uint32_t x) {
    int32_t n = 0;
    while (n < 32 && (x & 0x80000000u) == 0u) {
        x <<= 1;
        n++;
    }
    return n;
}

static int32_t exp_of(const ebnn_softmax_s8_params_t *p, int32_t diff) {
    return exp_negative(ebnn_srdhm((int32_t)((uint32_t)diff << p->input_left_shift), p->input_multiplier));
}

/* in, out: s8 [rows][depth]; out scale 1/256, zero point -128. */
ebnn_status_t ebnn_softmax_s8__portable(const void *params, const ebnn_io_t *io) {
    const ebnn_softmax_s8_params_t *p = params;
    const int8_t *in = io->in[0];
    int8_t *out = io->out;
    for (uint32_t row = 0; row < p->rows; row++, in += p->depth, out += p->depth) {
        int32_t max = INT8_MIN;
        for (uint32_t i = 0; i < p->depth; i++) {
            max = in[i] > max ? in[i] : max;
        }
        int32_t sum = 0; /* Q12.19 */
        for (uint32_t i = 0; i < p->depth; i++) {
            if (in[i] - max >= p->diff_min) {
                sum += ebnn_rdbpot(exp_of(p, in[i] - max), SUM_INTEGER_BITS);
            }
        }
        const int32_t headroom = leading_zeros((uint32_t)sum);
        const uint32_t fraction = ((uint32_t)sum << headroom) - 0x80000000u;
        const int32_t scale = reciprocal_one_plus((int32_t)fraction);
        const int32_t shift = SUM_INTEGER_BITS - headroom + 31 - 8;
        for (uint32_t i = 0; i < p->depth; i++) {
            int32_t y = INT8_MIN;
            if (in[i] - max >= p->diff_min) {
                y = ebnn_rdbpot(ebnn_srdhm(scale, exp_of(p, in[i] - max)), shift) + INT8_MIN;
            }
            out[i] = (int8_t)ebnn_clamp(y, INT8_MIN, INT8_MAX);
        }
    }
    return EBNN_OK;
}
