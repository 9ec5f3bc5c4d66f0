/*
 * Bit-sliced sums of runs in Thumb-1: carry-save adders in registers; a C twin elsewhere.
 *
 * Registers: r0 list, r1 base, r2, r3 and r8..r12 the seven lowest bits of the sum, r4..r7 planes and
 * carries. Blocks of 16 planes: two planes and bit 0 give bit 0 and a carry of weight 2, two of those a carry
 * of weight 4, and so on; the carry of weight 16 of a block is rippled into the bits above. A run starts
 * inside the block, as if the planes before had been 0.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bits_m0.h"

#if EBNN_THUMB1

/* Stack of the function; the bits from 128 on lie above SP_HIGH. */
#define SP_OUT "0"
#define SP_RUNS "4"
#define SP_LEFT "8"
#define SP_END "12" /* of the run's list */
#define SP_HIGH "16"

/* clang-format off */
__asm__(
    ".syntax unified\n.thumb\n"
    /* s + x + y: sum in s, carry in x; y is lost. The carry differs from the sum where the three are not all equal. */
    ".macro EBNN_M0_FULL s, x, y\n"
    "  eors \\y, \\x\n eors \\x, \\s\n eors \\s, \\y\n orrs \\x, \\y\n eors \\x, \\s\n"
    ".endm\n"
    /* s + x: sum in s, carry in x */
    ".macro EBNN_M0_HALF s, x\n"
    "  eors \\s, \\x\n bics \\x, \\s\n"
    ".endm\n"
    /* pair `at` of the block into bit 0, carry in x */
    ".macro EBNN_M0_PAIR at, x, y\n"
    "  ldrh \\x, [r0, #(4 * \\at)]\n ldrh \\y, [r0, #(4 * \\at + 2)]\n ldr \\x, [r1, \\x]\n ldr \\y, [r1, \\y]\n"
    "  EBNN_M0_FULL r2, \\x, \\y\n"
    ".endm\n"
    /* the start value's bit in register to */
    ".macro EBNN_M0_START bit, to\n"
    "  lsls \\to, r5, #(31 - \\bit)\n asrs \\to, \\to, #31\n"
    ".endm\n"
    /* const uint16_t *name(list, base, runs, n, bits, sums), the end of the list: sums of 7 + high bits */
    ".macro EBNN_M0_SUM name, high\n"
    ".text\n.balign 4\n.global \\name\n.type \\name, %function\n.thumb_func\n\\name:\n"
    "  push {r4-r7, lr}\n mov r4, r8\n mov r5, r9\n mov r6, r10\n mov r7, r11\n push {r4-r7}\n ldr r4, [sp, #40]\n"
    "  sub sp, #(16 + 4 * \\high)\n"
    "  str r4, [sp, #" SP_OUT "]\n str r2, [sp, #" SP_RUNS "]\n str r3, [sp, #" SP_LEFT "]\n"
    "1: ldr r7, [sp, #" SP_RUNS "]\n ldrh r6, [r7]\n ldrh r5, [r7, #2]\n adds r7, #4\n str r7, [sp, #" SP_RUNS "]\n"
    "  lsls r7, r6, #2\n adds r7, r0\n str r7, [sp, #" SP_END "]\n"
    ".set bit, 7\n"
    ".rept \\high\n"
    "  EBNN_M0_START bit, r4\n str r4, [sp, #(" SP_HIGH " + 4 * (bit - 7))]\n .set bit, bit + 1\n"
    ".endr\n"
    "  EBNN_M0_START 0, r2\n EBNN_M0_START 1, r3\n EBNN_M0_START 2, r4\n mov r8, r4\n EBNN_M0_START 3, r4\n mov r9, r4\n"
    "  EBNN_M0_START 4, r4\n mov r10, r4\n EBNN_M0_START 5, r4\n mov r11, r4\n EBNN_M0_START 6, r4\n mov r12, r4\n"
    "  rsbs r6, r6, #0\n bne 2f\n b 4f\n"
    /* skip the first pairs of the block */
    "2: movs r4, #7\n ands r6, r4\n lsls r7, r6, #2\n subs r0, r7\n adds r6, r6\n"
    "  adr r7, 9f\n ldrh r6, [r7, r6]\n movs r4, #0\n movs r5, #0\n mov lr, r4\n"
    "3: add pc, r6\n"
    ".balign 4\n"
    "9: .short 10f-3b-4, 11f-3b-4, 12f-3b-4, 13f-3b-4, 14f-3b-4, 15f-3b-4, 16f-3b-4, 17f-3b-4\n"
    "10: EBNN_M0_PAIR 0, r4, r5\n"
    "11: EBNN_M0_PAIR 1, r5, r6\n EBNN_M0_FULL r3, r4, r5\n"
    "12: EBNN_M0_PAIR 2, r5, r6\n"
    "13: EBNN_M0_PAIR 3, r6, r7\n EBNN_M0_FULL r3, r5, r6\n"
    "  mov r6, r8\n EBNN_M0_FULL r6, r4, r5\n mov r8, r6\n mov lr, r4\n"
    "14: EBNN_M0_PAIR 4, r4, r5\n"
    "15: EBNN_M0_PAIR 5, r5, r6\n EBNN_M0_FULL r3, r4, r5\n"
    "16: EBNN_M0_PAIR 6, r5, r6\n"
    "17: EBNN_M0_PAIR 7, r6, r7\n EBNN_M0_FULL r3, r5, r6\n"
    "  mov r6, r8\n EBNN_M0_FULL r6, r4, r5\n mov r8, r6\n"
    "  mov r5, lr\n mov r6, r9\n EBNN_M0_FULL r6, r4, r5\n mov r9, r6\n"
    /* weight 16 in r4 */
    "  mov r6, r10\n mov r7, r11\n EBNN_M0_HALF r6, r4\n EBNN_M0_HALF r7, r4\n mov r10, r6\n mov r11, r7\n"
    "  mov r6, r12\n eors r6, r4\n mov r12, r6\n"
    ".if \\high\n bics r4, r6\n .endif\n"
    ".set bit, 1\n"
    ".rept \\high\n"
    "  ldr r6, [sp, #(" SP_HIGH " + 4 * (bit - 1))]\n eors r6, r4\n str r6, [sp, #(" SP_HIGH " + 4 * (bit - 1))]\n"
    ".if bit < \\high\n bics r4, r6\n .endif\n"
    ".set bit, bit + 1\n"
    ".endr\n"
    "  ldr r5, [sp, #" SP_END "]\n adds r0, #32\n cmp r0, r5\n beq 4f\n b 10b\n"
    "4: mov lr, r1\n ldr r1, [sp, #" SP_OUT "]\n mov r4, r8\n mov r5, r9\n mov r6, r10\n mov r7, r11\n stm r1!, {r2-r7}\n"
    "  mov r4, r12\n stm r1!, {r4}\n"
    ".set bit, 0\n"
    ".rept \\high\n"
    "  ldr r4, [sp, #(" SP_HIGH " + 4 * bit)]\n stm r1!, {r4}\n .set bit, bit + 1\n"
    ".endr\n"
    "  adds r1, #(4 * (6 - \\high))\n str r1, [sp, #" SP_OUT "]\n mov r1, lr\n"
    "  ldr r4, [sp, #" SP_LEFT "]\n subs r4, #1\n str r4, [sp, #" SP_LEFT "]\n beq 5f\n b 1b\n"
    "5: add sp, #(16 + 4 * \\high)\n pop {r4-r7}\n mov r8, r4\n mov r9, r5\n mov r10, r6\n mov r11, r7\n pop {r4-r7, pc}\n"
    ".size \\name, .-\\name\n"
    ".endm\n"
    "EBNN_M0_SUM ebnn_bits_sum7_m0, 0\n"
    "EBNN_M0_SUM ebnn_bits_sum9_m0, 2\n"
    "EBNN_M0_SUM ebnn_bits_sum12_m0, 5\n");
/* clang-format on */

const uint16_t *ebnn_bits_sum7_m0(const uint16_t *list, const uint32_t *base, const uint16_t *runs,
                                  uint32_t n, uint32_t bits, uint32_t *sums);
const uint16_t *ebnn_bits_sum9_m0(const uint16_t *list, const uint32_t *base, const uint16_t *runs,
                                  uint32_t n, uint32_t bits, uint32_t *sums);
const uint16_t *ebnn_bits_sum12_m0(const uint16_t *list, const uint32_t *base, const uint16_t *runs,
                                   uint32_t n, uint32_t bits, uint32_t *sums);

ebnn_bits_sum_t ebnn_bits_sum_of__cortex_m0(uint32_t bits) {
    return bits == 7u ? ebnn_bits_sum7_m0 : bits == 9u ? ebnn_bits_sum9_m0 : ebnn_bits_sum12_m0;
}

#else

ebnn_bits_sum_t ebnn_bits_sum_of__cortex_m0(uint32_t bits) {
    (void)bits;
    return ebnn_bits_sum;
}

#endif
