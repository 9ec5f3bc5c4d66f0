/*
 * Bit-sliced sums of runs for cores with Thumb-2: carry-save adders in registers; a C twin elsewhere.
 *
 * Registers: r0 list, r1 base, r2..r7 the six lowest bits of the sum, r8..r12 and lr planes and carries.
 * Blocks of 16 planes: two planes and bit 0 give bit 0 and a carry of weight 2, two of those a carry of
 * weight 4, and so on; the carry of weight 16 of a block is rippled into the bits above. A run starts inside
 * the block, as if the planes before had been 0; entries at odd pairs take half adders. Offsets and planes
 * are loaded four in a row where registers allow.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bbits_m4.h"

#if EBNN_THUMB2

/* Stack of the function; the bits from 64 on lie above SP_HIGH. */
#define SP_OUT "0"
#define SP_RUNS "4"
#define SP_LEFT "8"
#define SP_END "12" /* of the run's list */
#define SP_HIGH "16"
/* Arguments of the minority function on the stack. */
#define SP_TOTALS "52"
#define SP_MASK "56"
#define SP_TO "60" /* and stride */

/* clang-format off */
__asm__(
    ".syntax unified\n.thumb\n"
    /* s + x + y: sum in s, carry in x */
    ".macro EBNN_FULL s, x, y\n"
    "  eors \\y, \\x\n eor lr, \\s, \\x\n eors \\s, \\y\n and lr, \\y\n eor \\x, lr\n"
    ".endm\n"
    /* s + x: sum in s, carry in k */
    ".macro EBNN_HALF s, x, k\n"
    "  and \\k, \\s, \\x\n eors \\s, \\x\n"
    ".endm\n"
    /* two planes into bit 0, carry in x */
    ".macro EBNN_PAIR x\n"
    "  ldrh \\x, [r0], #2\n ldrh r12, [r0], #2\n ldr \\x, [r1, \\x]\n ldr r12, [r1, r12]\n EBNN_FULL r2, \\x, r12\n"
    ".endm\n"
    /* four planes into bit 0, carries in x and y; z is lost */
    ".macro EBNN_QUAD x, y, z\n"
    "  ldrh \\x, [r0], #2\n ldrh r12, [r0], #2\n ldrh \\y, [r0], #2\n ldrh \\z, [r0], #2\n"
    "  ldr \\x, [r1, \\x]\n ldr r12, [r1, r12]\n ldr \\y, [r1, \\y]\n ldr \\z, [r1, \\z]\n"
    "  EBNN_FULL r2, \\x, r12\n EBNN_FULL r2, \\y, \\z\n"
    ".endm\n"
    /* one bit of the comparison: r8 = majority of x, not t, r8 */
    ".macro EBNN_MAJORITY x, t\n"
    "  eor \\x, \\x, r8\n eor \\t, \\t, r8\n bic \\x, \\x, \\t\n eor r8, \\x\n"
    ".endm\n"
    /* Sums of 6 + \high bits of runs. Returns the end of the list.
     * const uint16_t *name(list, base, runs, n, bits, sums): sums EBNN_BITS_MOST words apart.
     * minority: name(list, base, runs, flags, totals, mask, out, stride), flags: two bits a run, the last run's the
     * highest, and a 1 above: outputs, one word a run, by the sign of 2 S + odd - T modulo 128. */
    ".macro EBNN_BITS_SUM name, high, minority\n"
    ".section .text.\\name, \"ax\", %progbits\n.balign 16\n.global \\name\n.type \\name, %function\n.thumb_func\n\\name:\n"
    "  push {r4-r11, lr}\n"
    ".if !\\minority\n ldr r12, [sp, #40]\n .endif\n sub sp, #(16 + 4 * \\high + (4 * \\high & 4))\n"
    ".if !\\minority\n str r12, [sp, #" SP_OUT "]\n .endif\n"
    "  str r2, [sp, #" SP_RUNS "]\n str r3, [sp, #" SP_LEFT "]\n"
    "1: ldr r12, [sp, #" SP_RUNS "]\n ldrh r8, [r12], #2\n ldrh lr, [r12], #2\n str r12, [sp, #" SP_RUNS "]\n"
    "  add r11, r0, r8, lsl #2\n str r11, [sp, #" SP_END "]\n"
    ".set bit, 6\n"
    ".rept \\high\n"
    "  sbfx r2, lr, #bit, #1\n str r2, [sp, #(" SP_HIGH " + 4 * (bit - 6))]\n .set bit, bit + 1\n"
    ".endr\n"
    "  sbfx r2, lr, #0, #1\n sbfx r3, lr, #1, #1\n sbfx r4, lr, #2, #1\n"
    "  sbfx r5, lr, #3, #1\n sbfx r6, lr, #4, #1\n sbfx r7, lr, #5, #1\n"
    "  rsbs lr, r8, #0\n beq 4f\n and lr, #7\n mov r8, #0\n mov r9, r8\n mov r10, r8\n"
    "  tbh [pc, lr, lsl #1]\n"
    "9: .short (10f-9b)/2, (11f-9b)/2, (12f-9b)/2, (13f-9b)/2, (14f-9b)/2, (15f-9b)/2, (16f-9b)/2, (17f-9b)/2\n"
    "11: EBNN_PAIR r11\n EBNN_HALF r3, r11, r8\n b 12f\n"
    "13: EBNN_PAIR r11\n EBNN_HALF r3, r11, r9\n EBNN_HALF r4, r9, r8\n b 14f\n"
    "15: EBNN_PAIR r11\n EBNN_HALF r3, r11, r10\n b 16f\n"
    "17: EBNN_PAIR r11\n EBNN_HALF r3, r11, r9\n EBNN_HALF r4, r9, r10\n EBNN_HALF r5, r10, r8\n b 18f\n"
    "10: EBNN_QUAD r8, r11, r10\n EBNN_FULL r3, r8, r11\n"
    "12: EBNN_QUAD r9, r11, r10\n EBNN_FULL r3, r9, r11\n EBNN_FULL r4, r8, r9\n"
    "14: EBNN_QUAD r10, r11, r9\n EBNN_FULL r3, r10, r11\n"
    "16: EBNN_PAIR r9\n EBNN_PAIR r11\n EBNN_FULL r3, r9, r11\n EBNN_FULL r4, r10, r9\n EBNN_FULL r5, r8, r10\n"
    /* weight 16 in r8 */
    "18: ldr r11, [sp, #" SP_END "]\n"
    ".if \\high\n ldr r12, [sp, #" SP_HIGH "]\n EBNN_HALF r6, r8, lr\n EBNN_HALF r7, lr, r8\n"
    ".else\n EBNN_HALF r6, r8, lr\n eor r7, lr\n .endif\n"
    ".set bit, 0\n"
    ".rept \\high / 3\n" /* high is 1 or a multiple of 3 */
    ".if bit\n ldr r12, [sp, #(" SP_HIGH " + 4 * bit)]\n .endif\n"
    "  ldr lr, [sp, #(" SP_HIGH " + 4 * bit + 4)]\n ldr r10, [sp, #(" SP_HIGH " + 4 * bit + 8)]\n"
    "  and r9, r12, r8\n eor r12, r8\n str r12, [sp, #(" SP_HIGH " + 4 * bit)]\n"
    "  and r8, lr, r9\n eor lr, r9\n str lr, [sp, #(" SP_HIGH " + 4 * bit + 4)]\n"
    ".if bit + 3 < \\high\n and r9, r10, r8\n .endif\n"
    "  eor r10, r8\n str r10, [sp, #(" SP_HIGH " + 4 * bit + 8)]\n"
    ".if bit + 3 < \\high\n mov r8, r9\n .endif\n"
    ".set bit, bit + 3\n"
    ".endr\n"
    ".if \\high == 1\n eor r12, r8\n str r12, [sp, #" SP_HIGH "]\n .endif\n"
    "  cmp r0, r11\n bne 10b\n"
    ".if \\minority\n"
    "4: ldr r12, [sp, #" SP_TOTALS "]\n ldr r11, [sp, #" SP_LEFT "]\n ldm r12!, {r8-r10}\n"
    "  sbfx lr, r11, #0, #1\n orn r8, lr, r8\n EBNN_MAJORITY r2, r9\n EBNN_MAJORITY r3, r10\n"
    "  ldm r12, {r2, r3, r9, r10}\n"
    "  EBNN_MAJORITY r4, r2\n EBNN_MAJORITY r5, r3\n EBNN_MAJORITY r6, r9\n eor r7, r10\n eor r8, r7\n"
    "  ldr r2, [sp, #" SP_MASK "]\n ldrd r9, r10, [sp, #" SP_TO "]\n"
    "  sbfx r3, r11, #1, #1\n eor r8, r3\n ands r2, r8\n"
    "  str r2, [r9]\n add r9, r9, r10, lsl #2\n"
    "  lsrs r11, #2\n str r11, [sp, #" SP_LEFT "]\n str r9, [sp, #" SP_TO "]\n cmp r11, #1\n bne 1b\n"
    ".else\n"
    "4: ldr r11, [sp, #" SP_OUT "]\n ldr r12, [sp, #" SP_LEFT "]\n ldr r9, [sp, #" SP_HIGH "]\n stm r11!, {r2-r7}\n"
    ".set bit, 0\n"
    ".rept \\high\n"
    ".if bit\n ldr r9, [sp, #(" SP_HIGH " + 4 * bit)]\n .endif\n .set bit, bit + 1\n"
    ".if bit == \\high\n str r9, [r11], #(4 * (8 - \\high))\n .else\n str r9, [r11], #4\n .endif\n"
    ".endr\n"
    "  str r11, [sp, #" SP_OUT "]\n"
    "  subs r12, #1\n str r12, [sp, #" SP_LEFT "]\n bne 1b\n"
    ".endif\n"
    "  add sp, #(16 + 4 * \\high + (4 * \\high & 4))\n pop {r4-r11, pc}\n.size \\name, .-\\name\n"
    ".endm\n"
    "EBNN_BITS_SUM ebnn_bits_sum7, 1, 0\n"
    "EBNN_BITS_SUM ebnn_bits_sum9, 3, 0\n"
    "EBNN_BITS_SUM ebnn_bits_sum12, 6, 0\n"
    "EBNN_BITS_SUM ebnn_bits_minority6, 0, 1\n.text\n");
/* clang-format on */

ebnn_bits_sum_t ebnn_bits_sum_of__cortex_m4(uint32_t bits) {
    return bits == 7u ? ebnn_bits_sum7 : bits == 9u ? ebnn_bits_sum9 : ebnn_bits_sum12;
}

#else

ebnn_bits_sum_t ebnn_bits_sum_of__cortex_m4(uint32_t bits) {
    (void)bits;
    return ebnn_bits_sum;
}

#endif
