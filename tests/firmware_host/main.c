/*
 * The firmware's protocol as a host program: bytes from standard input, replies to standard output, a clock
 * that advances 100 ticks (microseconds) at each reading.
 *
 * Options: energy, small-arena, mlperf, no-info.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <poll.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ebnn_model.h"
#include "protocol.h"

#define GUARD 64
#define GUARD_BYTE 0xA7

static uint64_t now;
static struct {
    uint8_t before[GUARD];
    uint8_t bytes[EBNN_MODEL_ARENA_SIZE] __attribute__((aligned(EBNN_ALIGN)));
    uint8_t between[GUARD];
    uint8_t input[EBNN_MODEL_INPUT_SIZE];
    uint8_t after[GUARD];
} memory;
static protocol_t protocol;

static void put(void *context, uint8_t byte) {
    (void)context;
    if (write(STDOUT_FILENO, &byte, 1) != 1) {
        exit(3);
    }
}

static int untouched(const uint8_t *guard) {
    for (unsigned i = 0; i < GUARD; i++) {
        if (guard[i] != GUARD_BYTE) {
            return 0;
        }
    }
    return 1;
}

/* The exit status: 4 when something was written beside the buffers. */
static int finish(void) {
    return untouched(memory.before) && untouched(memory.between) && untouched(memory.after) ? 0 : 4;
}

static int take(void *context) {
    (void)context;
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    uint8_t byte;
    if (poll(&in, 1, 0) <= 0) {
        return -1;
    }
    if (read(STDIN_FILENO, &byte, 1) != 1) {
        exit(finish()); /* nobody is left who could end a stream */
    }
    return byte;
}

static uint64_t ticks(void *context) {
    (void)context;
    return now += 100;
}

static uint64_t us(void *context, uint64_t time) {
    (void)context;
    return time;
}

static uint64_t count(void *context, uint64_t time) {
    (void)context;
    return time * 2;
}

static void edge(void *context) {
    (void)context;
    fputs("edge\n", stderr);
}

static void boot(const protocol_port_t *port, const ebnn_model_t *model, size_t arena_size) {
    protocol_init(&protocol, port, model, memory.bytes, arena_size, memory.input, sizeof memory.input);
}

/* A device does not return from its reset either. */
static void reset(void *context) {
    longjmp(*(jmp_buf *)context, 1);
}

static uint32_t stack_used(void *context) {
    (void)context;
    return 123;
}

int main(int argc, char **argv) {
    static jmp_buf start;
    static size_t arena_size = sizeof memory.bytes;
    static ebnn_model_t model;
    static protocol_port_t port;
    model = EBNN_MODEL;
    port = (protocol_port_t){
        .context = &start,
        .put = put,
        .poll = take,
        .ticks = ticks,
        .us = us,
        .count = count,
        .sync = edge,
        .reset = reset,
        .stack_used = stack_used,
        .board = "host",
        .core = "test core",
        .unit = "cycles",
        .clock_hz = 1000000,
    };
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "energy") == 0) {
            port.energy_mode = true;
        } else if (strcmp(argv[i], "small-arena") == 0) {
            arena_size = model.arena_size - 1u;
        } else if (strcmp(argv[i], "mlperf") == 0) {
            port.mlperf_model = "kws01";
        } else if (strcmp(argv[i], "no-info") == 0) {
            model.info = NULL;
        }
    }
    memset(&memory, GUARD_BYTE, sizeof memory);
    (void)setjmp(start);
    boot(&port, &model, arena_size);
    uint8_t byte;
    while (read(STDIN_FILENO, &byte, 1) == 1) {
        protocol_feed(&protocol, byte);
    }
    return finish();
}
