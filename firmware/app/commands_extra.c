/*
 * edgebnn's extensions of the MLPerf Tiny protocol.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "commands.h"
#include "crc32.h"
#include "reply.h"

#define MAX_RUNS 1000000u
#define MAX_STREAM_MS 3600000u
#define DUMP_BYTES 32u

void reply_crc(protocol_t *p) {
    const uint32_t crc = p->crc;
    reply_text(p, "m-crc-[");
    reply_hex32(p, crc);
    reply_line(p, "]");
}

void command_caps(protocol_t *p, const char *text) {
    if (parse_end(p, text)) {
        reply_line(p, "m-caps-[crc,dump,info,layers,reset,stream]");
        reply_crc(p);
    }
}

void command_info(protocol_t *p, const char *text) {
    if (!parse_end(p, text)) {
        return;
    }
    reply_info_number(p, "wire", PROTOCOL_VERSION);
    reply_info_text(p, "board", p->port->board);
    reply_info_text(p, "core", p->port->core);
    reply_info_number(p, "clock_hz", p->port->clock_hz);
    reply_info_text(p, "unit", p->port->unit);
    reply_info_number(p, "abi", p->model->abi);
    reply_info_text(p, "model", p->model->name);
    reply_text(p, "m-info-[model_crc,");
    reply_hex32(p, p->model->crc);
    reply_line(p, "]");
    reply_info_number(p, "layers", p->model->n_ops);
    reply_info_number(p, "input_bytes", p->model->input.size);
    reply_info_number(p, "output_bytes", p->model->output.size);
    reply_info_number(p, "outputs", output_count(p));
    reply_info_number(p, "arena_bytes", p->model->arena_size);
    reply_info_number(p, "stack_bytes", p->port->stack_used(p->port->context));
    for (uint32_t i = 0; p->model->labels != NULL && i < p->model->n_labels; i++) {
        reply_text(p, "m-label-[");
        reply_unsigned(p, i);
        reply_text(p, ",");
        reply_name(p, p->model->labels[i]);
        reply_line(p, "]");
    }
    reply_crc(p);
}

void command_db_crc(protocol_t *p, const char *text) {
    if (parse_end(p, text) && model_ready(p)) {
        reply_text(p, "m-db-crc-[");
        reply_hex32(p, crc32_update(0, p->input, p->model->input.size));
        reply_line(p, "]");
        reply_crc(p);
    }
}

static void print_layer(protocol_t *p, uint32_t index) {
    const ebnn_op_info_t *info = p->model->info;
    reply_text(p, "m-layer-[");
    reply_unsigned(p, index);
    reply_text(p, ",");
    reply_name(p, info != NULL ? info[index].op : "?");
    reply_text(p, ",");
    reply_name(p, info != NULL ? info[index].kernel : "?");
    reply_text(p, ",");
    reply_unsigned(p, info != NULL ? info[index].macs : 0u);
    reply_text(p, ",");
    reply_name(p, info != NULL ? info[index].name : "?");
    reply_line(p, "]");
}

/* From `start` to `end` in the board's unit, without the cost of the reading itself. */
static uint64_t interval(const protocol_t *p, uint64_t start, uint64_t end) {
    const protocol_port_t *port = p->port;
    const uint64_t count = port->count(port->context, end) - port->count(port->context, start);
    return count > p->overhead ? count - p->overhead : 0u;
}

/* One inference as a whole, then one layer by layer; counts are sent as they come, so nothing is stored. */
static bool print_counts(protocol_t *p) {
    const protocol_port_t *port = p->port;
    model_set_input(p);
    uint64_t start = port->ticks(port->context);
    ebnn_status_t status = ebnn_run(p->model, p->arena, p->arena_size);
    uint64_t end = port->ticks(port->context);
    p->output_valid = status == EBNN_OK;
    if (status != EBNN_OK) {
        reply_error_number(p, "Model failed: status", status);
        return false;
    }
    reply_text(p, "m-counts-[");
    reply_unsigned(p, interval(p, start, end));
    model_set_input(p);
    for (uint32_t i = 0; i < p->model->n_ops; i++) {
        start = port->ticks(port->context);
        status = ebnn_run_op(p->model, p->arena, i);
        end = port->ticks(port->context);
        if (status != EBNN_OK) { /* it did not a moment ago */
            reply_line(p, "]");
            reply_error_number(p, "Model failed: status", status);
            return false;
        }
        reply_text(p, ",");
        reply_unsigned(p, interval(p, start, end));
    }
    reply_line(p, "]");
    return true;
}

void command_layers(protocol_t *p, const char *text) {
    uint32_t runs = 1;
    if ((*text != '\0' && !parse_number(p, &text, MAX_RUNS, &runs)) || !parse_end(p, text)) {
        return;
    }
    if (!model_ready(p)) {
        return;
    }
    for (uint32_t i = 0; i < p->model->n_ops; i++) {
        print_layer(p, i);
    }
    for (uint32_t i = 0; i < runs; i++) {
        if (!print_counts(p)) {
            return;
        }
    }
    reply_crc(p);
}

