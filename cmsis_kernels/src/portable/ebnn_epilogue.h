/*
 * Epilogue of low-bit layers, SPEC.md section 5, one accumulator at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_EPILOGUE_H
#define EBNN_EPILOGUE_H

#include <stddef.h>

#include "ebnn_fixed.h"
#include "ebnn_params.h"

/* t of channel c: the affine map of acc, combined with the second one where there is one. */
static inline int32_t ebnn_epilogue_affine(const ebnn_epilogue_t *e, int32_t acc, uint32_t c) {
    int32_t t = acc * e->mul[c] + e->add[c];
    if (e->combine != 0u) {
        const int32_t u = acc * e->mul2[c] + e->add2[c];
        const int take_u = e->combine == 1u ? u > t : u < t;
        t = take_u ? u : t;
    }
    return t;
}

/* The sign bit of a b1 output: 1 for -1. */
static inline uint32_t ebnn_epilogue_bit(const ebnn_epilogue_t *e, int32_t acc, uint32_t c) {
    if (e->threshold != NULL) {
        return acc < e->threshold[c] ? 1u : 0u;
    }
    return ebnn_epilogue_affine(e, acc, c) < 0 ? 1u : 0u;
}

/* s8 or u2..u4 output: the clamped code */
static inline int32_t ebnn_epilogue_code(const ebnn_epilogue_t *e, int32_t acc, uint32_t c,
                                         int32_t residual) {
    const int32_t y = (ebnn_epilogue_affine(e, acc, c) >> e->shift) + residual;
    return ebnn_clamp(y, e->act_min, e->act_max);
}

#endif
