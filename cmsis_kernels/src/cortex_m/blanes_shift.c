/*
 * Planes of one tap as shifted copies of the input, for cores with UMULL: a multiplication by 2^s gives a
 * word's bits and those that go on into the next word at once.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "blanes_m4.h"

#if EBNN_THUMB2

/* Four words of a row: shifted, with the carry from the word before, masked, stored. */
#define SHIFT4                                                                                               \
    "ldm %[x]!, {r4-r7}\n"                                                                                   \
    "umull r4, r8, r4, %[f]\n orr r4, %[c]\n"                                                                \
    "umull r5, %[c], r5, %[f]\n orr r5, r8\n"                                                                \
    "umull r6, r8, r6, %[f]\n orr r6, %[c]\n"                                                                \
    "umull r7, %[c], r7, %[f]\n orr r7, r8\n"

/* Rows of four words in and out, all channels. ahead: outputs start with the second input word. */
static uint32_t *rows_of_four(const uint32_t *x, uint32_t rows, uint32_t factor, int ahead,
                              const uint32_t *masks, uint32_t *plane) {
    const uint32_t *end = x + 4u * rows;
    uint32_t carry;
    const uint32_t m0 = masks[0], m1 = masks[1], m2 = masks[2], m3 = masks[3];
    if (ahead) {
        __asm__ volatile(
            "1: ldm %[x]!, {r4-r7}\n"
            "umull r8, r4, r4, %[f]\n umull r5, r8, r5, %[f]\n orr r4, r5\n"
            "umull r6, r5, r6, %[f]\n orr r6, r8\n umull r7, r8, r7, %[f]\n orr r5, r7\n"
            "and r4, %[m0]\n and r6, %[m1]\n and r7, r5, %[m2]\n and r8, %[m3]\n"
            "str r4, [%[p]], #4\n str r6, [%[p]], #4\n str r7, [%[p]], #4\n str r8, [%[p]], #4\n"
            "cmp %[x], %[end]\n bne 1b\n"
            : [x] "+r"(x), [p] "+r"(plane)
            : [f] "r"(factor), [m0] "r"(m0), [m1] "r"(m1), [m2] "r"(m2), [m3] "r"(m3), [end] "r"(end)
            : "r4", "r5", "r6", "r7", "r8", "cc", "memory");
    } else {
        __asm__ volatile(
            "1: mov %[c], #0\n" SHIFT4 "and r4, %[m0]\n and r5, %[m1]\n and r6, %[m2]\n and r7, %[m3]\n"
            "stm %[p]!, {r4-r7}\n cmp %[x], %[end]\n bne 1b\n"
            : [x] "+r"(x), [p] "+r"(plane), [c] "=&r"(carry)
            : [f] "r"(factor), [m0] "r"(m0), [m1] "r"(m1), [m2] "r"(m2), [m3] "r"(m3), [end] "r"(end)
            : "r4", "r5", "r6", "r7", "r8", "cc", "memory");
    }
    return plane;
}

/* r4..r7 masked and stored, as 4-bit fields or as pairs of words of even and odd fields. */
#define MASK4 "ldm %[m]!, {r8-r11}\n and r4, r8\n and r5, r9\n and r6, r10\n and r7, r11\n"
#define STORE4 "stm %[p]!, {r4-r7}\n"
#define SPLIT(r) "and r8, " r ", #0x0F0F0F0F\n eor " r ", r8\n lsr " r ", #4\n strd r8, " r ", [%[p]], #8\n"
#define STORE8 SPLIT("r4") SPLIT("r5") SPLIT("r6") SPLIT("r7")

/* Where a row is read and written. */
typedef struct {
    const uint32_t *x, *masks;
    uint32_t *plane;
    uint32_t carry;
} row_t;

