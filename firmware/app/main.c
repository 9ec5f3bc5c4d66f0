/*
 * The firmware: one model, driven over the serial protocol.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "board.h"
#include "board_config.h"
#include "ebnn_model.h"
#include "protocol.h"

#ifndef EBNN_MODEL_INPUT_SIZE
#define EBNN_MODEL_INPUT_SIZE EBNN_MODEL_ARENA_SIZE /* an upper bound: the arena holds the input */
#endif

static uint8_t arena[EBNN_MODEL_ARENA_SIZE] __attribute__((aligned(EBNN_ALIGN)));
static uint8_t input[EBNN_MODEL_INPUT_SIZE] __attribute__((aligned(4)));
static protocol_t protocol;

static void port_put(void *context, uint8_t byte) {
    (void)context;
    uart_put(byte);
}

static int port_poll(void *context) {
    (void)context;
    return uart_poll();
}

static uint64_t port_ticks(void *context) {
    (void)context;
    return timer_ticks();
}

static uint64_t port_us(void *context, uint64_t ticks) {
    (void)context;
    return timer_us(ticks);
}

static uint64_t port_count(void *context, uint64_t ticks) {
    (void)context;
    return timer_count(ticks);
}

static void port_sync(void *context) {
    (void)context;
    board_sync();
}

static void port_reset(void *context) {
    (void)context;
    board_reset();
}

static uint32_t port_stack_used(void *context) {
    (void)context;
    return board_stack_used();
}

int main(void) {
    board_init();
    timer_init();
    uart_init();
    const protocol_port_t port = {
        .put = port_put,
        .poll = port_poll,
        .ticks = port_ticks,
        .us = port_us,
        .count = port_count,
        .sync = port_sync,
        .reset = port_reset,
        .stack_used = port_stack_used,
        .board = BOARD_NAME,
        .core = BOARD_CORE,
        .unit = timer_unit(),
        .clock_hz = BOARD_CLOCK_HZ,
        .energy_mode = BOARD_ENERGY_MODE,
#ifdef BOARD_MLPERF_MODEL
        .mlperf_model = BOARD_MLPERF_MODEL,
#endif
    };
    protocol_init(&protocol, &port, &EBNN_MODEL, arena, sizeof arena, input, sizeof input);
    for (;;) {
        const int byte = uart_poll();
        if (byte >= 0) {
            protocol_feed(&protocol, (uint8_t)byte);
        }
    }
}
