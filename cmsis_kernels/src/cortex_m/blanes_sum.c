/*
 * Class sums of the lanes kernels for cores with Thumb-2 (M4/M7/M33); the C twins elsewhere.
 *
 * Per element and pass one LDRH, two LDR and two ADD: offsets and fields of two or three elements are loaded
 * in a row, because consecutive loads pipeline. Registers: r0 list, r1 and r2 the two words of a pass (base),
 * r3 units left, r4..r7 class sums, r8 and r9 sums of narrow fields, r10..r12 and lr temporaries.
 *
 * Widening without masks for the even fields: N += n and H += odd(n) give even = N - (H << field), exact
 * modulo 2^32 because the true even sums fit their fields.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "blanes_m4.h"

#if EBNN_ARM_DSP

/* Stack of the functions below. */
#define SP_COUNTS "0"
#define SP_SUMS "4"
#define SP_END "8" /* of counts */

/* clang-format off */
__asm__(
    ".syntax unified\n.thumb\n"
    /* n = the first three elements */
    ".macro EBNN_FIRST3\n"
    "  ldrh r10, [r0], #2\n ldrh r11, [r0], #2\n ldrh r12, [r0], #2\n ldr r8, [r1, r10]\n ldr r9, [r2, r10]\n"
    "  ldr r10, [r1, r11]\n ldr r11, [r2, r11]\n ldr lr, [r1, r12]\n ldr r12, [r2, r12]\n"
    "  add r8, r10\n add r9, r11\n add r8, lr\n add r9, r12\n"
    ".endm\n"
    /* n += two or three elements */
    ".macro EBNN_ADD2\n"
    "  ldrh r10, [r0], #2\n ldrh r11, [r0], #2\n ldr r12, [r1, r10]\n ldr r10, [r2, r10]\n"
    "  ldr lr, [r1, r11]\n ldr r11, [r2, r11]\n add r8, r12\n add r9, r10\n add r8, lr\n add r9, r11\n"
    ".endm\n"
    ".macro EBNN_ADD3\n"
    "  ldrh r10, [r0], #2\n ldrh r11, [r0], #2\n ldrh r12, [r0], #2\n ldr lr, [r1, r10]\n ldr r10, [r2, r10]\n"
    "  add r8, lr\n add r9, r10\n"
    "  ldr lr, [r1, r11]\n ldr r11, [r2, r11]\n ldr r10, [r1, r12]\n ldr r12, [r2, r12]\n"
    "  add r8, lr\n add r9, r11\n add r8, r10\n add r9, r12\n"
    ".endm\n"
    /* class sums += or -= n; \bits: width of a narrow field */
    ".macro EBNN_WIDEN bits, op\n"
    "  \\op r4, r8\n \\op r6, r9\n"
    ".if \\bits == 4\n"
    "  bic r10, r8, #0x0F0F0F0F\n bic r11, r9, #0x0F0F0F0F\n"
    "  \\op r5, r5, r10, lsr #4\n \\op r7, r7, r11, lsr #4\n"
    ".else\n"
    "  bic r10, r8, #0x00FF00FF\n bic r11, r9, #0x00FF00FF\n"
    "  \\op r5, r5, r10, lsr #8\n \\op r7, r7, r11, lsr #8\n"
    ".endif\n"
    ".endm\n"
    /* units until r3 - step would be negative; fields take one unit */
    ".macro EBNN_RUN_SHORT bits, op, step\n"
    "  subs r3, #\\step\n blo 2f\n"
    "1: EBNN_FIRST3\n EBNN_ADD2\n EBNN_WIDEN \\bits, \\op\n subs r3, #\\step\n blo 2f\n"
    "  EBNN_FIRST3\n EBNN_ADD2\n EBNN_WIDEN \\bits, \\op\n subs r3, #\\step\n bhs 1b\n"
    "2:\n"
    ".endm\n"
    /* the same where fields take three units */
    ".macro EBNN_RUN_LONG bits, op, step\n"
    "  subs r3, #\\step\n blo 3f\n"
    "1: EBNN_FIRST3\n EBNN_ADD2\n subs r3, #\\step\n blo 2f\n"
    "  EBNN_ADD3\n EBNN_ADD2\n subs r3, #\\step\n blo 2f\n"
    "  EBNN_ADD3\n EBNN_ADD2\n EBNN_WIDEN \\bits, \\op\n subs r3, #\\step\n bhs 1b\n b 3f\n"
    "2: EBNN_WIDEN \\bits, \\op\n"
    "3:\n"
    ".endm\n"
    /* const uint16_t *name(list, counts, base, sums); bias: of a negative unit, in every field. A byte of
     * counts is turned such that the negative units are the top four bits of r3, the positive ones the rest. */
    ".macro EBNN_SUM name, run, bits, bias\n"
    ".section .text.\\name,\"ax\",%progbits\n.balign 4\n.global \\name\n.type \\name, %function\n.thumb_func\n"
    "\\name:\n"
    "  push {r4-r11, lr}\n sub sp, #12\n"
    "  add r10, r1, #8\n strd r3, r10, [sp, #" SP_SUMS "]\n"
    "  mov r12, r1\n mov r1, r2\n adds r2, #4\n"
    "9: ldrb r3, [r12], #1\n str r12, [sp, #" SP_COUNTS "]\n"
    "  and r10, r3, #15\n mov r5, #\\bias\n mul r5, r10, r5\n ror r3, r3, #4\n"
    "  add r4, r5, r5, lsl #\\bits\n mov r6, r4\n mov r7, r5\n"
    "  \\run \\bits, sub, 0x10000000\n"
    "  add r3, #0x10000000\n"
    "  \\run \\bits, add, 1\n"
    "  ldr r12, [sp, #" SP_COUNTS "]\n ldr r11, [sp, #" SP_SUMS "]\n ldr r10, [sp, #" SP_END "]\n"
    "  sub r4, r4, r5, lsl #\\bits\n sub r6, r6, r7, lsl #\\bits\n"
    "  stm r11!, {r4-r7}\n str r11, [sp, #" SP_SUMS "]\n cmp r12, r10\n bne 9b\n"
    "  add sp, #12\n pop {r4-r11, pc}\n.size \\name, .-\\name\n"
    ".endm\n"
    "EBNN_SUM ebnn_lanes_sum1__cortex_m4, EBNN_RUN_LONG, 4, 0x05050505\n"
    "EBNN_SUM ebnn_lanes_sum3__cortex_m4, EBNN_RUN_SHORT, 4, 0x0F0F0F0F\n"
    "EBNN_SUM ebnn_lanes_sum15__cortex_m4, EBNN_RUN_LONG, 8, 0x004B004B\n"
    ".text\n");
/* clang-format on */

#else

const uint16_t *ebnn_lanes_sum1__cortex_m4(const uint16_t *list, const uint8_t *counts, const uint8_t *base,
                                           uint32_t *sums) {
    return ebnn_lanes_sum1(list, counts, base, sums);
}

const uint16_t *ebnn_lanes_sum3__cortex_m4(const uint16_t *list, const uint8_t *counts, const uint8_t *base,
                                           uint32_t *sums) {
    return ebnn_lanes_sum3(list, counts, base, sums);
}

const uint16_t *ebnn_lanes_sum15__cortex_m4(const uint16_t *list, const uint8_t *counts, const uint8_t *base,
                                            uint32_t *sums) {
    return ebnn_lanes_sum15(list, counts, base, sums);
}

#endif
