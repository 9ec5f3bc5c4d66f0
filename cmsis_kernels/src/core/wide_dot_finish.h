/*
 * Outputs of the counting kernels other than bits by thresholds. Part of wide_dot.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_WIDE_DOT_FINISH_H
#define EBNN_WIDE_DOT_FINISH_H

typedef int32_t ebnn_dot_s32_t __attribute__((vector_size(EBNN_LANE_BYTES)));
typedef int16_t ebnn_dot_s16_t __attribute__((vector_size(EBNN_LANE_BYTES / 2u)));
typedef int8_t ebnn_dot_s8_t __attribute__((vector_size(EBNN_LANE_BYTES / 4u)));

/* x * mul + add */
static EBNN_DOT_INLINE ebnn_dot_s32_t ebnn_dot_affine(ebnn_dot_s32_t x, const int16_t *mul,
                                                      const int32_t *add) {
    ebnn_dot_s16_t m;
    ebnn_dot_s32_t a;
    memcpy(&m, mul, sizeof m);
    memcpy(&a, add, sizeof a);
    return x * __builtin_convertvector(m, ebnn_dot_s32_t) + a;
}

static EBNN_DOT_INLINE ebnn_dot_s32_t ebnn_dot_select(ebnn_dot_s32_t mask, ebnn_dot_s32_t a,
                                                      ebnn_dot_s32_t b) {
    return (a & mask) | (b & ~mask);
}

/* The epilogue of SPEC.md section 5 for one lane of channels from c on, all of them there, to s8. Returns the
 * next layer's bits where there is a second output. */
static EBNN_DOT_INLINE uint32_t ebnn_dot_finish_s8(const ebnn_bconv_dot_params_t *p, const ebnn_io_t *io,
                                                   size_t index, uint32_t c, ebnn_dot_s32_t acc) {
    const ebnn_epilogue_t *e = &p->epilogue;
    const ebnn_dot_s32_t zero = {0};
    ebnn_dot_s32_t t = ebnn_dot_affine(acc, e->mul + c, e->add + c);
    if (e->combine != 0u) {
        const ebnn_dot_s32_t u = ebnn_dot_affine(acc, e->mul2 + c, e->add2 + c);
        t = e->combine == 1u ? ebnn_dot_select(u > t, u, t) : ebnn_dot_select(u < t, u, t);
    }
    t = t >> (int32_t)e->shift;
    if (e->residual != 0u) {
        ebnn_dot_s8_t r;
        memcpy(&r, (const int8_t *)io->in[1] + index, sizeof r);
        t += __builtin_convertvector(r, ebnn_dot_s32_t);
    }
    const ebnn_dot_s32_t low = zero + e->act_min, high = zero + e->act_max;
    t = ebnn_dot_select(t < low, low, t);
    t = ebnn_dot_select(t > high, high, t);
    const ebnn_dot_s8_t codes = __builtin_convertvector(t, ebnn_dot_s8_t);
    memcpy((int8_t *)io->out + index, &codes, sizeof codes);
    if (p->next_mul == NULL) {
        return 0;
    }
    const ebnn_dot_s32_t next = ebnn_dot_affine(t, p->next_mul + c, p->next_add + c);
    return ebnn_lane_below((ebnn_lane_t)next, ebnn_lane_splat(0));
}

/* Those of EBNN_DOT_VECTORS lanes. */
static EBNN_DOT_INLINE void ebnn_dot_finish_tile(const ebnn_bconv_dot_params_t *p, const ebnn_io_t *io,
                                                 uint32_t pixel, uint32_t c, const int32_t *offset,
                                                 const ebnn_lane_t *lanes) {
    const size_t index = (size_t)pixel * p->dims.out_c + c;
    uint32_t next[EBNN_DOT_VECTORS];
    for (uint32_t i = 0; i < EBNN_DOT_VECTORS; i++) {
        const uint32_t at = i * EBNN_DOT_LANES;
        const ebnn_dot_s32_t first = (ebnn_dot_s32_t)ebnn_lane_load(offset + at);
        const ebnn_dot_s32_t acc = first + (ebnn_dot_s32_t)lanes[i] * (int32_t)p->gain;
        next[i] = ebnn_dot_finish_s8(p, io, index + at, c + at, acc);
    }
    if (p->next_mul != NULL) {
#if EBNN_DOT_VECTORS == 2u
        const uint32_t bits = ebnn_lane_join(next[0], next[1]);
#else
        const uint32_t bits = next[0];
#endif
        const size_t words = ((size_t)p->dims.out_c + 31u) / 32u;
        ebnn_dot_put_bits((uint32_t *)io->out2 + pixel * words + c / 32u, c, bits);
    }
}

/* Outputs of EBNN_DOT_VECTORS lanes of channels from c on, for one pixel. */
static inline void ebnn_dot_finish(const ebnn_bconv_dot_params_t *p, const ebnn_io_t *io, uint32_t pixel,
                                   uint32_t c, const ebnn_lane_t *lanes) {
    const ebnn_epilogue_t *e = &p->epilogue;
    const uint32_t channels = p->dims.out_c;
    const uint32_t padded = (channels + 31u) & ~31u;
    const int32_t *offset = p->offset + (p->kinds != NULL ? (size_t)p->kinds[pixel] * padded : 0u) + c;
    if (e->out_dtype == EBNN_S8 && c + EBNN_DOT_TILE <= channels) {
        ebnn_dot_finish_tile(p, io, pixel, c, offset, lanes);
        return;
    }
    uint32_t *word = (uint32_t *)io->out + (size_t)pixel * (padded / 32u) * e->out_dtype + c / 32u;
    uint32_t v[4] = {0, 0, 0, 0}, next = 0;
    const int32_t gain = p->gain;
    int32_t acc[EBNN_DOT_TILE];
    for (uint32_t i = 0; i < EBNN_DOT_VECTORS; i++) {
        ebnn_lane_store(acc + i * EBNN_DOT_LANES, lanes[i]);
    }
    for (uint32_t i = 0; i < EBNN_DOT_TILE; i++) {
        acc[i] = offset[i] + gain * acc[i];
    }
    for (uint32_t i = 0; i < EBNN_DOT_TILE && c + i < channels; i++) {
        const size_t index = (size_t)pixel * channels + c + i;
        if (e->out_dtype == EBNN_B1) {
            v[0] |= ebnn_epilogue_bit(e, acc[i], c + i) << i;
        } else if (e->out_dtype == EBNN_S32) {
            ((int32_t *)io->out)[index] = acc[i];
        } else {
            const int32_t residual = e->residual != 0u ? ((const int8_t *)io->in[1])[index] : 0;
            const int32_t code = ebnn_epilogue_code(e, acc[i], c + i, residual);
            if (p->next_mul != NULL) {
                next |= (uint32_t)(code * p->next_mul[c + i] + p->next_add[c + i] < 0) << i;
            }
            if (e->out_dtype == EBNN_S8) {
                ((int8_t *)io->out)[index] = (int8_t)code;
                continue;
            }
            for (uint32_t bit = 0; bit < e->out_dtype; bit++) {
                v[bit] |= (((uint32_t)code >> bit) & 1u) << i;
            }
        }
    }
    for (uint32_t bit = 0; e->out_dtype <= EBNN_U4 && bit < e->out_dtype; bit++) {
        ebnn_dot_put_bits(word + bit * (padded / 32u), c, v[bit]);
    }
    if (p->next_mul != NULL) {
        ebnn_dot_put_bits((uint32_t *)io->out2 + (size_t)pixel * (padded / 32u) + c / 32u, c, next);
    }
}

#endif
