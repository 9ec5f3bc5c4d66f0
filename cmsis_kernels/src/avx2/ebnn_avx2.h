/*
 * Everything after this header is compiled for AVX2, whatever the flags of the build: one extension module
 * holds the kernels of several instruction sets, and the planner picks those that the processor has. Such a
 * file ends with core/target_end.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_AVX2_H
#define EBNN_AVX2_H

#include <stddef.h>
#include <stdint.h>

#include <immintrin.h>

#if defined(__clang__)
#pragma clang diagnostic ignored "-Wpass-failed" /* loops too long to unroll are none of the fast ones */
#pragma clang attribute push(__attribute__((target("avx2,popcnt,bmi,bmi2"))), apply_to = function)
#else
#pragma GCC target("avx2,popcnt,bmi,bmi2")
#endif

#endif