#define ROW_ASM(text)                                                                                        \
    __asm__ volatile(text                                                                                    \
                     : [x] "+r"(r->x), [p] "+r"(r->plane), [c] "+r"(r->carry), [m] "+r"(r->masks)            \
                     : [f] "r"(factor)                                                                       \
                     : "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "memory")

/* Four words of a row. */
static inline void four_words(row_t *r, uint32_t factor, uint32_t field_bits) {
    if (field_bits == 4u) {
        ROW_ASM(SHIFT4 MASK4 STORE4);
    } else {
        ROW_ASM(SHIFT4 MASK4 STORE8);
    }
}

/* The last three words of a row, and the carry. */
static inline void last_three(row_t *r, uint32_t factor, uint32_t field_bits) {
#define SHIFT3                                                                                               \
    "ldm %[x]!, {r4-r6}\n"                                                                                   \
    "umull r4, r8, r4, %[f]\n orr r4, %[c]\n umull r5, %[c], r5, %[f]\n orr r5, r8\n"                        \
    "umull r6, r7, r6, %[f]\n orr r6, %[c]\n mov %[c], #0\n"
    if (field_bits == 4u) {
        ROW_ASM(SHIFT3 MASK4 STORE4);
    } else {
        ROW_ASM(SHIFT3 MASK4 STORE8);
    }
}

static inline void one_word(row_t *r, uint32_t low, uint32_t field_bits) {
    const uint32_t v = (low | r->carry) & *r->masks++;
    if (field_bits == 4u) {
        *r->plane++ = v;
    } else {
        *r->plane++ = v & 0x0F0F0F0Fu;
        *r->plane++ = (v >> 4) & 0x0F0F0F0Fu;
    }
}

/* live words of a row and `behind` words after the image. */
static inline void whole_row(row_t *r, uint32_t live, uint32_t behind, uint32_t factor, uint32_t field_bits) {
    for (; live >= 4u; live -= 4u) {
        four_words(r, factor, field_bits);
    }
    if (live == 3u && behind != 0u) {
        last_three(r, factor, field_bits);
        live = 0;
        behind--;
    }
    for (; live != 0u; live--) {
        const uint64_t v = (uint64_t)*r->x++ * factor;
        one_word(r, (uint32_t)v, field_bits);
        r->carry = (uint32_t)(v >> 32);
    }
    for (; behind != 0u; behind--) {
        one_word(r, 0u, field_bits);
        r->carry = 0;
    }
}

uint32_t *ebnn_lanes_shift__cortex_m4(const ebnn_bconv_lanes_params_t *p, const uint32_t *x, int32_t shift,
                                      uint32_t in_words, const uint32_t *masks, uint32_t *plane) {
    if (p->pad_code != 0u) {
        return ebnn_lanes_shift(p, x, shift, in_words, masks, plane);
    }
    const int32_t n = p->block_words;
    const uint32_t fields = (uint32_t)shift & 7u;
    /* output word i = input word first + i, shifted up, below the top of input word first + i - 1 */
    const int32_t first = (shift - (int32_t)fields) / 8 + (fields != 0u ? 1 : 0);
    const uint32_t factor = (fields != 0u ? 1u << (32u - 4u * fields) : 1u) << p->code_shift;
    if (p->field_bits == 4u && n == 4 && in_words == 4u && (first == 0 || first == 1)) {
        return rows_of_four(x, p->dims.in_c, factor, first, masks, plane);
    }
    const int32_t end = (int32_t)in_words;
    const int32_t blank = first < 0 ? (-first < n ? -first : n) : 0; /* words before the image */
    const int32_t from = first < 0 ? 0 : first;
    int32_t live = end - from;
    live = live < 0 ? 0 : (live > n - blank ? n - blank : live);
    const uint32_t behind = (uint32_t)(n - blank - live);
    const int carried = first > 0 && first <= end;
    for (uint32_t c = 0; c < p->dims.in_c; c++, x += in_words) {
        row_t r = {x + from, masks + blank, plane, 0};
        for (int32_t i = 0; i < blank * (int32_t)p->field_bits / 4; i++) {
            *r.plane++ = 0;
        }
        if (carried) {
            r.carry = (uint32_t)(((uint64_t)x[first - 1] * factor) >> 32);
        }
        if (p->field_bits == 4u) {
            whole_row(&r, (uint32_t)live, behind, factor, 4u);
        } else {
            whole_row(&r, (uint32_t)live, behind, factor, 8u);
        }
        plane = r.plane;
    }
    return plane;
}

#else

uint32_t *ebnn_lanes_shift__cortex_m4(const ebnn_bconv_lanes_params_t *p, const uint32_t *x, int32_t shift,
                                      uint32_t in_words, const uint32_t *masks, uint32_t *plane) {
    return ebnn_lanes_shift(p, x, shift, in_words, masks, plane);
}

#endif
