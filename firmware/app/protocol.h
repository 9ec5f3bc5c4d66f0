/*
 * The serial protocol: MLPerf Tiny's commands and edgebnn's extensions (docs/protocol.md gives every line).
 *
 * Bytes go in through protocol_feed(); whole commands run there and then, and answer through the port.
 * Nothing here knows a board: the same files are built into the firmware and, for tests, into a host library.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef PROTOCOL_H
#define PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ebnn.h"

#define PROTOCOL_VERSION 1u
/* Bytes of a command without its '%', and one for the terminating zero. */
#define PROTOCOL_LINE_SIZE 80u

/* What the protocol needs of its surroundings. All functions are given `context`. */
typedef struct {
    void *context;
    void (*put)(void *context, uint8_t byte);
    int (*poll)(void *context);                       /* a received byte 0..255, or -1 */
    uint64_t (*ticks)(void *context);                 /* time since boot */
    uint64_t (*us)(void *context, uint64_t ticks);    /* ticks as microseconds */
    uint64_t (*count)(void *context, uint64_t ticks); /* ticks as `unit` */
    void (*sync)(void *context);                      /* edge of the power meter's pin */
    void (*reset)(void *context);                     /* restarts the device; may return on a host */
    uint32_t (*stack_used)(void *context);            /* bytes */
    const char *board;                                /* board name */
    const char *core;                                 /* processor name */
    const char *unit;                                 /* of count(): "cycles" or "instructions" */
    uint32_t clock_hz;
    bool energy_mode;         /* sync edges instead of m-lap-us lines */
    const char *mlperf_model; /* name for `profile`, or NULL: the model's own */
} protocol_port_t;

typedef struct {
    const protocol_port_t *port;
    const ebnn_model_t *model;
    uint8_t *arena; /* aligned to EBNN_ALIGN */
    size_t arena_size;
    uint8_t
        *input; /* model->input.size bytes, the loaded input: running the model overwrites the arena's copy */
    ebnn_status_t status; /* of ebnn_check() */
    uint32_t loaded;      /* bytes of the input that have arrived */
    uint32_t overhead;    /* count of one reading of the clock */
    uint32_t crc;         /* of the running command and its reply so far */
    uint8_t length;       /* of `line` */
    bool output_valid;    /* the arena holds the output of a whole run */
    bool overflow;        /* the command is longer than `line` */
    char line[PROTOCOL_LINE_SIZE];
} protocol_t;

/* Prepares `p` and prints the boot lines. `arena` (aligned to EBNN_ALIGN) has `arena_size` bytes, `input` has
 * `input_size`; a model that does not fit them is reported by e-[...] here and by every command that runs it.
 */
void protocol_init(protocol_t *p, const protocol_port_t *port, const ebnn_model_t *model, uint8_t *arena,
                   size_t arena_size, uint8_t *input, size_t input_size);

/* Takes one received byte; runs the command that it ends. */
void protocol_feed(protocol_t *p, uint8_t byte);

#endif
