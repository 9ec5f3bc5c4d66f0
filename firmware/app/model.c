/*
 * Running the model for the commands, and reading its output.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "commands.h"
#include "reply.h"

bool model_ready(protocol_t *p) {
    if (p->status != EBNN_OK) {
        reply_error_number(p, "Model does not fit this firmware: status", p->status);
        return false;
    }
    if (p->loaded != p->model->input.size) {
        reply_error_number(p,
                           "Input incomplete, bytes missing:", (int64_t)(p->model->input.size - p->loaded));
        return false;
    }
    return true;
}

void model_set_input(protocol_t *p) {
    memcpy(p->arena + p->model->input.offset, p->input, p->model->input.size);
}

bool model_run_layer(protocol_t *p, uint32_t index) {
    const ebnn_status_t status = ebnn_run_op(p->model, p->arena, index);
    p->output_valid = status == EBNN_OK && index + 1u == p->model->n_ops;
    if (status != EBNN_OK) {
        reply_text(p, "e-[Layer ");
        reply_unsigned(p, index);
        reply_text(p, " failed: status ");
        reply_signed(p, status);
        reply_line(p, "]");
        return false;
    }
    return true;
}

bool model_run(protocol_t *p) {
    model_set_input(p);
    const ebnn_status_t status = ebnn_run(p->model, p->arena, p->arena_size);
    p->output_valid = status == EBNN_OK;
    if (status != EBNN_OK) {
        reply_error_number(p, "Model failed: status", status);
        return false;
    }
    return true;
}

uint32_t output_count(const protocol_t *p) {
    const ebnn_tensor_t *out = &p->model->output;
    const bool values = out->dtype == EBNN_S8 || out->dtype == EBNN_S32;
    return values && out->h == 1u && out->w == 1u && out->layout != EBNN_PLANES ? out->c : 0u;
}

/* Channels of one pixel lie side by side in NHWC; in CHW each starts at a multiple of four elements. */
static int32_t output_value(const protocol_t *p, uint32_t index) {
    const ebnn_tensor_t *out = &p->model->output;
    const uint32_t element = out->layout == EBNN_CHW ? index * 4u : index;
    const uint8_t *data = p->arena + out->offset;
    if (out->dtype == EBNN_S8) {
        return (int8_t)data[element];
    }
    int32_t value;
    memcpy(&value, data + element * sizeof value, sizeof value);
    return value;
}

int64_t output_milli(const protocol_t *p, uint32_t index) {
    const ebnn_tensor_t *out = &p->model->output;
    const int64_t product = ((int64_t)output_value(p, index) - out->zero_point) * out->scale_q31;
    const uint64_t size = product < 0 ? 0u - (uint64_t)product : (uint64_t)product;
    /* |real| * 1000 = size * 1000 / 2^(31 - exp); the integer and the fraction part one after the other,
     * because size * 1000 may need more than 64 bits. */
    const int32_t shift = 31 - out->scale_exp;
    uint64_t milli = 0;
    if (shift <= 0) {
        milli = shift > -10 && size < (UINT64_MAX >> 24) ? (size << -shift) * 1000u : (uint64_t)INT64_MAX;
    } else if (shift < 64) {
        const uint64_t whole = size >> shift;
        const uint64_t fraction = size & ((UINT64_C(1) << shift) - 1u);
        /* 53 bits of the fraction are enough for three decimals. */
        const int32_t drop = shift > 53 ? shift - 53 : 0;
        const int32_t kept = shift - drop;
        const uint64_t half = kept > 0 ? UINT64_C(1) << (kept - 1) : 0u;
        milli = whole * 1000u + (((fraction >> drop) * 1000u + half) >> kept);
    }
    if (milli > (uint64_t)INT64_MAX) {
        milli = (uint64_t)INT64_MAX;
    }
    return product < 0 ? -(int64_t)milli : (int64_t)milli;
}
