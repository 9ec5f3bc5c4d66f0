/*
 * The parser: collects bytes up to '%', finds the command in a table and runs it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "protocol.h"

#include <string.h>

#include "commands.h"
#include "crc32.h"
#include "reply.h"

typedef struct {
    const char *word;
    void (*run)(protocol_t *p, const char *text);
} command_t;

/* The first entry whose words begin the line wins, so "db load" stands before "db". */
static const command_t commands[] = {
    {"name", command_name},       {"profile", command_profile},   {"timestamp", command_timestamp},
    {"db load", command_db_load}, {"db print", command_db_print}, {"db crc", command_db_crc},
    {"db", command_db},           {"infer", command_infer},       {"results", command_results},
    {"caps", command_caps},       {"info", command_info},         {"layers", command_layers},
    {"dump", command_dump},       {"stream", command_stream},     {"reset", command_reset},
};

bool parse_number(protocol_t *p, const char **text, uint32_t max, uint32_t *value) {
    const char *c = *text;
    uint32_t number = 0;
    if (*c < '0' || *c > '9') {
        reply_error(p, "Number expected");
        return false;
    }
    for (; *c >= '0' && *c <= '9'; c++) {
        const uint32_t digit = (uint32_t)(*c - '0');
        if (number > max / 10u || number * 10u > max - digit) {
            reply_error_number(p, "Number larger than", (int64_t)max);
            return false;
        }
        number = number * 10u + digit;
    }
    if (*c != ' ' && *c != '\0') {
        reply_error(p, "Number expected");
        return false;
    }
    while (*c == ' ') {
        c++;
    }
    *text = c;
    *value = number;
    return true;
}

bool parse_end(protocol_t *p, const char *text) {
    if (*text != '\0') {
        reply_error(p, "Too many arguments");
        return false;
    }
    return true;
}

static void ready(protocol_t *p) {
    reply_line(p, "m-ready");
}

/* The text behind the words of `command`, or NULL when `line` is another command. */
static const char *match(const command_t *command, const char *line) {
    const size_t length = strlen(command->word);
    if (strncmp(line, command->word, length) != 0 || (line[length] != ' ' && line[length] != '\0')) {
        return NULL;
    }
    line += length;
    while (*line == ' ') {
        line++;
    }
    return line;
}

static void run_line(protocol_t *p) {
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        const char *text = match(&commands[i], p->line);
        if (text != NULL) {
            commands[i].run(p, text);
            return;
        }
    }
    reply_text(p, "e-[Unknown command: ");
    reply_name(p, p->line);
    reply_line(p, "]");
}

/* Two readings of the clock in a row: what measuring adds to a layer's count. The least of a few, because an
 * interrupt may fall between. */
static uint32_t clock_overhead(const protocol_port_t *port) {
    uint64_t least = UINT32_MAX;
    for (unsigned i = 0; i < 8u; i++) {
        const uint64_t start = port->ticks(port->context);
        const uint64_t end = port->ticks(port->context);
        const uint64_t count = port->count(port->context, end) - port->count(port->context, start);
        if (count < least) {
            least = count;
        }
    }
    return (uint32_t)least;
}

void protocol_init(protocol_t *p, const protocol_port_t *port, const ebnn_model_t *model, uint8_t *arena,
                   size_t arena_size, uint8_t *input, size_t input_size) {
    memset(p, 0, sizeof *p);
    p->port = port;
    p->model = model;
    p->arena = arena;
    p->arena_size = arena_size;
    p->input = input;
    p->loaded = model->input.size; /* zeros, until db load */
    p->overhead = clock_overhead(port);
    p->status = ebnn_check(model, arena, arena_size);
    if (p->status == EBNN_OK && model->input.size > input_size) {
        p->status = EBNN_ERR_ARGUMENT;
    }
    if (port->energy_mode) {
        reply_line(p, "m-timestamp-mode-energy");
    } else {
        reply_line(p, "m-timestamp-mode-performance");
        command_timestamp(p, "");
    }
    if (p->status != EBNN_OK) {
        reply_error_number(p, "Model does not fit this firmware: status", p->status);
    } else {
        memset(input, 0, model->input.size);
    }
    reply_line(p, "m-init-done");
    ready(p);
}

void protocol_feed(protocol_t *p, uint8_t byte) {
    if (byte == (uint8_t)'%') {
        const bool overflow = p->overflow;
        p->line[p->length] = '\0';
        p->crc = crc32_update(0, p->line, p->length); /* so that a host sees when its command was damaged */
        p->length = 0;
        p->overflow = false;
        if (overflow) {
            reply_error(p, "Command too long");
        } else {
            run_line(p);
        }
        ready(p);
        return;
    }
    /* What terminals send along: line ends, and spaces before a command. */
    if (byte == (uint8_t)'\r' || byte == (uint8_t)'\n' || (byte == (uint8_t)' ' && p->length == 0)) {
        return;
    }
    if (p->length == PROTOCOL_LINE_SIZE - 1u) {
        p->overflow = true;
        return;
    }
    p->line[p->length++] = byte == 0u ? '_' : (char)byte;
}
