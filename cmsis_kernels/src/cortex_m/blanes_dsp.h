/*
 * DSP-extension instructions of the lanes kernel that ebnn_acle.h does not have, with plain C twins.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_BLANES_DSP_H
#define EBNN_BLANES_DSP_H

#include "ebnn_acle.h"

#if defined(__GNUC__)
#define BL_INLINE static inline __attribute__((always_inline))
#else
#define BL_INLINE static inline
#endif

#if defined(__GNUC__)
/* A value that the compiler must not fold into the code that uses it. */
#define BL_OPAQUE(v) __asm__("" : "+r"(v))
/* Four loads in a row, which pipeline. */
#define BL_TOGETHER(a, b, c, d) __asm__("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d))
#else
#define BL_OPAQUE(v)
#define BL_TOGETHER(a, b, c, d)
#endif

#if EBNN_ARM_DSP

#define EBNN_OP2_(name, text)                                                                                \
    static inline uint32_t name(uint32_t a, uint32_t b) {                                                    \
        uint32_t r;                                                                                          \
        __asm__(text : "=r"(r) : "r"(a), "r"(b));                                                            \
        return r;                                                                                            \
    }

#else

#define EBNN_TWIN2_(name, low, high)                                                                         \
    static inline uint32_t name(uint32_t a, uint32_t b) {                                                    \
        return ebnn_halves_(low, high);                                                                      \
    }
#define EBNN_LOW_(v) ((int16_t)((v)&0xFFFFu))
#define EBNN_HIGH_(v) ((int16_t)((v) >> 16))

#endif

/* Halves: a + b, a - b, (a + b) / 2 rounded down; modulo 2^16, signed. */
#if EBNN_ARM_DSP
EBNN_OP2_(bl_sadd16, "sadd16 %0, %1, %2")
EBNN_OP2_(bl_ssub16, "ssub16 %0, %1, %2")
EBNN_OP2_(bl_shadd16, "shadd16 %0, %1, %2")
/* Bytes, unsigned: a + b modulo 2^8; a - b or 0; the lesser of a and b. */
EBNN_OP2_(bl_uadd8, "uadd8 %0, %1, %2")
EBNN_OP2_(bl_uqsub8, "uqsub8 %0, %1, %2")
static inline uint32_t bl_umin8(uint32_t a, uint32_t b) {
    uint32_t r;
    __asm__("usub8 %0, %1, %2\n sel %0, %2, %1" : "=&r"(r) : "r"(a), "r"(b));
    return r;
}
#else
EBNN_TWIN2_(bl_sadd16, EBNN_LOW_(a) + EBNN_LOW_(b), EBNN_HIGH_(a) + EBNN_HIGH_(b))
EBNN_TWIN2_(bl_ssub16, EBNN_LOW_(a) - EBNN_LOW_(b), EBNN_HIGH_(a) - EBNN_HIGH_(b))
EBNN_TWIN2_(bl_shadd16, (EBNN_LOW_(a) + EBNN_LOW_(b)) >> 1, (EBNN_HIGH_(a) + EBNN_HIGH_(b)) >> 1)
static inline uint32_t bl_uadd8(uint32_t a, uint32_t b) {
    return ((a & 0x7F7F7F7Fu) + (b & 0x7F7F7F7Fu)) ^ ((a ^ b) & 0x80808080u);
}
static inline uint32_t bl_uqsub8(uint32_t a, uint32_t b) {
    uint32_t r = 0;
    for (uint32_t i = 0; i < 32u; i += 8u) {
        const uint32_t x = (a >> i) & 0xFFu, y = (b >> i) & 0xFFu;
        r |= (x > y ? x - y : 0u) << i;
    }
    return r;
}
static inline uint32_t bl_umin8(uint32_t a, uint32_t b) {
    return a - bl_uqsub8(a, b); /* bytes do not borrow */
}
#endif

/* Low (b) or high (t) half of a times low or high half of b, plus c. */
#if EBNN_ARM_DSP
#define EBNN_SMLA_(halves, a_half, b_half)                                                                   \
    static inline int32_t bl_smla##halves(uint32_t a, int32_t b, int32_t c) {                                \
        int32_t r;                                                                                           \
        __asm__("smla" #halves " %0, %1, %2, %3" : "=r"(r) : "r"(a), "r"(b), "r"(c));                        \
        return r;                                                                                            \
    }
#else
#define EBNN_SMLA_(halves, a_half, b_half)                                                                   \
    static inline int32_t bl_smla##halves(uint32_t a, int32_t b, int32_t c) {                                \
        return (int32_t)((uint32_t)(a_half(a) * b_half((uint32_t)b)) + (uint32_t)c);                         \
    }
#endif
EBNN_SMLA_(bb, EBNN_LOW_, EBNN_LOW_)
EBNN_SMLA_(tb, EBNN_HIGH_, EBNN_LOW_)
EBNN_SMLA_(bt, EBNN_LOW_, EBNN_HIGH_)
EBNN_SMLA_(tt, EBNN_HIGH_, EBNN_HIGH_)

/* Clamped to -2048 .. 2047. */
static inline uint32_t bl_ssat12(int32_t v) {
#if EBNN_ARM_DSP
    __asm__("ssat %0, #12, %0" : "+r"(v));
    return (uint32_t)v;
#else
    return (uint32_t)(v < -2048 ? -2048 : v > 2047 ? 2047 : v);
#endif
}

/* Both signed halves clamped to 0 .. 2^bits - 1; bits: a literal. */
#if EBNN_ARM_DSP
#define EBNN_USAT16(v, bits) __asm__("usat16 %0, %1, %0" : "+r"(v) : "i"(bits))
#else
static inline uint32_t ebnn_usat16_(uint32_t v, int32_t top) {
    const int32_t low = EBNN_LOW_(v) < 0 ? 0 : (EBNN_LOW_(v) > top ? top : EBNN_LOW_(v));
    const int32_t high = EBNN_HIGH_(v) < 0 ? 0 : (EBNN_HIGH_(v) > top ? top : EBNN_HIGH_(v));
    return ebnn_halves_(low, high);
}
#define EBNN_USAT16(v, bits) ((v) = ebnn_usat16_((v), (1 << (bits)) - 1))
#endif

#define BL_USAT16X4(a, b, c, d, bits)                                                                        \
    do {                                                                                                     \
        EBNN_USAT16(a, bits);                                                                                \
        EBNN_USAT16(b, bits);                                                                                \
        EBNN_USAT16(c, bits);                                                                                \
        EBNN_USAT16(d, bits);                                                                                \
    } while (0)

#endif
