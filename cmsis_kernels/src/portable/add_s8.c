/*
 * s8 + s8 -> s8 with independent scales, TFLite's reference ADD.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_fixed.h"
#include "ebnn_kernels.h"
#include "ebnn_params.h"

/* Element by element, so any layout common to the three tensors will do. */
ebnn_status_t ebnn_add_s8__portable(const void *params, const ebnn_io_t *io) {
    const ebnn_add_s8_params_t *p = params;
    const int8_t *a = io->in[0];
    const int8_t *b = io->in[1];
    int8_t *out = io->out;
    for (uint32_t i = 0; i < p->n; i++) {
        const int32_t x =
            ebnn_requantize((a[i] + p->input1_offset) * (1 << 20), p->input1_multiplier, p->input1_shift);
        const int32_t y =
            ebnn_requantize((b[i] + p->input2_offset) * (1 << 20), p->input2_multiplier, p->input2_shift);
        const int32_t sum = ebnn_requantize(x + y, p->output_multiplier, p->output_shift) + p->output_offset;
        out[i] = (int8_t)ebnn_clamp(sum, p->act_min, p->act_max);
    }
    return EBNN_OK;
}
