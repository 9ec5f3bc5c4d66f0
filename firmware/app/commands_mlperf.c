/*
 * The commands of the MLPerf Tiny device protocol.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "commands.h"
#include "reply.h"

#define MAX_RUNS 1000000u
#define DEFAULT_WARMUP 10u
#define PRINT_BYTES 8u

static void print_lap(protocol_t *p, uint64_t ticks) {
    reply_text(p, "m-lap-us-");
    reply_unsigned(p, p->port->us(p->port->context, ticks));
    reply_end(p);
}

void command_name(protocol_t *p, const char *text) {
    if (parse_end(p, text)) {
        reply_text(p, "m-name-dut-[");
        reply_name(p, p->port->board);
        reply_line(p, "]");
    }
}

void command_profile(protocol_t *p, const char *text) {
    if (parse_end(p, text)) {
        reply_line(p, "m-profile-[ULPMark for tinyML Firmware V0.0.1]");
        reply_text(p, "m-model-[");
        reply_name(p, p->port->mlperf_model != NULL ? p->port->mlperf_model : p->model->name);
        reply_line(p, "]");
    }
}

void command_timestamp(protocol_t *p, const char *text) {
    if (!parse_end(p, text)) {
        return;
    }
    if (p->port->energy_mode) {
        p->port->sync(p->port->context);
    } else {
        print_lap(p, p->port->ticks(p->port->context));
    }
}

void command_db_load(protocol_t *p, const char *text) {
    uint32_t size;
    if (!parse_number(p, &text, UINT32_MAX, &size) || !parse_end(p, text)) {
        return;
    }
    if (p->status != EBNN_OK) {
        (void)model_ready(p);
        return;
    }
    if (size != p->model->input.size) {
        reply_error_number(p, "Input size must be", (int64_t)p->model->input.size);
        return;
    }
    p->loaded = 0;
    reply_text(p, "m-[Expecting ");
    reply_unsigned(p, size);
    reply_line(p, " bytes]");
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

/* Checks the whole line before it writes a byte: a bad line changes nothing and may be sent again. */
void command_db(protocol_t *p, const char *text) {
    uint32_t digits = 0;
    while (hex_digit(text[digits]) >= 0) {
        digits++;
    }
    if (text[digits] != '\0' || digits == 0u || digits % 2u != 0u) {
        reply_error(p, "Bad hex");
        return;
    }
    const uint32_t missing = p->model->input.size - p->loaded;
    if (missing == 0u) {
        reply_error(p, "No bytes expected");
        return;
    }
    if (digits / 2u > missing) {
        reply_error_number(p, "Too many bytes, still expected:", (int64_t)missing);
        return;
    }
    for (uint32_t i = 0; i < digits; i += 2u) {
        p->input[p->loaded++] = (uint8_t)(hex_digit(text[i]) * 16 + hex_digit(text[i + 1u]));
    }
    if (p->loaded == p->model->input.size) {
        reply_line(p, "m-load-done");
    }
}

void command_db_print(protocol_t *p, const char *text) {
    if (!parse_end(p, text)) {
        return;
    }
    for (uint32_t i = 0; i < p->loaded; i += PRINT_BYTES) {
        reply_text(p, "m-buffer");
        for (uint32_t k = i; k < p->loaded && k < i + PRINT_BYTES; k++) {
            reply_text(p, "-");
            reply_hex(p, &p->input[k], 1);
        }
        reply_end(p);
    }
}

static void print_results(protocol_t *p) {
    const uint32_t n = output_count(p);
    if (n == 0u) {
        reply_error(p, "Output is not a vector of s8 or s32 values, use dump");
        return;
    }
    reply_text(p, "m-results-[");
    for (uint32_t i = 0; i < n; i++) {
        if (i != 0u) {
            reply_text(p, ",");
        }
        reply_milli(p, output_milli(p, i));
    }
    reply_line(p, "]");
}

void command_infer(protocol_t *p, const char *text) {
    uint32_t runs;
    uint32_t warmup = DEFAULT_WARMUP;
    if (!parse_number(p, &text, MAX_RUNS, &runs)) {
        return;
    }
    if (*text != '\0' && !parse_number(p, &text, MAX_RUNS, &warmup)) {
        return;
    }
    if (!parse_end(p, text)) {
        return;
    }
    if (runs == 0u) {
        reply_error(p, "Number of inferences must be positive");
        return;
    }
    if (!model_ready(p)) {
        return;
    }
    reply_text(p, "m-warmup-start-");
    reply_unsigned(p, warmup);
    reply_end(p);
    for (uint32_t i = 0; i < warmup; i++) {
        if (!model_run(p)) {
            return;
        }
    }
    reply_line(p, "m-warmup-done");
    reply_text(p, "m-infer-start-");
    reply_unsigned(p, runs);
    reply_end(p);
    if (p->port->energy_mode) {
        p->port->sync(p->port->context);
    }
    /* Both times are printed at the end: sending the first would take longer than a small model. */
    const uint64_t start = p->port->ticks(p->port->context);
    for (uint32_t i = 0; i < runs; i++) {
        if (!model_run(p)) {
            return;
        }
    }
    const uint64_t end = p->port->ticks(p->port->context);
    if (p->port->energy_mode) {
        p->port->sync(p->port->context);
    } else {
        print_lap(p, start);
        print_lap(p, end);
    }
    reply_line(p, "m-infer-done");
    print_results(p);
}

void command_results(protocol_t *p, const char *text) {
    if (!parse_end(p, text)) {
        return;
    }
    if (!p->output_valid) {
        reply_error(p, "No results yet, use infer");
        return;
    }
    print_results(p);
}
