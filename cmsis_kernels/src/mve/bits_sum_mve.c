/*
 * Bit-sliced sums of runs with MVE: carry-save adders in q registers, 128 pixels at a time.
 *
 * q0..q2 are the three lowest bits of the sum, q3..q7 planes and carries; the bits above stay in memory.
 * Blocks of 16 planes: two planes and bit 0 give bit 0 and a carry of weight 2, two of those a carry of
 * weight 4, and so on; the carry of weight 16 of a block is rippled into the bits above. A run starts inside
 * the block, as if the planes before had been 0.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_mve_bits.h"

/* clang-format off */
__asm__(
    ".syntax unified\n.thumb\n"
    /* s + x + y: sum in s, carry in x; y is lost */
    ".macro EBNN_QFULL s, x, y\n"
    "  veor \\y, \\y, \\x\n veor q7, \\s, \\x\n veor \\s, \\s, \\y\n vand \\y, \\y, q7\n veor \\x, \\x, \\y\n"
    ".endm\n"
    /* two planes into bit 0, carry in x */
    ".macro EBNN_QPAIR x\n"
    "  ldrh r4, [r0], #2\n ldrh r5, [r0], #2\n add r4, r1, r4, lsl #2\n add r5, r1, r5, lsl #2\n"
    "  vldrw.32 \\x, [r4]\n vldrw.32 q6, [r5]\n EBNN_QFULL q0, \\x, q6\n"
    ".endm\n"
    /* const uint16_t *name(list, base, runs, n, sums) */
    ".macro EBNN_MVE_SUM name, bits\n"
    ".text\n.balign 4\n.global \\name\n.type \\name, %function\n.thumb_func\n\\name:\n"
    "  push {r4-r8, lr}\n vpush {d8-d15}\n ldr r7, [sp, #88]\n sub sp, #16\n"
    "1: ldrh r8, [r2], #2\n ldrh lr, [r2], #2\n add r6, r0, r8, lsl #2\n"
    "  sbfx r4, lr, #0, #1\n vdup.32 q0, r4\n sbfx r4, lr, #1, #1\n vdup.32 q1, r4\n sbfx r4, lr, #2, #1\n vdup.32 q2, r4\n"
    ".set bit, 3\n"
    ".rept \\bits - 3\n"
    "  sbfx r4, lr, #bit, #1\n vdup.32 q3, r4\n vstrw.32 q3, [r7, #(16 * bit)]\n .set bit, bit + 1\n"
    ".endr\n"
    "  cmp r0, r6\n beq 4f\n"
    "  vmov.i32 q3, #0\n vmov.i32 q4, #0\n vstrw.32 q3, [sp]\n and r8, #7\n"
    "  tbh [pc, r8, lsl #1]\n"
    "9: .short (10f-9b)/2, (17f-9b)/2, (16f-9b)/2, (15f-9b)/2, (14f-9b)/2, (13f-9b)/2, (12f-9b)/2, (11f-9b)/2\n"
    "10: EBNN_QPAIR q4\n"
    "11: EBNN_QPAIR q5\n EBNN_QFULL q1, q4, q5\n"
    "12: EBNN_QPAIR q3\n"
    "13: EBNN_QPAIR q5\n EBNN_QFULL q1, q3, q5\n EBNN_QFULL q2, q4, q3\n vstrw.32 q4, [sp]\n"
    "14: EBNN_QPAIR q4\n"
    "15: EBNN_QPAIR q5\n EBNN_QFULL q1, q4, q5\n"
    "16: EBNN_QPAIR q3\n"
    "17: EBNN_QPAIR q5\n EBNN_QFULL q1, q3, q5\n EBNN_QFULL q2, q4, q3\n"
    /* weight 8 in q4 and on the stack */
    "  vldrw.32 q5, [sp]\n vldrw.32 q6, [r7, #48]\n EBNN_QFULL q6, q4, q5\n vstrw.32 q6, [r7, #48]\n"
    ".set bit, 4\n"
    ".rept (\\bits - 3) / 2\n"
    "  vldrw.32 q5, [r7, #(16 * bit)]\n"
    ".if bit + 1 < \\bits\n  vldrw.32 q6, [r7, #(16 * bit + 16)]\n vand q3, q5, q4\n .endif\n"
    "  veor q5, q5, q4\n vstrw.32 q5, [r7, #(16 * bit)]\n"
    ".if bit + 2 < \\bits\n  vand q4, q6, q3\n .endif\n"
    ".if bit + 1 < \\bits\n  veor q6, q6, q3\n vstrw.32 q6, [r7, #(16 * bit + 16)]\n .endif\n"
    ".set bit, bit + 2\n"
    ".endr\n"
    "  cmp r0, r6\n bne 10b\n"
    "4: vstrw.32 q0, [r7]\n vstrw.32 q1, [r7, #16]\n vstrw.32 q2, [r7, #32]\n add r7, #(16 * \\bits)\n"
    "  subs r3, #1\n bne 1b\n"
    "  add sp, #16\n vpop {d8-d15}\n pop {r4-r8, pc}\n.size \\name, .-\\name\n"
    ".endm\n"
    "EBNN_MVE_SUM ebnn_mve_bits_sum7, 7\n"
    "EBNN_MVE_SUM ebnn_mve_bits_sum9, 9\n"
    "EBNN_MVE_SUM ebnn_mve_bits_sum12, 12\n");
/* clang-format on */

const uint16_t *ebnn_mve_bits_sum7(const uint16_t *list, const uint32_t *base, const uint16_t *runs,
                                   uint32_t n, uint32_t *sums);
const uint16_t *ebnn_mve_bits_sum9(const uint16_t *list, const uint32_t *base, const uint16_t *runs,
                                   uint32_t n, uint32_t *sums);
const uint16_t *ebnn_mve_bits_sum12(const uint16_t *list, const uint32_t *base, const uint16_t *runs,
                                    uint32_t n, uint32_t *sums);

ebnn_mve_bits_sum_t ebnn_mve_bits_sum_of(uint32_t bits) {
    return bits == 7u ? ebnn_mve_bits_sum7 : bits == 9u ? ebnn_mve_bits_sum9 : ebnn_mve_bits_sum12;
}
