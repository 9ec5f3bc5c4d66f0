/*
 * Lists of the lanes kernels from packed weight patterns, for cores with Thumb-2: about 8 cycles an element.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "blanes_m4.h"

#if EBNN_ARM_DSP

/* One element: *at[pattern]++ = offset. */
#define PUT(bit)                                                                                             \
    "ubfx %[t], %[v], #" bit ", #4\n"                                                                        \
    "add %[t], %[at], %[t], lsl #2\n"                                                                        \
    "ldr %[p], [%[t]]\n"                                                                                     \
    "strh %[o], [%[p]], #2\n"                                                                                \
    "str %[p], [%[t]]\n"                                                                                     \
    "add %[o], %[s]\n"

uint16_t *ebnn_lanes_sort__cortex_m4(const uint32_t *codes, uint32_t n, const uint8_t *counts,
                                     uint32_t weight_kind, uint32_t offset, uint32_t stride, uint32_t zero,
                                     uint16_t *list) {
    uint16_t *at[16];
    uint16_t *end = ebnn_lanes_runs(counts, weight_kind, list, at);
    for (; n >= 8u; n -= 8u) {
        uint32_t t, p;
        __asm__ volatile(PUT("0") PUT("4") PUT("8") PUT("12") PUT("16") PUT("20") PUT("24") PUT("28")
                         : [t] "=&r"(t), [p] "=&r"(p), [o] "+r"(offset)
                         : [v] "r"(*codes++), [at] "r"(at), [s] "r"(stride)
                         : "memory");
    }
    for (uint32_t v = n != 0u ? *codes : 0u; n != 0u; n--, v >>= 4, offset += stride) {
        *at[v & 15u]++ = (uint16_t)offset;
    }
    ebnn_lanes_pad(counts, zero, list, at);
    return end;
}

#else

uint16_t *ebnn_lanes_sort__cortex_m4(const uint32_t *codes, uint32_t n, const uint8_t *counts,
                                     uint32_t weight_kind, uint32_t offset, uint32_t stride, uint32_t zero,
                                     uint16_t *list) {
    return ebnn_lanes_sort(codes, n, counts, weight_kind, offset, stride, zero, list);
}

#endif
