/*
 * Start of every board: vector table, memory initialisation, coprocessor access, faults, reset.
 * The firmware polls its UART, so that no device interrupt is ever enabled and 16 vectors are enough.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdint.h>

#include "board.h"
#include "board_config.h"
#include "semihost.h"

#define SCB_AIRCR (*(volatile uint32_t *)0xE000ED0Cu)
#define SCB_CPACR (*(volatile uint32_t *)0xE000ED88u)
#define STACK_PAINT 0xC5C5C5C5u

extern uint32_t _stack_start, _stack_end, _data_load, _data_start, _data_end, _bss_start, _bss_end;

int main(void);
void Reset_Handler(void);
void HardFault_Handler(void);
void Default_Handler(void);
void SysTick_Handler(void);

/* Written as loops over volatile pointers: a compiler must not turn these into calls of memcpy or memset,
 * which may use coprocessor registers before they are enabled. */
static void init_memory(void) {
    const volatile uint32_t *from = &_data_load;
    for (volatile uint32_t *to = &_data_start; to < &_data_end; to++) {
        *to = *from++;
    }
    for (volatile uint32_t *to = &_bss_start; to < &_bss_end; to++) {
        *to = 0u;
    }
}

/* Fills the free part of the stack with a pattern that board_stack_used() looks for. */
static void paint_stack(void) {
    uint32_t *here = __builtin_frame_address(0);
    for (volatile uint32_t *word = &_stack_start; word < here - 16; word++) {
        *word = STACK_PAINT;
    }
}

uint32_t board_stack_used(void) {
    const volatile uint32_t *word = &_stack_start;
    while (word < &_stack_end && *word == STACK_PAINT) {
        word++;
    }
    return (uint32_t)((uintptr_t)&_stack_end - (uintptr_t)word);
}

__attribute__((noreturn)) void Reset_Handler(void) {
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    SCB_CPACR |= 0xFu << 20; /* full access to CP10 and CP11: FPU and MVE */
    __asm volatile("dsb\n\tisb" ::: "memory");
#endif
    init_memory();
    paint_stack();
    semihost_exit(main());
    for (;;) {
    }
}

void board_reset(void) {
    __asm volatile("dsb" ::: "memory");
    SCB_AIRCR = 0x05FA0004u;
    for (;;) {
    }
}

void board_fault(const char *what, int status) {
    const char *const text[] = {"\r\ne-[Fault: ", what, "]\r\n"};
    for (unsigned i = 0; i < 3; i++) {
        for (const char *c = text[i]; *c != '\0'; c++) {
            uart_put((uint8_t)*c);
        }
    }
    semihost_exit(status);
    for (;;) {
    }
}

void HardFault_Handler(void) {
    board_fault("hard fault", 70);
}

void Default_Handler(void) {
    board_fault("unexpected exception", 71);
}

typedef union {
    const void *stack;
    void (*handler)(void);
} vector_t;

__attribute__((section(".vectors"), used)) static const vector_t vectors[16] = {
    {.stack = &_stack_end},
    {.handler = Reset_Handler},
    {.handler = Default_Handler}, /* NMI */
    {.handler = HardFault_Handler},
    {.handler = Default_Handler}, /* MemManage */
    {.handler = Default_Handler}, /* BusFault */
    {.handler = Default_Handler}, /* UsageFault */
    {.handler = Default_Handler}, /* SecureFault */
    {.stack = 0},
    {.stack = 0},
    {.stack = 0},
    {.handler = Default_Handler}, /* SVCall */
    {.handler = Default_Handler}, /* DebugMonitor */
    {.stack = 0},
    {.handler = Default_Handler}, /* PendSV */
    {.handler = SysTick_Handler},
};
