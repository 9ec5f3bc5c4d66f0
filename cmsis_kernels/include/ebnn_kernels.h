/*
 * Declarations of every kernel in kernels.def. Including it costs nothing: the linker keeps only the kernels
 * that a model's descriptors name.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_KERNELS_H
#define EBNN_KERNELS_H

#include "ebnn.h"

/* A function that takes little of a layer's time: compiled for size, never inlined. */
#define EBNN_COLD __attribute__((noinline, cold))

#ifdef __cplusplus
extern "C" {
#endif

#define EBNN_KERNEL(symbol, op, isa, params) ebnn_status_t symbol(const void *params_, const ebnn_io_t *io);
#include "../kernels.def"
#undef EBNN_KERNEL

#ifdef __cplusplus
}
#endif

#endif
