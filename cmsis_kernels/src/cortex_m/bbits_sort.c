/*
 * Class lists of the bits kernel from packed weight patterns, for cores with Thumb-2: about 9 cycles an
 * element.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bbits_m4.h"

#if EBNN_THUMB2

/* One element: *at[pattern]++ = offset, with bit 2 of the offset set for a positive pattern. */
#define PUT(bit)                                                                                             \
    "ubfx %[t], %[v], #" bit ", #4\n"                                                                        \
    "ldr %[p], [%[at], %[t], lsl #2]\n"                                                                      \
    "bfi %[o], %[t], #2, #1\n"                                                                               \
    "strh %[o], [%[p]], #2\n"                                                                                \
    "str %[p], [%[at], %[t], lsl #2]\n"                                                                      \
    "add %[o], #8\n"

void ebnn_bits_sort__cortex_m4(const uint32_t *codes, uint32_t n, const uint16_t *counts, uint16_t *list) {
    uint16_t *at[16];
    ebnn_bits_sort_starts(n, counts, list, at);
    uint32_t offset = 0;
    for (; n >= 8u; n -= 8u) {
        uint32_t t, p;
        __asm__ volatile(PUT("0") PUT("4") PUT("8") PUT("12") PUT("16") PUT("20") PUT("24") PUT("28")
                         : [t] "=&r"(t), [p] "=&r"(p), [o] "+r"(offset)
                         : [v] "r"(*codes++), [at] "r"(at)
                         : "memory");
    }
    offset &= ~7u;
    ebnn_bits_sort_rest(codes, n, offset, at);
}

#else

void ebnn_bits_sort__cortex_m4(const uint32_t *codes, uint32_t n, const uint16_t *counts, uint16_t *list) {
    ebnn_bits_sort(codes, n, counts, list);
}

#endif