static const char *dtype_name(uint8_t dtype) {
    switch (dtype) {
    case EBNN_B1:
        return "b1";
    case EBNN_U2:
        return "u2";
    case EBNN_U3:
        return "u3";
    case EBNN_U4:
        return "u4";
    case EBNN_S8:
        return "s8";
    case EBNN_S32:
        return "s32";
    default:
        return "?";
    }
}

static const char *layout_name(uint8_t layout) {
    switch (layout) {
    case EBNN_NHWC:
        return "nhwc";
    case EBNN_CHW:
        return "chw";
    case EBNN_PLANES:
        return "planes";
    case EBNN_NIBBLES:
        return "nibbles";
    default:
        return "?";
    }
}

/* `suffix`: what follows the name */
static void print_tensor(protocol_t *p, const char *name, const char *suffix, const ebnn_tensor_t *tensor) {
    const uint32_t shape[3] = {tensor->h, tensor->w, tensor->c};
    reply_text(p, "m-tensor-[");
    reply_name(p, name);
    reply_text(p, suffix);
    reply_text(p, ",");
    reply_text(p, dtype_name(tensor->dtype));
    reply_text(p, ",");
    reply_text(p, layout_name(tensor->layout));
    for (unsigned i = 0; i < 3u; i++) {
        reply_text(p, ",");
        reply_unsigned(p, shape[i]);
    }
    reply_text(p, ",");
    reply_unsigned(p, tensor->size);
    reply_line(p, "]");
    for (uint32_t i = 0; i < tensor->size; i += DUMP_BYTES) {
        const uint32_t left = tensor->size - i;
        reply_text(p, "m-data-[");
        reply_hex(p, p->arena + tensor->offset + i, left < DUMP_BYTES ? left : DUMP_BYTES);
        reply_line(p, "]");
    }
}

void command_dump(protocol_t *p, const char *text) {
    const uint32_t layers = p->model->n_ops;
    const bool all = strcmp(text, "all") == 0;
    const bool output = strcmp(text, "output") == 0;
    uint32_t last = layers - 1u;
    if (!all && !output && (!parse_number(p, &text, UINT32_MAX, &last) || !parse_end(p, text))) {
        return;
    }
    if (last >= layers) {
        reply_error_number(p, "No such layer, layers:", (int64_t)layers);
        return;
    }
    if (!output && p->model->info == NULL) {
        reply_error(p, "This model was built without layer information");
        return;
    }
    if (!model_ready(p)) {
        return;
    }
    if (output) {
        if (!model_run(p)) {
            return;
        }
        print_tensor(p, "output", "", &p->model->output);
    } else {
        /* Layers share memory: each tensor is read before the next layer runs. */
        model_set_input(p);
        for (uint32_t i = 0; i <= last; i++) {
            if (!model_run_layer(p, i)) {
                return;
            }
            if (all || i == last) {
                const ebnn_op_info_t *info = &p->model->info[i];
                print_tensor(p, info->name, "", &info->out);
                if (info->out2.size != 0u) {
                    print_tensor(p, info->name, ":2", &info->out2);
                }
            }
        }
    }
    reply_crc(p);
}

static uint32_t largest_output(const protocol_t *p) {
    uint32_t best = 0;
    for (uint32_t i = 1; i < output_count(p); i++) {
        if (output_milli(p, i) > output_milli(p, best)) {
            best = i;
        }
    }
    return best;
}

void command_stream(protocol_t *p, const char *text) {
    const protocol_port_t *port = p->port;
    uint32_t period_ms;
    if (!parse_number(p, &text, MAX_STREAM_MS, &period_ms) || !parse_end(p, text) || !model_ready(p)) {
        return;
    }
    uint64_t next_us = port->us(port->context, port->ticks(port->context));
    for (;;) {
        const uint64_t start = port->ticks(port->context);
        if (!model_run(p)) {
            return;
        }
        const uint64_t end = port->ticks(port->context);
        reply_text(p, "m-stream-[");
        reply_unsigned(p, interval(p, start, end));
        if (output_count(p) != 0u) {
            const uint32_t best = largest_output(p);
            reply_text(p, ",");
            reply_unsigned(p, best);
            reply_text(p, ",");
            reply_milli(p, output_milli(p, best));
        }
        reply_line(p, "]");
        next_us += (uint64_t)period_ms * 1000u;
        do {
            if (port->poll(port->context) >= 0) {
                reply_line(p, "m-stream-done");
                reply_crc(p);
                return;
            }
        } while (port->us(port->context, port->ticks(port->context)) < next_us);
    }
}

void command_reset(protocol_t *p, const char *text) {
    if (parse_end(p, text)) {
        reply_line(p, "m-resetting");
        p->port->reset(p->port->context);
    }
}
