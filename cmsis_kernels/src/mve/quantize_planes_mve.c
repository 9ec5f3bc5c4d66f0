/*
 * s8 CHW -> b1 or u2..u4 PLANES (SPEC.md section 6) with MVE: the affine map becomes thresholds of x, one for
 * each code, and a comparison of 16 pixels is 16 bits of a plane.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <arm_mve.h>

#include "ebnn_kernels.h"
#include "ebnn_params.h"

#define MOST_CODES 15u
#define MOST_SHIFT 24u

/* floor(a / b), b > 0 */
static int32_t floor_divide(int32_t a, int32_t b) {
    const int32_t q = a / b;
    return q * b > a ? q - 1 : q;
}

/* limits[v]: x * mul + add >= (first + v) << shift exactly where x > limits[v], or where not if *flip. A
 * limit below -128 becomes 127 (no x is above), with a 1 in bit v of `all`. Returns all. */
static uint32_t find_limits(int32_t mul, int32_t add, uint32_t shift, uint32_t first, uint32_t n,
                            int8_t *limits, uint32_t *flip) {
    const int32_t far = 1 << 30; /* decides alone: |x * mul| <= 2^22, (first + v) << shift < 2^28 */
    uint32_t all = 0;
    add = add < -far ? -far : (add > far ? far : add);
    *flip = mul < 0 ? 1u : 0u;
    for (uint32_t v = 0; v < n; v++) {
        const int32_t low = (int32_t)((first + v) << shift) - add;
        int32_t limit = low <= 0 ? -129 : 127; /* mul 0 */
        if (mul > 0) {
            limit = floor_divide(low - 1, mul);
        } else if (mul < 0) {
            limit = floor_divide(-low, -mul);
        }
        if (limit < -128) {
            all |= 1u << v;
            limit = 127;
        }
        limits[v] = (int8_t)(limit > 127 ? 127 : limit);
    }
    return all;
}

/* Bits of how many of n ones-or-zeros are 1, those of v = 0 .. n - 1 where n = 2^k - 1 and none follows a 0:
 * bit j is the parity of those at the multiples of 2^j, counted from 1. Adds one of them, m. */
static inline void count_in(uint32_t v, uint32_t m, uint32_t *bits) {
    bits[0] ^= m;
    if ((v & 1u) != 0u) {
        bits[1] ^= m;
        if ((v & 3u) == 3u) {
            bits[2] ^= m;
            if ((v & 7u) == 7u) {
                bits[3] ^= m;
            }
        }
    }
}

/* in: s8 CHW; out: b1, u2..u4 PLANES. */
ebnn_status_t ebnn_quantize_planes__mve(const void *params, const ebnn_io_t *io) {
    const ebnn_quantize_params_t *p = params;
    const uint32_t pixels = (uint32_t)p->h * p->w, halves = (pixels + 31u) / 32u * 2u;
    const uint32_t bits = p->out_dtype, b1 = bits == EBNN_B1 ? 1u : 0u;
    const uint32_t n = (1u << bits) - 1u;
    const int8_t *in = io->in[0];
    uint16_t *out = io->out;
    if (n > MOST_CODES || p->shift > MOST_SHIFT) {
        return EBNN_ERR_ARGUMENT;
    }
    for (uint32_t c = 0; c < p->c; c++, in += (pixels + 3u) & ~3u, out += halves) {
        int8_t limits[MOST_CODES];
        uint32_t start[4] = {0, 0, 0, 0}, flip;
        const uint32_t all =
            find_limits(p->mul[c], p->add[c], b1 != 0u ? 0u : p->shift, 1u - b1, n, limits, &flip);
        for (uint32_t v = 0; v < n; v++) {
            count_in(v, 0u - ((all >> v) & 1u), start);
        }
        for (uint32_t j = 0; j < bits; j++) {
            start[j] ^= 0u - (flip ^ b1); /* an odd number of them is flipped; b1: 1 is below 0 */
        }
        for (uint32_t i = 0; i < halves; i++) {
            const uint32_t left = 16u * i < pixels ? pixels - 16u * i : 0u;
            const mve_pred16_t live = vctp8q(left);
            const int8x16_t x = vldrbq_z_s8(in + 16u * i, live);
            if (b1 != 0u) {
                out[i] = (uint16_t)((start[0] ^ vcmpgtq_n_s8(x, limits[0])) & live);
                continue;
            }
            uint32_t word[4] = {start[0], start[1], start[2], start[3]};
            for (uint32_t v = 0; v < n; v++) {
                count_in(v, vcmpgtq_n_s8(x, limits[v]), word);
            }
            for (uint32_t j = 0; j < bits; j++) {
                out[j * halves * p->c + i] = (uint16_t)(word[j] & live);
            }
        }
    }
    return EBNN_OK;
}
