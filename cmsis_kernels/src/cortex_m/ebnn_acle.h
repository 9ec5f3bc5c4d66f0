/*
 * DSP-extension intrinsics of the Cortex-M4/M7/M33, with plain C twins where the compiler does not target one
 * (host tests). EBNN_ARM_DSP is 1 where hand-written Thumb-2 code may be used. GCC has ACLE's SMLAD and
 * SXTB16 but neither the rotated SXTB16/SXTAB16 nor SMMULR, so those are one-instruction asm statements.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_ACLE_H
#define EBNN_ACLE_H

#include <stdint.h>
#include <string.h>

#if defined(__arm__) && defined(__thumb2__) && defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP
#define EBNN_ARM_DSP 1
#include <arm_acle.h>
#else
#define EBNN_ARM_DSP 0
#endif

/* A 32-bit load and store at any address; one LDR or STR on cores that allow unaligned access. */
static inline uint32_t ebnn_load32(const void *p) {
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void ebnn_store32(void *p, uint32_t v) {
    memcpy(p, &v, sizeof v);
}

static inline void ebnn_store16(void *p, uint32_t v) {
    const uint16_t half = (uint16_t)v;
    memcpy(p, &half, sizeof half);
}

#if EBNN_ARM_DSP

/* acc + low(a) * low(b) + high(a) * high(b), signed 16-bit halves. */
static inline int32_t ebnn_smlad(uint32_t a, uint32_t b, int32_t acc) {
    return __smlad((int16x2_t)a, (int16x2_t)b, acc);
}

/* acc + low(a) * low(b). */
static inline int32_t ebnn_smlabb16(uint32_t a, uint32_t b, int32_t acc) {
    return __smlabb((int32_t)a, (int32_t)b, acc);
}

/* acc + low(a) * high(b). */
static inline int32_t ebnn_smlabt16(uint32_t a, uint32_t b, int32_t acc) {
    return __smlabt((int32_t)a, (int32_t)b, acc);
}

/* acc + high(a) * low(b). */
static inline int32_t ebnn_smlatb16(uint32_t a, uint32_t b, int32_t acc) {
    return __smlatb((int32_t)a, (int32_t)b, acc);
}

/* Bytes 0 and 2, sign-extended to 16-bit halves. */
static inline uint32_t ebnn_sxtb16(uint32_t a) {
    return (uint32_t)__sxtb16((int8x4_t)a);
}

/* Bytes 1 and 3, sign-extended to 16-bit halves. */
static inline uint32_t ebnn_sxtb16_ror8(uint32_t a) {
    uint32_t r;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(r) : "r"(a));
    return r;
}

/* Halves of acc plus sign-extended bytes 0 and 2 of a, modulo 2^16. */
static inline uint32_t ebnn_sxtab16(uint32_t acc, uint32_t a) {
    uint32_t r;
    __asm__("sxtab16 %0, %1, %2" : "=r"(r) : "r"(acc), "r"(a));
    return r;
}

/* Halves of acc plus sign-extended bytes 1 and 3 of a, modulo 2^16. */
static inline uint32_t ebnn_sxtab16_ror8(uint32_t acc, uint32_t a) {
    uint32_t r;
    __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(r) : "r"(acc), "r"(a));
    return r;
}

/* (a * b + 2^31) >> 32. */
static inline int32_t ebnn_smmulr(int32_t a, int32_t b) {
    int32_t r;
    __asm__("smmulr %0, %1, %2" : "=r"(r) : "r"(a), "r"(b));
    return r;
}

/* Clamp to -128 .. 127. */
static inline int32_t ebnn_ssat8(int32_t a) {
    int32_t r;
    __asm__("ssat %0, #8, %1" : "=r"(r) : "r"(a));
    return r;
}

/* low(a) below low(b) << 16: the low halves of a and b. */
static inline uint32_t ebnn_pkhbt16(uint32_t a, uint32_t b) {
    uint32_t r;
    __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(r) : "r"(a), "r"(b));
    return r;
}

