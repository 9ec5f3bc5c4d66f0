/*
 * Bit-sliced sums of runs for cores with Thumb-2: carry-save adders in registers; a C twin elsewhere.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bbits_m4.h"

#include "bbits_asm.h"

#if EBNN_THUMB2

/* Arguments of the minority function on the stack. */
#define SP_TOTALS "52"
#define SP_MASK "56"
#define SP_TO "60" /* and stride */

/* clang-format off */
__asm__(
    EBNN_RUN_MACROS
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
    "1: EBNN_RUN \\high, 0\n"
    ".if \\minority\n"
    "  ldr r12, [sp, #" SP_TOTALS "]\n ldr r11, [sp, #" SP_LEFT "]\n ldm r12!, {r8-r10}\n"
    "  sbfx lr, r11, #0, #1\n orn r8, lr, r8\n EBNN_MAJORITY r2, r9\n EBNN_MAJORITY r3, r10\n"
    "  ldm r12, {r2, r3, r9, r10}\n"
    "  EBNN_MAJORITY r4, r2\n EBNN_MAJORITY r5, r3\n EBNN_MAJORITY r6, r9\n eor r7, r10\n eor r8, r7\n"
    "  ldr r2, [sp, #" SP_MASK "]\n ldrd r9, r10, [sp, #" SP_TO "]\n"
    "  sbfx r3, r11, #1, #1\n eor r8, r3\n ands r2, r8\n"
    "  str r2, [r9]\n add r9, r9, r10, lsl #2\n"
    "  lsrs r11, #2\n str r11, [sp, #" SP_LEFT "]\n str r9, [sp, #" SP_TO "]\n cmp r11, #1\n bne 1b\n"
    ".else\n"
    "  ldr r11, [sp, #" SP_OUT "]\n ldr r12, [sp, #" SP_LEFT "]\n ldr r9, [sp, #" SP_HIGH "]\n stm r11!, {r2-r7}\n"
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

const uint16_t *ebnn_bits_minority6(const uint16_t *list, const uint32_t *base, const uint16_t *runs,
                                    uint32_t flags, const uint32_t *totals, uint32_t mask, uint32_t *out,
                                    uint32_t stride) {
    for (; flags != 1u; flags >>= 2, runs += 2, out += stride) {
        uint32_t s[EBNN_BITS_MOST];
        uint32_t carry = 0, x = 0u - (flags & 1u), v = 0;
        list = ebnn_bits_sum(list, base, runs, 1, 6, s);
        for (uint32_t i = 0; i < 7u; i++) { /* v: bits of 2 S + odd - T */
            const uint32_t t = totals[i];
            v = x ^ t ^ carry;
            carry = (~x & (t | carry)) | (t & carry);
            x = i < 6u ? s[i] : 0u;
        }
        *out = (~v ^ (0u - ((flags >> 1) & 1u))) & mask;
    }
    return list;
}

#endif
