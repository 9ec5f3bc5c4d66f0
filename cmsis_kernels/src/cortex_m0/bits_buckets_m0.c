/*
 * Combination of class sums and class lists in Thumb-1; C twins elsewhere.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bits_m0.h"

#if EBNN_THUMB1

/* The stack frame: EBNN_BITS_AT_M and its like; m: sums of even classes, n: of odd ones. */
/* clang-format off */
__asm__(
    ".syntax unified\n.thumb\n"
    /* s + x + y: sum in s, carry in x; y is lost */
    ".macro EBNN_M0_SUM3 s, x, y\n"
    "  eors \\y, \\x\n eors \\x, \\s\n eors \\s, \\y\n orrs \\x, \\y\n eors \\x, \\s\n"
    ".endm\n"
    /* c = majority of x, not p, c; x is lost */
    ".macro EBNN_M0_NOT_LESS c, x, p\n"
    "  eors \\x, \\c\n eors \\c, \\p\n bics \\x, \\c\n eors \\c, \\x\n eors \\c, \\p\n"
    ".endm\n"
    /* sums of four classes: those at r0 + a, b words and at r1 + c, d words; c + d to two, all to four (bytes on the stack).
     * r0 and r1 end 24 bytes on. */
    ".macro EBNN_M0_FOURS a, b, c, d, two, four\n"
    "  movs r4, #0\n movs r5, #0\n movs r6, #0\n"
    ".set bit, 0\n"
    ".set low, 0\n"
    ".rept 7\n"
    ".if bit == 6\n adds r0, #24\n adds r1, #24\n .set low, 6\n .endif\n"
    "  ldr r2, [r0, #(4 * (\\a + bit - low))]\n ldr r3, [r1, #(4 * (\\c + bit - low))]\n EBNN_M0_SUM3 r2, r4, r3\n"
    "  ldr r3, [r0, #(4 * (\\b + bit - low))]\n ldr r7, [r1, #(4 * (\\d + bit - low))]\n EBNN_M0_SUM3 r3, r5, r7\n"
    ".if \\two >= 0\n str r3, [sp, #(\\two + 4 * bit)]\n .endif\n"
    "  EBNN_M0_SUM3 r2, r6, r3\n str r2, [sp, #(\\four + 4 * bit)]\n"
    ".set bit, bit + 1\n"
    ".endr\n"
    ".if \\two >= 0\n movs r7, #0\n str r5, [sp, #(\\two + 28)]\n str r7, [sp, #(\\two + 32)]\n .endif\n"
    "  EBNN_M0_SUM3 r4, r5, r6\n str r4, [sp, #(\\four + 28)]\n str r5, [sp, #(\\four + 32)]\n"
    ".endm\n"
    ".text\n.balign 4\n.global ebnn_bits_buckets7_m0\n.type ebnn_bits_buckets7_m0, %function\n.thumb_func\n"
    /* void ebnn_bits_buckets7_m0(sums, bits, flags, mask, out, stride) */
    "ebnn_bits_buckets7_m0:\n"
    "  push {r2-r7, lr}\n mov r4, r8\n push {r4}\n sub sp, #180\n"
    "  movs r1, #208\n adds r1, r0\n" /* class 4 */
    "  EBNN_M0_FOURS 0, 26, 0, 26, " EBNN_BITS_AT_M ", " EBNN_BITS_AT_Q "\n" /* 0 + 4, 2 + 6 */
    "  adds r0, #28\n adds r1, #28\n" /* classes 1 and 5 */
    "  EBNN_M0_FOURS 0, 26, 0, 26, " EBNN_BITS_AT_N ", " EBNN_BITS_AT_R "\n" /* 1 + 5, 3 + 7 */
    "  subs r1, #76\n movs r0, #104\n adds r0, r1\n" /* classes 4 and 6 */
    "  EBNN_M0_FOURS 0, 13, 0, 13, -1, " EBNN_BITS_AT_P3 "\n" /* 4 + 6, 5 + 7 */
    "  ldr r7, [sp, #184]\n mvns r7, r7\n"
    "  lsls r2, r7, #31\n asrs r2, r2, #31\n lsls r3, r7, #30\n asrs r3, r3, #31\n lsls r4, r7, #29\n asrs r4, r4, #31\n"
    "  movs r0, #0\n movs r1, #0\n mov r8, r0\n"
    /* r0, r1 carries of p2 = m + n and p0 = q + r, r2..r4 results, r8 p2 of the bit below */
    ".set bit, 0\n"
    ".rept 9\n"
    "  ldr r5, [sp, #(4 * bit + " EBNN_BITS_AT_M ")]\n ldr r6, [sp, #(4 * bit + " EBNN_BITS_AT_N ")]\n EBNN_M0_SUM3 r5, r0, r6\n"
    "  mov r6, r8\n mov r8, r5\n"
    "  ldr r5, [sp, #(4 * bit + " EBNN_BITS_AT_Q ")]\n ldr r7, [sp, #(4 * bit + " EBNN_BITS_AT_R ")]\n EBNN_M0_SUM3 r5, r1, r7\n"
    "  EBNN_M0_NOT_LESS r3, r6, r5\n"
    ".if bit\n"
    "  ldr r6, [sp, #(4 * bit + " EBNN_BITS_AT_R " - 4)]\n ldr r7, [sp, #(4 * bit + " EBNN_BITS_AT_P3 " - 4)]\n"
    "  EBNN_M0_NOT_LESS r2, r6, r5\n EBNN_M0_NOT_LESS r4, r7, r5\n"
    ".else\n"
    "  bics r2, r5\n bics r4, r5\n"
    ".endif\n"
    ".set bit, bit + 1\n"
    ".endr\n"
    "  mov r6, r8\n EBNN_M0_NOT_LESS r3, r6, r1\n"
    "  ldr r6, [sp, #(32 + " EBNN_BITS_AT_R ")]\n ldr r7, [sp, #(32 + " EBNN_BITS_AT_P3 ")]\n"
    "  EBNN_M0_NOT_LESS r2, r6, r1\n EBNN_M0_NOT_LESS r4, r7, r1\n"
    "  ldr r7, [sp, #188]\n ands r1, r7\n ands r2, r7\n ands r3, r7\n ands r4, r7\n"
    "  ldr r5, [sp, #212]\n ldr r6, [sp, #216]\n lsls r6, r6, #2\n"
    "  str r1, [r5]\n adds r5, r6\n str r2, [r5]\n adds r5, r6\n str r3, [r5]\n str r4, [r5, r6]\n"
    "  add sp, #180\n pop {r4}\n mov r8, r4\n pop {r2-r7, pc}\n"
    ".size ebnn_bits_buckets7_m0, .-ebnn_bits_buckets7_m0\n");