/* high(a) below high(b): the high halves of a and b. */
static inline uint32_t ebnn_pkhtb16(uint32_t a, uint32_t b) {
    uint32_t r;
    __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(r) : "r"(b), "r"(a));
    return r;
}

/* The larger byte of each of the four pairs, signed. */
static inline uint32_t ebnn_max_s8x4(uint32_t a, uint32_t b) {
    uint32_t r;
    __asm__("ssub8 %0, %1, %2\n\tsel %0, %1, %2" : "=&r"(r) : "r"(a), "r"(b));
    return r;
}

/* The smaller one. */
static inline uint32_t ebnn_min_s8x4(uint32_t a, uint32_t b) {
    uint32_t r;
    __asm__("ssub8 %0, %1, %2\n\tsel %0, %2, %1" : "=&r"(r) : "r"(a), "r"(b));
    return r;
}

#else

static inline uint32_t ebnn_halves_(int32_t low, int32_t high) {
    return ((uint32_t)low & 0xFFFFu) | ((uint32_t)high << 16);
}

static inline int32_t ebnn_smlad(uint32_t a, uint32_t b, int32_t acc) {
    const int32_t low = (int16_t)a * (int16_t)b;
    const int32_t high = (int16_t)(a >> 16) * (int16_t)(b >> 16);
    return (int32_t)((uint32_t)acc + (uint32_t)low + (uint32_t)high);
}

static inline int32_t ebnn_smlabb16(uint32_t a, uint32_t b, int32_t acc) {
    return acc + (int16_t)a * (int16_t)b;
}

static inline int32_t ebnn_smlabt16(uint32_t a, uint32_t b, int32_t acc) {
    return acc + (int16_t)a * (int16_t)(b >> 16);
}

static inline int32_t ebnn_smlatb16(uint32_t a, uint32_t b, int32_t acc) {
    return acc + (int16_t)(a >> 16) * (int16_t)b;
}

static inline uint32_t ebnn_sxtb16(uint32_t a) {
    return ebnn_halves_((int8_t)a, (int8_t)(a >> 16));
}

static inline uint32_t ebnn_sxtb16_ror8(uint32_t a) {
    return ebnn_halves_((int8_t)(a >> 8), (int8_t)(a >> 24));
}

static inline uint32_t ebnn_sxtab16(uint32_t acc, uint32_t a) {
    return ebnn_halves_((int16_t)acc + (int8_t)a, (int16_t)(acc >> 16) + (int8_t)(a >> 16));
}

static inline uint32_t ebnn_sxtab16_ror8(uint32_t acc, uint32_t a) {
    return ebnn_halves_((int16_t)acc + (int8_t)(a >> 8), (int16_t)(acc >> 16) + (int8_t)(a >> 24));
}

static inline int32_t ebnn_smmulr(int32_t a, int32_t b) {
    return (int32_t)(((int64_t)a * b + (INT64_C(1) << 31)) >> 32);
}

static inline int32_t ebnn_ssat8(int32_t a) {
    return a < -128 ? -128 : (a > 127 ? 127 : a);
}

static inline uint32_t ebnn_pkhbt16(uint32_t a, uint32_t b) {
    return (a & 0xFFFFu) | (b << 16);
}

static inline uint32_t ebnn_pkhtb16(uint32_t a, uint32_t b) {
    return (a >> 16) | (b & 0xFFFF0000u);
}

/* Bytes of a where they are larger or equal, signed, else those of b; `smaller` not 0: where not larger. */
static inline uint32_t ebnn_select_s8x4_(uint32_t a, uint32_t b, int smaller) {
    uint32_t r = 0;
    for (unsigned shift = 0; shift < 32u; shift += 8u) {
        const int larger = (int8_t)(a >> shift) >= (int8_t)(b >> shift);
        r |= (larger != smaller ? a : b) & (0xFFu << shift);
    }
    return r;
}

static inline uint32_t ebnn_max_s8x4(uint32_t a, uint32_t b) {
    return ebnn_select_s8x4_(a, b, 0);
}

static inline uint32_t ebnn_min_s8x4(uint32_t a, uint32_t b) {
    return ebnn_select_s8x4_(a, b, 1);
}

#endif

#endif
