/*
 * UART of Nordic's nRF51 series (nRF51 Series Reference Manual, chapter UART).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "board.h"
#include "board_config.h"

#define REGISTER(offset) (*(volatile uint32_t *)(BOARD_UART_BASE + (offset)))
#define STARTRX REGISTER(0x000u)
#define STARTTX REGISTER(0x008u)
#define EVENT_RXDRDY REGISTER(0x108u)
#define EVENT_TXDRDY REGISTER(0x11Cu)
#define ENABLE REGISTER(0x500u)
#define PSELTXD REGISTER(0x50Cu)
#define PSELRXD REGISTER(0x514u)
#define RXD REGISTER(0x518u)
#define TXD REGISTER(0x51Cu)
#define BAUDRATE REGISTER(0x524u)

void uart_init(void) {
    PSELTXD = BOARD_UART_PIN_TX;
    PSELRXD = BOARD_UART_PIN_RX;
    /* The manual's values for 9600 and 115200, which its clock of 16 MHz meets within 1 %. */
    BAUDRATE = BOARD_UART_BAUD == 9600 ? 0x00275000u : 0x01D7E000u;
    ENABLE = 4u;
    EVENT_RXDRDY = 0u;
    STARTRX = 1u;
    STARTTX = 1u;
}

void uart_put(uint8_t byte) {
    EVENT_TXDRDY = 0u;
    TXD = byte;
    while (EVENT_TXDRDY == 0u) {
    }
}

int uart_poll(void) {
    if (EVENT_RXDRDY == 0u) {
        return -1;
    }
    EVENT_RXDRDY = 0u; /* before reading: the next byte of the FIFO sets it again */
    return (int)(RXD & 0xFFu);
}
