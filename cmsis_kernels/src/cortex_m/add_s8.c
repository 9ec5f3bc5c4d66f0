/*
 * s8 + s8 -> s8 for cores with the DSP extension, TFLite's reference ADD, any layout common to the three
 * tensors.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_kernels.h"
#include "ebnn_requant.h"

/* Requantisation of one operand with what does not change taken out of the loop. */
typedef struct {
    int32_t offset, multiplier, right, round;
} operand_t;

static operand_t make_operand(int32_t offset, int32_t multiplier, int32_t shift) {
    const operand_t o = {offset, multiplier, -shift, shift < 0 ? (int32_t)1 << (-shift - 1) : 0};
    return o;
}

/* All shifts negative: doubled operands stay below 2^30, so SMMULR rounds as the reference does. */
static void add_right(const ebnn_add_s8_params_t *p, const int8_t *a, const int8_t *b, int8_t *out) {
    const operand_t x = make_operand(p->input1_offset, p->input1_multiplier, p->input1_shift);
    const operand_t y = make_operand(p->input2_offset, p->input2_multiplier, p->input2_shift);
    const operand_t z = make_operand(p->output_offset, p->output_multiplier, p->output_shift);
    for (uint32_t n = p->n; n != 0u; n--) {
        const int32_t u = ebnn_requant_right((*a++ + x.offset) * (1 << 20), x.multiplier, x.round, x.right);
        const int32_t v = ebnn_requant_right((*b++ + y.offset) * (1 << 20), y.multiplier, y.round, y.right);
        const int32_t s = ebnn_requant_right(u + v, z.multiplier, z.round, z.right) + z.offset;
        *out++ = (int8_t)ebnn_clamp_s8(s, p->act_min, p->act_max);
    }
}

ebnn_status_t ebnn_add_s8__cortex_m4(const void *params, const ebnn_io_t *io) {
    const ebnn_add_s8_params_t *p = params;
    const int8_t *a = io->in[0];
    const int8_t *b = io->in[1];
    int8_t *out = io->out;
    if (p->input1_shift < 0 && p->input2_shift < 0 && p->output_shift < 0) {
        add_right(p, a, b, out);
        return EBNN_OK;
    }
    for (uint32_t i = 0; i < p->n; i++) {
        const int32_t u =
            ebnn_requant((a[i] + p->input1_offset) * (1 << 20), p->input1_multiplier, p->input1_shift);
        const int32_t v =
            ebnn_requant((b[i] + p->input2_offset) * (1 << 20), p->input2_multiplier, p->input2_shift);
        const int32_t s = ebnn_requant(u + v, p->output_multiplier, p->output_shift) + p->output_offset;
        out[i] = (int8_t)ebnn_clamp_s8(s, p->act_min, p->act_max);
    }
    return EBNN_OK;
}