/* clang-format on */

void ebnn_bits_buckets7_m0(const uint32_t *sums, uint32_t bits, uint32_t flags, uint32_t mask, uint32_t *out,
                           uint32_t stride);

ebnn_bits_buckets_t ebnn_bits_buckets_of__cortex_m0(uint32_t bits) {
    return bits == 7u ? ebnn_bits_buckets7_m0 : ebnn_bits_buckets;
}

/* One element: *at[pattern]++ = offset, with bit 2 of the offset set for a positive pattern. */
#define PUT(shift)                                                                                           \
    shift "\n movs %[s], #60\n ands %[t], %[s]\n"                                                            \
          "movs %[s], #4\n ands %[s], %[t]\n adds %[s], %[o]\n"                                              \
          "ldr %[p], [%[at], %[t]]\n strh %[s], [%[p]]\n adds %[p], #2\n str %[p], [%[at], %[t]]\n"          \
          "adds %[o], #8\n"
#define DOWN(by) PUT("lsrs %[t], %[v], #" by)

void ebnn_bits_sort__cortex_m0(const uint32_t *codes, uint32_t n, const uint16_t *counts, uint16_t *list) {
    uint16_t *at[16];
    ebnn_bits_sort_starts(n, counts, list, at);
    uint32_t offset = 0;
    for (; n >= 8u; n -= 8u) {
        uint32_t t, p, s;
        const uint32_t v = *codes++;
        __asm__ volatile(".syntax unified\n" PUT("lsls %[t], %[v], #2") DOWN("2") DOWN("6") DOWN("10")
                             DOWN("14") DOWN("18") DOWN("22") DOWN("26")
                         : [t] "=&l"(t), [p] "=&l"(p), [s] "=&l"(s), [o] "+l"(offset)
                         : [v] "l"(v), [at] "l"(at)
                         : "cc", "memory");
    }
    ebnn_bits_sort_rest(codes, n, offset, at);
}

#else

ebnn_bits_buckets_t ebnn_bits_buckets_of__cortex_m0(uint32_t bits) {
    (void)bits;
    return ebnn_bits_buckets;
}

void ebnn_bits_sort__cortex_m0(const uint32_t *codes, uint32_t n, const uint16_t *counts, uint16_t *list) {
    ebnn_bits_sort(codes, n, counts, list);
}

#endif
