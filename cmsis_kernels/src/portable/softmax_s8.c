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

/* a * b in Q0.31, rounded: ebnn_srdhm() where not both operands are INT32_MIN. */
static EBNN_COLD int32_t mul(int32_t a, int32_t b) {
    return (int32_t)(((int64_t)a * b + (INT64_C(1) << 30)) >> 31);
}

/* exp(a) in Q0.31 for a in [-1/4, 0), Q0.31: Taylor series around -1/8 */
static inline int32_t exp_quarter(int32_t a) {
    const int32_t exp_minus_eighth = 1895147668;
    const int32_t third = 715827883;
    const int32_t x = a + (1 << 28);
    const int32_t x2 = mul(x, x);
    const int32_t x3 = mul(x2, x);
    const int32_t x4_over_4 = ebnn_rdbpot(mul(x2, x2), 2);
    const int32_t tail = ebnn_rdbpot(mul(x4_over_4 + x3, third) + x2, 1);
    return exp_minus_eighth + mul(exp_minus_eighth, x + tail);
}

/* exp of an input's distance from the maximum, in Q0.31. Scaled, the distance is in Q5.26: a quarter's rest
 * by series, the multiples of a quarter by table. */
static EBNN_COLD int32_t exp_of(const ebnn_softmax_s8_params_t *p, int32_t diff) {
    static const int32_t exp_minus_pow2[7] = {1672461947, 1302514674, 790015084, 290630308,
                                              39332535,   720401,     242};
    const int32_t a = mul((int32_t)((uint32_t)diff << p->input_left_shift), p->input_multiplier);
    const int32_t quarter = 1 << 24;
    const int32_t rest = (int32_t)((uint32_t)a & (uint32_t)(quarter - 1)) - quarter;
    uint32_t quarters = (((uint32_t)rest - (uint32_t)a) >> 24) & 127u; /* a = 0 is left to the end */
    int32_t result = exp_quarter(rest * 32);
    for (const int32_t *factor = exp_minus_pow2; quarters != 0u; quarters >>= 1, factor++) {
        if ((quarters & 1u) != 0u) {
            result = mul(result, *factor);
        }
    }
    return a == 0 ? INT32_MAX : result;
}

/* 1 / (1 + a) in Q0.31 for a in [0, 1), Q0.31: three Newton steps */
static inline int32_t reciprocal_one_plus(uint32_t a) {
    const int32_t half_denominator = (int32_t)((a + 0x80000000u) >> 1);
    int32_t x = 1515870810 + mul(half_denominator, -1010580540);
    for (int i = 0; i < 3; i++) {
        x += mul(x, (1 << 29) - mul(half_denominator, x)) * 4;
    }
    return x >= 1 << 30 ? INT32_MAX : x * 2;
}

/* ebnn_rdbpot() of a value that is not negative, 1 <= by <= 31. */
static inline uint32_t round_shift(int32_t v, uint32_t by) {
    return ((uint32_t)v + (1u << (by - 1u))) >> by;
}

/* in, out: s8 [rows][depth]; out scale 1/256, zero point -128. */
EBNN_COLD ebnn_status_t ebnn_softmax_s8__portable(const void *params, const ebnn_io_t *io) {
    const ebnn_softmax_s8_params_t *p = params;
    const int8_t *in = io->in[0];
    int8_t *out = io->out;
    for (uint32_t row = 0; row < p->rows; row++, in += p->depth, out += p->depth) {
        int32_t max = INT8_MIN;
        for (uint32_t i = 0; i < p->depth; i++) {
            max = in[i] > max ? in[i] : max;
        }
        uint32_t sum = 0; /* Q12.19 */
        for (uint32_t i = 0; i < p->depth; i++) {
            if (in[i] - max >= p->diff_min) {
                sum += round_shift(exp_of(p, in[i] - max), SUM_INTEGER_BITS);
            }
        }
        uint32_t shift = SUM_INTEGER_BITS + 31 - 8; /* less the leading zeros of sum, which is not 0 */
        for (; sum < 0x80000000u; sum <<= 1) {
            shift--;
        }
        const int32_t scale = reciprocal_one_plus(sum - 0x80000000u);
        for (uint32_t i = 0; i < p->depth; i++) {
            uint32_t y = 0;
            if (in[i] - max >= p->diff_min && shift < 32u) {
                y = round_shift(mul(scale, exp_of(p, in[i] - max)), shift);
            }
            out[i] = (int8_t)((y > 255u ? 255 : (int32_t)y) + INT8_MIN);
        }
    }
    return EBNN_OK;
}
