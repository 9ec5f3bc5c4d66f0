/*
 * Assembler macros of the bits kernels for Thumb-2: the bit-sliced sum of one run of a list.
 *
 * Registers: r0 list, r1 base, r2..r7 the six lowest bits of the sum, r8..r12 and lr planes and carries.
 * Blocks of 16 planes: two planes and bit 0 give bit 0 and a carry of weight 2, two of those a carry of
 * weight 4, and so on; the carry of weight 16 of a block is rippled into the bits above. A run starts inside
 * the block, as if the planes before had been 0; entries at odd pairs take half adders. Offsets and planes
 * are loaded four in a row where registers allow.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_BBITS_ASM_H
#define EBNN_BBITS_ASM_H

/* Stack of a function that uses EBNN_RUN; the bits from 64 on lie from SP_HIGH. */
#define SP_OUT "0"
#define SP_RUNS "4"
#define SP_LEFT "8"
#define SP_END "12" /* of the run's list */
#define SP_HIGH "16"

/* clang-format off */
#define EBNN_RUN_MACROS \
    ".syntax unified\n.thumb\n" \
    /* s + x + y: sum in s, carry in x */ \
    ".macro EBNN_FULL s, x, y\n" \
    "  eors \\y, \\x\n eor lr, \\s, \\x\n eors \\s, \\y\n and lr, \\y\n eor \\x, lr\n" \
    ".endm\n" \
    /* s + x: sum in s, carry in k */ \
    ".macro EBNN_HALF s, x, k\n" \
    "  and \\k, \\s, \\x\n eors \\s, \\x\n" \
    ".endm\n" \
    /* two planes into bit 0, carry in x */ \
    ".macro EBNN_PAIR x\n" \
    "  ldrh \\x, [r0], #2\n ldrh r12, [r0], #2\n ldr \\x, [r1, \\x]\n ldr r12, [r1, r12]\n EBNN_FULL r2, \\x, r12\n" \
    ".endm\n" \
    /* four planes into bit 0, carries in x and y; z is lost */ \
    ".macro EBNN_QUAD x, y, z\n" \
    "  ldrh \\x, [r0], #2\n ldrh r12, [r0], #2\n ldrh \\y, [r0], #2\n ldrh \\z, [r0], #2\n" \
    "  ldr \\x, [r1, \\x]\n ldr r12, [r1, r12]\n ldr \\y, [r1, \\y]\n ldr \\z, [r1, \\z]\n" \
    "  EBNN_FULL r2, \\x, r12\n EBNN_FULL r2, \\y, \\z\n" \
    ".endm\n" \
    /* the bits of the start value in lr */ \
    ".macro EBNN_START high\n" \
    ".set bit, 6\n" \
    ".rept \\high\n" \
    "  sbfx r2, lr, #bit, #1\n str r2, [sp, #(" SP_HIGH " + 4 * (bit - 6))]\n .set bit, bit + 1\n" \
    ".endr\n" \
    "  sbfx r2, lr, #0, #1\n sbfx r3, lr, #1, #1\n sbfx r4, lr, #2, #1\n" \
    "  sbfx r5, lr, #3, #1\n sbfx r6, lr, #4, #1\n sbfx r7, lr, #5, #1\n" \
    ".endm\n" \
    /* the next run: 6 + \high bits, from its start value or, with \planes, from planes at [sp + planes] */ \
    ".macro EBNN_RUN high, planes\n" \
    "  ldr r12, [sp, #" SP_RUNS "]\n ldrh r8, [r12], #2\n ldrh lr, [r12], #2\n str r12, [sp, #" SP_RUNS "]\n" \
    "  add r11, r0, r8, lsl #2\n str r11, [sp, #" SP_END "]\n" \
    ".if \\planes\n" \
    "  ldr r12, [sp, #\\planes]\n ldm r12!, {r2-r7}\n" \
    ".set bit, 0\n" \
    ".rept \\high\n" \
    "  ldr lr, [r12], #4\n str lr, [sp, #(" SP_HIGH " + 4 * bit)]\n .set bit, bit + 1\n" \
    ".endr\n" \
    "  str r12, [sp, #\\planes]\n" \
    ".else\n EBNN_START \\high\n .endif\n" \
    "  rsbs lr, r8, #0\n beq 4f\n and lr, #7\n mov r8, #0\n mov r10, r8\n" \
    "  tbh [pc, lr, lsl #1]\n" \
    "9: .short (10f-9b)/2, (11f-9b)/2, (12f-9b)/2, (13f-9b)/2, (14f-9b)/2, (15f-9b)/2, (16f-9b)/2, (17f-9b)/2\n" \
    "11: EBNN_PAIR r11\n EBNN_HALF r3, r11, r8\n b 12f\n" \
    "13: EBNN_PAIR r11\n EBNN_HALF r3, r11, r9\n EBNN_HALF r4, r9, r8\n b 14f\n" \
    "15: EBNN_PAIR r11\n EBNN_HALF r3, r11, r10\n b 16f\n" \
    "17: EBNN_PAIR r11\n EBNN_HALF r3, r11, r9\n EBNN_HALF r4, r9, r10\n EBNN_HALF r5, r10, r8\n b 18f\n" \
    "10: EBNN_QUAD r8, r11, r10\n EBNN_FULL r3, r8, r11\n" \
    "12: EBNN_QUAD r9, r11, r10\n EBNN_FULL r3, r9, r11\n EBNN_FULL r4, r8, r9\n" \
    "14: EBNN_QUAD r10, r11, r9\n EBNN_FULL r3, r10, r11\n" \
    "16: EBNN_PAIR r9\n EBNN_PAIR r11\n EBNN_FULL r3, r9, r11\n EBNN_FULL r4, r10, r9\n EBNN_FULL r5, r8, r10\n" \
    /* weight 16 in r8 */ \
    "18: ldr r11, [sp, #" SP_END "]\n" \
    ".if \\high\n ldr r12, [sp, #" SP_HIGH "]\n EBNN_HALF r6, r8, lr\n EBNN_HALF r7, lr, r8\n" \
    ".else\n EBNN_HALF r6, r8, lr\n eor r7, lr\n .endif\n" \
    ".set bit, 0\n" \
    ".rept \\high / 3\n" /* high is 1 or a multiple of 3 */ \
    ".if bit\n ldr r12, [sp, #(" SP_HIGH " + 4 * bit)]\n .endif\n" \
    "  ldr lr, [sp, #(" SP_HIGH " + 4 * bit + 4)]\n ldr r10, [sp, #(" SP_HIGH " + 4 * bit + 8)]\n" \
    "  and r9, r12, r8\n eor r12, r8\n str r12, [sp, #(" SP_HIGH " + 4 * bit)]\n" \
    "  and r8, lr, r9\n eor lr, r9\n str lr, [sp, #(" SP_HIGH " + 4 * bit + 4)]\n" \
    ".if bit + 3 < \\high\n and r9, r10, r8\n .endif\n" \
    "  eor r10, r8\n str r10, [sp, #(" SP_HIGH " + 4 * bit + 8)]\n" \
    ".if bit + 3 < \\high\n mov r8, r9\n .endif\n" \
    ".set bit, bit + 3\n" \
    ".endr\n" \
    ".if \\high == 1\n eor r12, r8\n str r12, [sp, #" SP_HIGH "]\n .endif\n" \
    "  cmp r0, r11\n bne 10b\n" \
    "4:\n" \
    ".endm\n"
/* clang-format on */

#endif
