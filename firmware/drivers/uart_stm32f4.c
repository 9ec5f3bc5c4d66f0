/*
 * USART of ST's STM32F2 and STM32F4 series (reference manual RM0090, chapter USART). The board enables its
 * clock and pins.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "board.h"
#include "board_config.h"

#define REGISTER(offset) (*(volatile uint32_t *)(BOARD_UART_BASE + (offset)))
#define SR REGISTER(0x00u)
#define DR REGISTER(0x04u)
#define BRR REGISTER(0x08u)
#define CR1 REGISTER(0x0Cu)

#define SR_RXNE (1u << 5)
#define SR_TXE (1u << 7)
#define CR1_ENABLE (1u << 13 | 1u << 3 | 1u << 2) /* USART, transmitter, receiver */

void uart_init(void) {
    BRR = (BOARD_UART_CLOCK_HZ + BOARD_UART_BAUD / 2u) / BOARD_UART_BAUD;
    CR1 = CR1_ENABLE;
}

void uart_put(uint8_t byte) {
    while ((SR & SR_TXE) == 0u) {
    }
    DR = byte;
}

int uart_poll(void) {
    if ((SR & SR_RXNE) == 0u) {
        return -1;
    }
    return (int)(DR & 0xFFu);
}
