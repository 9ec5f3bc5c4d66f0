/*
 * Sums of the four planes of signs from the eight class sums, with the DSP extension; C twins elsewhere.
 *
 * E1, E2, E4: sums of the classes with bit 0, 1, 2; E0: of all classes. The planes are E0 and 2 Ei - E0.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "blanes_m4.h"

#if EBNN_ARM_DSP

/* clang-format off */
__asm__(
    ".syntax unified\n.thumb\n"
    /* Two pixels of the classes in r2..r9 -> {r10-r12, lr}; first: moves fields, next: adds them. */
    ".macro EBNN_TOTALS_OF first:req, next:req, turn:vararg\n"
    "  \\first r11, r5 \\turn\n \\next r11, r11, r9 \\turn\n"
    "  \\next r12, r11, r4 \\turn\n \\next r12, r12, r8 \\turn\n"
    "  \\next r11, r11, r3 \\turn\n \\next r11, r11, r7 \\turn\n"
    "  \\first lr, r6 \\turn\n \\next lr, lr, r7 \\turn\n \\next lr, lr, r8 \\turn\n \\next lr, lr, r9 \\turn\n"
    "  \\next r10, r11, r2 \\turn\n \\next r10, r10, r4 \\turn\n \\next r10, r10, r6 \\turn\n"
    "  \\next r10, r10, r8 \\turn\n"
    "  add r11, r11\n add r12, r12\n add lr, lr\n" /* halves stay below 2^16 */
    "  ssub16 r11, r11, r10\n ssub16 r12, r12, r10\n ssub16 lr, lr, r10\n"
    "  stm r1!, {r10-r12, lr}\n"
    ".endm\n"
    ".macro EBNN_TOTALS name, bits\n"
    ".section .text.\\name,\"ax\",%progbits\n.balign 4\n.global \\name\n.type \\name, %function\n.thumb_func\n"
    "\\name:\n"
    "  push {r4-r11, lr}\n movs r2, #4\n sub sp, #4\n"
    "1: str r2, [sp]\n"
    "  ldr r2, [r0]\n ldr r3, [r0, #16]\n ldr r4, [r0, #32]\n ldr r5, [r0, #48]\n"
    "  ldr r6, [r0, #64]\n ldr r7, [r0, #80]\n ldr r8, [r0, #96]\n ldr r9, [r0, #112]\n adds r0, #4\n"
    ".if \\bits == 4\n"
    "  EBNN_TOTALS_OF uxtb16, uxtab16\n"
    "  EBNN_TOTALS_OF uxtb16, uxtab16, , ror #8\n"
    ".else\n"
    "  EBNN_TOTALS_OF mov, sadd16\n"
    ".endif\n"
    "  ldr r2, [sp]\n subs r2, #1\n bne 1b\n"
    "  add sp, #4\n pop {r4-r11, pc}\n.size \\name, .-\\name\n"
    ".endm\n"
    "EBNN_TOTALS ebnn_lanes_totals4__cortex_m4, 4\n"
    "EBNN_TOTALS ebnn_lanes_totals8__cortex_m4, 8\n"
    ".text\n");
/* clang-format on */

#else

/* c: class sums of two pixels as halves. */
static void totals_of(const uint32_t *c, uint32_t *t) {
    for (uint32_t plane = 0; plane < 4u; plane++) {
        int32_t low = 0, high = 0;
        for (uint32_t j = 0; j < EBNN_CLASSES; j++) {
            const int32_t sign = plane == 0u || ((j >> (plane - 1u)) & 1u) != 0u ? 1 : -1;
            low += sign * (int32_t)(c[j] & 0xFFFFu);
            high += sign * (int32_t)(c[j] >> 16);
        }
        t[plane] = ebnn_halves_(low, high);
    }
}

void ebnn_lanes_totals4__cortex_m4(const uint32_t *sums, uint32_t *totals) {
    for (uint32_t i = 0; i < 8u; i++) {
        uint32_t c[EBNN_CLASSES];
        for (uint32_t j = 0; j < EBNN_CLASSES; j++) {
            c[j] = (sums[4u * j + i / 2u] >> (8u * (i & 1u))) & 0x00FF00FFu;
        }
        totals_of(c, totals + 4u * i);
    }
}

void ebnn_lanes_totals8__cortex_m4(const uint32_t *sums, uint32_t *totals) {
    for (uint32_t i = 0; i < 4u; i++) {
        uint32_t c[EBNN_CLASSES];
        for (uint32_t j = 0; j < EBNN_CLASSES; j++) {
            c[j] = sums[4u * j + i];
        }
        totals_of(c, totals + 4u * i);
    }
}

#endif
