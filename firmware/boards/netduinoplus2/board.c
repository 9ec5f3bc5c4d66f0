/*
 * STM32F405: 168 MHz from the internal oscillator, USART1 on PA9 and PA10, sync pin PA5 (reference manual
 * RM0090, chapters Flash, RCC and GPIO).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "board.h"

#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define RCC_CR REGISTER(0x40023800u)
#define RCC_PLLCFGR REGISTER(0x40023804u)
#define RCC_CFGR REGISTER(0x40023808u)
#define RCC_AHB1ENR REGISTER(0x40023830u)
#define RCC_APB2ENR REGISTER(0x40023844u)
#define FLASH_ACR REGISTER(0x40023C00u)
#define GPIOA_MODER REGISTER(0x40020000u)
#define GPIOA_BSRR REGISTER(0x40020018u)
#define GPIOA_AFRH REGISTER(0x40020024u)

#define RCC_CR_PLLON (1u << 24)
#define RCC_CR_PLLRDY (1u << 25)
/* 16 MHz / 16 * 336 / 2 = 168 MHz; the 48 MHz output is 336 / 7. */
#define PLL_168_MHZ (16u | 336u << 6 | 0u << 16 | 7u << 24)
#define FLASH_5_WAIT_STATES_AND_CACHES (5u | 1u << 8 | 1u << 9 | 1u << 10)
#define AHB_1_APB1_4_APB2_2 (5u << 10 | 4u << 13)
#define CFGR_SWITCH_PLL 2u
#define CFGR_STATUS_PLL (2u << 2)

#define SYNC_PIN 5u
#define SYNC_LOOPS 200u /* more than 1 us at 168 MHz */
#define WAIT_LOOPS 100000u

/* Waits with a limit, because an emulator's clock tree never gets ready; it runs at full speed anyway. */
static void wait_for(volatile uint32_t *address, uint32_t mask, uint32_t value) {
    for (uint32_t i = 0; i < WAIT_LOOPS && (*address & mask) != value; i++) {
    }
}

void board_init(void) {
    FLASH_ACR = FLASH_5_WAIT_STATES_AND_CACHES;
    RCC_PLLCFGR = PLL_168_MHZ;
    RCC_CR |= RCC_CR_PLLON;
    wait_for(&RCC_CR, RCC_CR_PLLRDY, RCC_CR_PLLRDY);
    RCC_CFGR = AHB_1_APB1_4_APB2_2 | CFGR_SWITCH_PLL;
    wait_for(&RCC_CFGR, CFGR_STATUS_PLL, CFGR_STATUS_PLL);

    RCC_AHB1ENR |= 1u;      /* GPIOA */
    RCC_APB2ENR |= 1u << 4; /* USART1 */
    const uint32_t pins = 3u << (2u * SYNC_PIN) | 3u << 18 | 3u << 20;
    GPIOA_AFRH = (GPIOA_AFRH & ~0xFF0u) | 0x770u; /* PA9, PA10: AF7 */
    GPIOA_BSRR = 1u << SYNC_PIN;
    GPIOA_MODER = (GPIOA_MODER & ~pins) | 1u << (2u * SYNC_PIN) | 2u << 18 | 2u << 20;
}

void board_sync(void) {
    GPIOA_BSRR = 1u << (SYNC_PIN + 16u);
    for (volatile uint32_t i = 0; i < SYNC_LOOPS; i++) {
    }
    GPIOA_BSRR = 1u << SYNC_PIN;
}
