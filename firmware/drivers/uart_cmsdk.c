/*
 * UART of Arm's CMSDK, on the MPS2 and MPS3 boards.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "board.h"
#include "board_config.h"

#define REGISTER(offset) (*(volatile uint32_t *)(BOARD_UART_BASE + (offset)))
#define DATA REGISTER(0x00u)
#define STATE REGISTER(0x04u)
#define CTRL REGISTER(0x08u)
#define BAUDDIV REGISTER(0x10u)

#define STATE_TX_FULL 1u
#define STATE_RX_FULL 2u
#define BAUDDIV_MIN 16u /* the hardware ignores less */

void uart_init(void) {
    const uint32_t divider = BOARD_UART_CLOCK_HZ / BOARD_UART_BAUD;
    BAUDDIV = divider < BAUDDIV_MIN ? BAUDDIV_MIN : divider;
    CTRL = 3u; /* transmit and receive */
}

void uart_put(uint8_t byte) {
    while ((STATE & STATE_TX_FULL) != 0u) {
    }
    DATA = byte;
}

int uart_poll(void) {
    if ((STATE & STATE_RX_FULL) == 0u) {
        return -1;
    }
    return (int)(DATA & 0xFFu);
}
