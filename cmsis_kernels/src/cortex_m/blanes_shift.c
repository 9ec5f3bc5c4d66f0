/*
 * Planes of one tap as shifted copies of the input, for cores with UMULL: a multiplication by 2^s gives a word's bits
 * and those that go on into the next word at once.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "blanes_m4.h"

#if EBNN_THUMB2

/* Four words of a row: shifted, with the carry from the word before, masked, stored. */
#define SHIFT4                                                                                                         \
    "ldm %[x]!, {r4-r7}\n"                                                                                             \
    "umull r4, r8, r4, %[f]\n orr r4, %[c]\n"                                                                          \
    "umull r5, %[c], r5, %[f]\n orr r5, r8\n"                                                                          \
    "umull r6, r8, r6, %[f]\n orr r6, %[c]\n"                                                                          \
    "umull r7, %[c], r7, %[f]\n orr r7, r8\n"

/* Rows of four words in and out, all channels. ahead: outputs start with the second input word. */
static uint32_t *rows_of_four(const uint32_t *x, uint32_t rows, uint32_t factor, int ahead, const uint32_t *masks,
                              uint32_t *plane) {
    const uint32_t *end = x + 4u * rows;
    uint32_t carry;
    const uint32_t m0 = masks[0], m1 = masks[1], m2 = masks[2], m3 = masks[3];
    if (ahead) {
        __asm__ volatile("1: ldm %[x]!, {r4-r7}\n"
                         "umull r8, r4, r4, %[f]\n umull r5, r8, r5, %[f]\n orr r4, r5\n"
                         "umull r6, r5, r6, %[f]\n orr r6, r8\n umull r7, r8, r7, %[f]\n orr r5, r7\n"
                         "and r4, %[m0]\n and r6, %[m1]\n and r7, r5, %[m2]\n and r8, %[m3]\n"
                         "str r4, [%[p]], #4\n str r6, [%[p]], #4\n str r7, [%[p]], #4\n str r8, [%[p]], #4\n"
                         "cmp %[x], %[end]\n bne 1b\n"
                         : [x] "+r"(x), [p] "+r"(plane)
                         : [f] "r"(factor), [m0] "r"(m0), [m1] "r"(m1), [m2] "r"(m2), [m3] "r"(m3), [end] "r"(end)
                         : "r4", "r5", "r6", "r7", "r8", "cc", "memory");
    } else {
        __asm__ volatile("1: mov %[c], #0\n" SHIFT4
                         "and r4, %[m0]\n and r5, %[m1]\n and r6, %[m2]\n and r7, %[m3]\n"
                         "stm %[p]!, {r4-r7}\n cmp %[x], %[end]\n bne 1b\n"
                         : [x] "+r"(x), [p] "+r"(plane), [c] "=&r"(carry)
                         : [f] "r"(factor), [m0] "r"(m0), [m1] "r"(m1), [m2] "r"(m2), [m3] "r"(m3), [end] "r"(end)
                         : "r4", "r5", "r6", "r7", "r8", "cc", "memory");
    }
    return plane;
}

/* n words of a row. */
static inline const uint32_t *words_of_row(const uint32_t *x, uint32_t n, uint32_t factor, uint32_t *carry,
                                           const uint32_t **masks, uint32_t **plane) {
    uint32_t c = *carry;
    const uint32_t *m = *masks;
    uint32_t *to = *plane;
    for (; n >= 4u; n -= 4u) {
        __asm__ volatile(SHIFT4 "ldr r8, [%[m]], #4\n and r4, r8\n ldr r8, [%[m]], #4\n and r5, r8\n"
                                "ldr r8, [%[m]], #4\n and r6, r8\n ldr r8, [%[m]], #4\n and r7, r8\n"
                                "stm %[p]!, {r4-r7}\n"
                         : [x] "+r"(x), [p] "+r"(to), [c] "+r"(c), [m] "+r"(m)
                         : [f] "r"(factor)
                         : "r4", "r5", "r6", "r7", "r8", "memory");
    }
    for (; n != 0u; n--) {
        const uint64_t v = (uint64_t)*x++ * factor;
        *to++ = ((uint32_t)v | c) & *m++;
        c = (uint32_t)(v >> 32);
    }
    *carry = c;
    *masks = m;
    *plane = to;
    return x;
}

uint32_t *ebnn_lanes_shift__cortex_m4(const ebnn_bconv_lanes_params_t *p, const uint32_t *x, int32_t shift,
                                      uint32_t in_words, const uint32_t *masks, uint32_t *plane) {
    if (p->field_bits != 4u || p->pad_code != 0u) {
        return ebnn_lanes_shift(p, x, shift, in_words, masks, plane);
    }
    const int32_t n = p->block_words;
    const uint32_t fields = (uint32_t)shift & 7u;
    /* output word i = input word first + i, shifted up, below the top of input word first + i - 1 */
    const int32_t first = (shift - (int32_t)fields) / 8 + (fields != 0u ? 1 : 0);
    const uint32_t factor = (fields != 0u ? 1u << (32u - 4u * fields) : 1u) << p->code_shift;
    if (n == 4 && in_words == 4u && (first == 0 || first == 1)) {
        return rows_of_four(x, p->dims.in_c, factor, first, masks, plane);
    }
    const int32_t end = (int32_t)in_words;
    const int32_t blank = first < 0 ? (-first < n ? -first : n) : 0; /* words before the image */
    const int32_t from = first < 0 ? 0 : first;
    int32_t live = end - from;
    live = live < 0 ? 0 : (live > n - blank ? n - blank : live);
    const int32_t behind = n - blank - live;
    for (uint32_t c = 0; c < p->dims.in_c; c++, x += in_words) {
        const uint32_t *m = masks + blank;
        uint32_t carry = 0;
        for (int32_t i = 0; i < blank; i++) {
            *plane++ = 0;
        }
        if (first > 0 && first <= end) {
            carry = (uint32_t)(((uint64_t)x[first - 1] * factor) >> 32);
        }
        words_of_row(x + from, (uint32_t)live, factor, &carry, &m, &plane);
        for (int32_t i = 0; i < behind; i++) {
            *plane++ = carry & *m++;
            carry = 0;
        }
    }
    return plane;
}

#else

uint32_t *ebnn_lanes_shift__cortex_m4(const ebnn_bconv_lanes_params_t *p, const uint32_t *x, int32_t shift,
                                      uint32_t in_words, const uint32_t *masks, uint32_t *plane) {
    return ebnn_lanes_shift(p, x, shift, in_words, masks, plane);
}

#endif
