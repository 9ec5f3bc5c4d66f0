/*
 * Shifted planes for cores with Thumb-2; C twins elsewhere.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bbits_m4.h"

#if EBNN_THUMB2

/* One channel: hi(x[0] * f) + x[1] * f with f = 2^(32 - bits) is (x[0] >> bits) | (x[1] << (32 - bits)). */
#define SHIFT2(no, v, b) "umull " no ", " v ", " v ", %[f]\n mla " v ", " b ", %[f], " v "\n"
#define PAIR2(no, v) "and " v ", %[m]\n mvn " no ", " v "\n"

void ebnn_bits_shift__cortex_m4(const uint32_t *x, uint32_t channels, uint32_t in_words, uint32_t bits,
                                uint32_t mask, uint32_t *to) {
    const uint32_t factor = 1u << (32u - bits);
    uint32_t n = channels / 3u;
    if (n != 0u) {
        __asm__ volatile(
            "1: add r11, %[x], #4\n"
            "ldr r5, [%[x]]\n ldr r8, [%[x], %[s], lsl #2]\n ldr r10, [%[x], %[s], lsl #3]\n"
            "ldr r4, [r11]\n ldr r6, [r11, %[s], lsl #2]\n ldr r9, [r11, %[s], lsl #3]\n"
            "add %[x], %[x], %[s], lsl #2\n add %[x], %[x], %[s], lsl #3\n" SHIFT2("r11", "r5", "r4")
                SHIFT2("r11", "r8", "r6") SHIFT2("r11", "r10", "r9") PAIR2("r4", "r5") PAIR2("r6", "r8")
                    PAIR2("r9", "r10") "stm %[to]!, {r4, r5, r6, r8, r9, r10}\n subs %[n], #1\n bne 1b\n"
            : [x] "+r"(x), [to] "+r"(to), [n] "+r"(n)
            : [s] "r"(in_words), [f] "r"(factor), [m] "r"(mask)
            : "r4", "r5", "r6", "r8", "r9", "r10", "r11", "cc", "memory");
    }
    for (n = channels % 3u; n != 0u; n--, x += in_words, to += 2) {
        const uint32_t v = ((x[0] >> bits) | (x[1] << (32u - bits))) & mask;
        to[0] = ~v;
        to[1] = v;
    }
}

void ebnn_bits_shift_one__cortex_m4(const uint32_t *x, uint32_t channels, uint32_t in_words, uint32_t bits,
                                    uint32_t mask, uint32_t *to) {
    const uint32_t down = bits < 32u ? bits : 0u, up = bits < 32u ? 0u : bits - 32u;
    uint32_t n = channels / 3u;
#define SHIFT1(no, v) "lsr " v ", %[d]\n lsl " v ", %[u]\n " PAIR2(no, v)
    if (n != 0u) {
        __asm__ volatile(
            "1: ldr r5, [%[x]]\n ldr r8, [%[x], %[s], lsl #2]\n ldr r10, [%[x], %[s], lsl #3]\n"
            "add %[x], %[x], %[s], lsl #2\n add %[x], %[x], %[s], lsl #3\n" SHIFT1("r4", "r5")
                SHIFT1("r6", "r8")
                    SHIFT1("r9", "r10") "stm %[to]!, {r4, r5, r6, r8, r9, r10}\n subs %[n], #1\n bne 1b\n"
            : [x] "+r"(x), [to] "+r"(to), [n] "+r"(n)
            : [s] "r"(in_words), [d] "r"(down), [u] "r"(up), [m] "r"(mask)
            : "r4", "r5", "r6", "r8", "r9", "r10", "cc", "memory");
    }
    for (n = channels % 3u; n != 0u; n--, x += in_words, to += 2) {
        const uint32_t v = ((*x >> down) << up) & mask;
        to[0] = ~v;
        to[1] = v;
    }
}

#else

void ebnn_bits_shift_one__cortex_m4(const uint32_t *x, uint32_t channels, uint32_t in_words, uint32_t bits,
                                    uint32_t mask, uint32_t *to) {
    ebnn_bits_shift_one(x, channels, in_words, bits, mask, to);
}

void ebnn_bits_shift__cortex_m4(const uint32_t *x, uint32_t channels, uint32_t in_words, uint32_t bits,
                                uint32_t mask, uint32_t *to) {
    ebnn_bits_shift(x, channels, in_words, bits, mask, to);
}

#endif
