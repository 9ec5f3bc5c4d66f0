/*
 * Combination of class sums and lists of single channels for cores with Thumb-2; C twins elsewhere.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bbits_m4.h"

#if EBNN_THUMB2

/* The stack frame: EBNN_BITS_AT_M and its like; m: sums of odd classes, n: of even ones. */
/* clang-format off */
__asm__(
    ".syntax unified\n.thumb\n"
    /* s + x + k: sum in x, carry in k */
    ".macro EBNN_SUM3 s, x, k, t\n"
    "  eors \\x, \\s\n eor \\t, \\s, \\k\n and \\t, \\x\n eor \\x, \\k\n eor \\k, \\s, \\t\n"
    ".endm\n"
    /* the same without a carry in */
    ".macro EBNN_SUM2 s, x, k\n"
    "  and \\k, \\s, \\x\n eors \\x, \\s\n"
    ".endm\n"
    /* c = majority of x, not p, c */
    ".macro EBNN_NOT_LESS c, x, p, t, u\n"
    "  eor \\t, \\x, \\c\n eor \\u, \\p, \\c\n bic \\t, \\u\n eor \\c, \\t\n"
    ".endm\n"
    /* bit `bit` of four sums in the classes r0 + a, b, c, d words: two at r1, four at r1 + four */
    ".macro EBNN_FOUR a, b, c, d, two, four\n"
    "  ldr r3, [r0, #(4 * (13 * \\a + bit))]\n ldr r4, [r0, #(4 * (13 * \\b + bit))]\n"
    "  ldr r5, [r0, #(4 * (13 * \\c + bit))]\n ldr r6, [r0, #(4 * (13 * \\d + bit))]\n"
    ".if bit\n EBNN_SUM3 r3, r4, r8, r7\n EBNN_SUM3 r5, r6, r9, r7\n"
    ".else\n EBNN_SUM2 r3, r4, r8\n EBNN_SUM2 r5, r6, r9\n .endif\n"
    ".if \\two\n str r6, [r1, #(4 * bit)]\n .endif\n"
    ".if bit\n EBNN_SUM3 r6, r4, r10, r7\n .else\n EBNN_SUM2 r6, r4, r10\n .endif\n"
    "  str r4, [r1, #(4 * bit + \\four)]\n"
    ".endm\n"
    ".macro EBNN_FOURS a, b, c, d, two, four\n"
    ".set bit, 0\n .rept 7\n EBNN_FOUR \\a, \\b, \\c, \\d, \\two, \\four\n .set bit, bit + 1\n .endr\n"
    ".if \\two\n mov r7, #0\n strd r9, r7, [r1, #28]\n .endif\n"
    "  EBNN_SUM3 r8, r9, r10, r7\n strd r9, r10, [r1, #(28 + \\four)]\n"
    ".endm\n"
    /* bit `bit` of the comparison; x: r, p2, p3 of the bit below, y: of this one. r5, r6 carries; r0, r1, r2 results */
    ".macro EBNN_STEP x1, x2, x3, y1, y2, y3\n"
    ".if bit < 8\n ldr r3, [sp, #(4 * bit + " EBNN_BITS_AT_M ")]\n ldr \\y2, [sp, #(4 * bit + " EBNN_BITS_AT_N ")]\n .endif\n"
    "  ldr r4, [sp, #(4 * bit + " EBNN_BITS_AT_Q ")]\n ldr \\y1, [sp, #(4 * bit + " EBNN_BITS_AT_R ")]\n"
    "  ldr \\y3, [sp, #(4 * bit + " EBNN_BITS_AT_P3 ")]\n"
    ".if bit == 0\n"
    "  EBNN_SUM2 r3, \\y2, r5\n EBNN_SUM2 \\y1, r4, r6\n bic r0, r4\n bic r1, r4\n bic r2, r4\n"
    ".else\n"
    ".if bit < 8\n EBNN_SUM3 r3, \\y2, r5, r7\n .else\n mov \\y2, r5\n .endif\n"
    "  EBNN_SUM3 \\y1, r4, r6, r7\n"
    "  EBNN_NOT_LESS r0, \\x1, r4, r3, r7\n EBNN_NOT_LESS r1, \\x2, r4, r3, r7\n EBNN_NOT_LESS r2, \\x3, r4, r3, r7\n"
    ".endif\n"
    ".set bit, bit + 1\n"
    ".endm\n"
    ".text\n.balign 4\n.global ebnn_bits_buckets7\n.type ebnn_bits_buckets7, %function\n.thumb_func\n"
    /* void ebnn_bits_buckets7(sums, bits, flags, mask, out, stride) */
    "ebnn_bits_buckets7:\n"
    "  push {r2-r11, lr}\n sub sp, #180\n"
    "  mov r1, sp\n EBNN_FOURS 0, 4, 2, 6, 1, 72\n"
    "  add r1, #36\n EBNN_FOURS 1, 5, 3, 7, 1, 72\n"
    "  add r1, #108\n EBNN_FOURS 4, 5, 6, 7, 0, 0\n"
    "  ldr r3, [sp, #180]\n mvn r3, r3\n sbfx r0, r3, #0, #1\n sbfx r1, r3, #1, #1\n sbfx r2, r3, #2, #1\n"
    ".set bit, 0\n"
    ".rept 4\n"
    "  EBNN_STEP r8, r9, r10, r11, r12, lr\n EBNN_STEP r11, r12, lr, r8, r9, r10\n"
    ".endr\n"
    "  EBNN_STEP r8, r9, r10, r11, r12, lr\n"
    "  EBNN_NOT_LESS r0, r11, r6, r3, r7\n EBNN_NOT_LESS r1, r12, r6, r3, r7\n EBNN_NOT_LESS r2, lr, r6, r3, r7\n"
    "  ldr r7, [sp, #184]\n ldrd r8, r9, [sp, #224]\n and r6, r7\n and r0, r7\n and r1, r7\n and r2, r7\n"
    "  str r6, [r8]\n str r0, [r8, r9, lsl #2]\n add r8, r8, r9, lsl #3\n str r1, [r8]\n str r2, [r8, r9, lsl #2]\n"
    "  add sp, #188\n pop {r4-r11, pc}\n.size ebnn_bits_buckets7, .-ebnn_bits_buckets7\n");
