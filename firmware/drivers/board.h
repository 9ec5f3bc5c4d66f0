/*
 * What the application needs of a board. Numbers (addresses, clocks, units) come from board_config.h, which
 * the build writes from boards/<name>/board.toml.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

/* Clocks and pins. Called once, before any driver; the core then runs at BOARD_CLOCK_HZ. */
void board_init(void);

/* Polled UART, 8N1 at BOARD_UART_BAUD. uart_put waits for room; uart_poll returns a byte 0..255 or -1. */
void uart_init(void);
void uart_put(uint8_t byte);
int uart_poll(void);

/* Core clock ticks since timer_init(), 64 bits, never running backwards. */
void timer_init(void);
uint64_t timer_ticks(void);

/* Converts a time of timer_ticks() to microseconds (of virtual time on an emulator). */
uint64_t timer_us(uint64_t ticks);

/* Converts a time of timer_ticks() to timer_unit(): core cycles, or executed instructions on an emulator.
 * Convert both ends of an interval and subtract. */
uint64_t timer_count(uint64_t ticks);
const char *timer_unit(void);

/* A falling edge of at least 1 us on the pin a power meter watches; nothing where the board has none. */
void board_sync(void);

/* Restarts the processor through AIRCR.SYSRESETREQ. */
void board_reset(void);

/* Bytes of stack used since boot, the largest depth reached. */
uint32_t board_stack_used(void);

/* Never returns. Prints `e-[Fault: ...]` and, on an emulator, ends it with `status`. */
void board_fault(const char *what, int status);

#endif
