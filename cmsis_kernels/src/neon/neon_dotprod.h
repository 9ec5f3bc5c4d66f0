/*
 * SDOT: compiled where the compiler can, used where the processor has it. EBNN_DOTPROD 0 leaves it out (for
 * targets whose processor lacks it); processors are asked through the auxiliary vector on Linux.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_NEON_DOTPROD_H
#define EBNN_NEON_DOTPROD_H

#ifndef EBNN_DOTPROD
#if !defined(__aarch64__)
#define EBNN_DOTPROD 0
#elif defined(__ARM_FEATURE_DOTPROD)
#define EBNN_DOTPROD 2 /* always there */
#elif defined(__linux__) && (defined(__clang__) ? __clang_major__ >= 16 : __GNUC__ >= 8)
#define EBNN_DOTPROD                                                                                         \
    1 /* to be asked for; older compilers have the intrinsics only where the option is given */
#else
#define EBNN_DOTPROD 0
#endif
#endif

#if EBNN_DOTPROD == 1
#include <sys/auxv.h>
#if defined(__clang__)
#define NEON_DOTPROD __attribute__((target("dotprod")))
#else
#define NEON_DOTPROD __attribute__((target("arch=armv8.2-a+dotprod")))
#endif
#define NEON_HWCAP_ASIMDDP (1ul << 20)
#else
#define NEON_DOTPROD
#endif

static inline int neon_has_dotprod(void) {
#if EBNN_DOTPROD == 1
    return (getauxval(AT_HWCAP) & NEON_HWCAP_ASIMDDP) != 0u;
#else
    return EBNN_DOTPROD;
#endif
}

#endif