/* clang-format on */

void ebnn_bits_buckets7(const uint32_t *sums, uint32_t bits, uint32_t flags, uint32_t mask, uint32_t *out,
                        uint32_t stride);

ebnn_bits_buckets_t ebnn_bits_buckets_of__cortex_m4(uint32_t bits) {
    return bits == 7u ? ebnn_bits_buckets7 : ebnn_bits_buckets;
}

/* Entries offset + 8 * bit of the set bits of v, the highest first: about 7 cycles each. */
static inline uint16_t *collect_word(uint32_t v, uint32_t offset, uint16_t *at) {
    uint32_t t, o;
    offset += 8u * 31u;
#define NEXT                                                                                                 \
    "clz %[t], %[v]\n sub %[o], %[base], %[t], lsl #3\n lsr %[t], %[top], %[t]\n"                            \
    "strh %[o], [%[at]], #2\n bics %[v], %[t]\n"
    if (v != 0u) {
        __asm__ volatile("1:\n" NEXT "beq 2f\n" NEXT "beq 2f\n" NEXT "beq 2f\n" NEXT "bne 1b\n 2:\n"
                         : [v] "+r"(v), [at] "+r"(at), [t] "=&r"(t), [o] "=&r"(o)
                         : [base] "r"(offset), [top] "r"(0x80000000u)
                         : "cc", "memory");
    }
    return at;
}

uint16_t *ebnn_bits_collect__cortex_m4(const uint32_t *codes, uint32_t k, uint32_t way, uint16_t *list) {
    const uint32_t words = (k + 31u) / 32u;
    const uint32_t plain = way != EBNN_BITS_ROWS ? 4u : 0u;
    uint16_t *at = list;
    for (uint32_t i = 0; i < words; i++) {
        at = collect_word(codes[i], 256u * i + plain, at);
    }
    for (uint32_t i = 0; i < words && way == EBNN_BITS_DIRECT; i++) {
        at = collect_word(codes[words + i], 256u * i, at);
    }
    if (((at - list) & 1) != 0) {
        *at++ = (uint16_t)(8u * k);
    }
    return at;
}

#else

ebnn_bits_buckets_t ebnn_bits_buckets_of__cortex_m4(uint32_t bits) {
    (void)bits;
    return ebnn_bits_buckets;
}

uint16_t *ebnn_bits_collect__cortex_m4(const uint32_t *codes, uint32_t k, uint32_t way, uint16_t *list) {
    return ebnn_bits_collect(codes, k, way, list);
}

#endif
