/*
 * Output c of a low-bit dense layer: epilogue and store.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_DENSE_STORE_H
#define EBNN_DENSE_STORE_H

#include "../portable/ebnn_epilogue.h"
#include "ebnn.h"

/* io->out: s8, s32, b1 or u2..u4 of `outputs` channels as one pixel, stored in the order of c; io->in[1]: the
 * residual. */
static inline void ebnn_dense_store(const ebnn_epilogue_t *e, const ebnn_io_t *io, uint32_t outputs,
                                    uint32_t c, int32_t acc) {
    if (e->out_dtype == EBNN_S32) {
        ((int32_t *)io->out)[c] = acc;
    } else if (e->out_dtype == EBNN_S8) {
        const int32_t residual = e->residual != 0u ? ((const int8_t *)io->in[1])[c] : 0;
        ((int8_t *)io->out)[c] = (int8_t)ebnn_epilogue_code(e, acc, c, residual);
    } else {
        const uint32_t words = (outputs + 31u) / 32u;
        const uint32_t code = e->out_dtype == EBNN_B1 ? ebnn_epilogue_bit(e, acc, c)
                                                      : (uint32_t)ebnn_epilogue_code(e, acc, c, 0);
        for (uint32_t bit = 0; bit < e->out_dtype; bit++) {
            uint32_t *word = (uint32_t *)io->out + bit * words + c / 32u;
            const uint32_t before = c % 32u == 0u ? 0u : *word; /* the first channel of a word clears it */
            *word = before | (code >> bit & 1u) << (c % 32u);
        }
    }
}

#endif
