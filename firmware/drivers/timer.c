/*
 * Time in core clock ticks: DWT->CYCCNT where it counts, else SysTick.
 *
 * SysTick runs in both cases and is extended to 64 bits by its interrupt, once in 2^24 ticks. A cycle
 * counter, 32 bits wide, is extended by the nearest SysTick time. Emulators have no working cycle counter;
 * run with one instruction per fixed virtual time (QEMU -icount), their SysTick counts executed instructions
 * exactly.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdbool.h>
#include <stdint.h>

#include "board.h"
#include "board_config.h"

#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))
#define SYST_CSR REGISTER(0xE000E010u)
#define SYST_RVR REGISTER(0xE000E014u)
#define SYST_CVR REGISTER(0xE000E018u)
#define SCB_DEMCR REGISTER(0xE000EDFCu)
#define DWT_CTRL REGISTER(0xE0001000u)
#define DWT_CYCCNT REGISTER(0xE0001004u)

#define SYSTICK_BITS 24
#define SYSTICK_TOP ((1u << SYSTICK_BITS) - 1u)
/* Instructions of SysTick_Handler below. */
#define SYSTICK_HANDLER_INSTRUCTIONS 5u

/* Armv6-M and Armv8-M Baseline have no cycle counter. */
#if defined(__ARM_ARCH_6M__) || defined(__ARM_ARCH_8M_BASE__)
#define MAY_HAVE_CYCLE_COUNTER 0
#else
#define MAY_HAVE_CYCLE_COUNTER 1
#endif

volatile uint32_t timer_wraps;
static bool cycle_counter;
#if MAY_HAVE_CYCLE_COUNTER
static uint64_t cycle_offset;
#endif

void SysTick_Handler(void);

/* In assembly, so that its length is known: an emulator counts these instructions too. */
__attribute__((naked)) void SysTick_Handler(void) {
    __asm volatile("ldr r0, =timer_wraps\n\t"
                   "ldr r1, [r0]\n\t"
                   "add r1, #1\n\t"
                   "str r1, [r0]\n\t"
                   "bx lr\n\t"
                   ".ltorg");
}

static uint64_t systick_ticks(void) {
    uint32_t wraps, left;
    do {
        wraps = timer_wraps;
        left = SYST_CVR;
    } while (wraps != timer_wraps);
    return ((uint64_t)wraps << SYSTICK_BITS) + (SYSTICK_TOP - left);
}

void timer_init(void) {
    SYST_CSR = 0u;
    SYST_RVR = SYSTICK_TOP;
    SYST_CVR = 0u;
    SYST_CSR = 7u; /* processor clock, interrupt, enabled */
    while (SYST_CVR == 0u) {
        /* until the first load */
    }
#if MAY_HAVE_CYCLE_COUNTER
    SCB_DEMCR |= 1u << 24; /* TRCENA */
    DWT_CTRL |= 1u;        /* CYCCNTENA */
    const uint32_t first = DWT_CYCCNT;
    const uint32_t start = SYST_CVR;
    while (((start - SYST_CVR) & SYSTICK_TOP) < 64u) {
    }
    cycle_counter = DWT_CYCCNT != first;
    if (cycle_counter) {
        cycle_offset = DWT_CYCCNT - systick_ticks();
    }
#endif
}

uint64_t timer_ticks(void) {
    const uint64_t coarse = systick_ticks();
#if MAY_HAVE_CYCLE_COUNTER
    if (cycle_counter) {
        const uint64_t near = coarse + cycle_offset;
        return coarse + (uint64_t)(int64_t)(int32_t)(DWT_CYCCNT - (uint32_t)near);
    }
#endif
    return coarse;
}

uint64_t timer_us(uint64_t ticks) {
    const uint64_t seconds = ticks / BOARD_CLOCK_HZ;
    return seconds * 1000000u + (ticks - seconds * BOARD_CLOCK_HZ) * 1000000u / BOARD_CLOCK_HZ;
}

/* True when the image was built for an emulator and no cycle counter contradicts that. */
static bool counts_instructions(void) {
    return BOARD_EMULATED != 0 && !cycle_counter;
}

uint64_t timer_count(uint64_t ticks) {
    if (!counts_instructions()) {
        return ticks;
    }
    /* One instruction takes BOARD_TICKS_DEN / BOARD_TICKS_NUM ticks, never less than one. QEMU starts SysTick
     * one tick late and rounds its elapsed time up, less one: two ticks more give the exact number of
     * instructions. */
    const uint64_t executed = (ticks + 2u) * BOARD_TICKS_NUM / BOARD_TICKS_DEN;
    return executed - (ticks >> SYSTICK_BITS) * SYSTICK_HANDLER_INSTRUCTIONS;
}

const char *timer_unit(void) {
    return counts_instructions() ? "instructions" : "cycles";
}
