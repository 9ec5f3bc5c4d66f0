/*
 * edgebnn runtime: public interface.
 *
 * A model is a constant array of op descriptors. Each names a kernel, its constant parameters and the arena
 * offsets of its tensors; ebnn_run() calls them in order. The runtime has no heap, no globals, no recursion
 * and no floating point. The caller owns all memory.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_H
#define EBNN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Model ABI: the structs below and those of all params headers, their fields and what kernels take them for.
 * It goes up with the first change of them since a release (SPEC.md). Emitted models check it at compile
 * time.
 */
#define EBNN_ABI 2

/* Marks an unused tensor slot of a descriptor. */
#define EBNN_NONE 0xFFFFFFFFu

/* The arena must start at a multiple of this many bytes. Every tensor offset is a multiple of it too. */
#define EBNN_ALIGN 16u

typedef enum {
    EBNN_OK = 0,
    EBNN_ERR_ARGUMENT = -1, /* a null pointer, an index out of range or parameters a kernel does not take */
    EBNN_ERR_ARENA = -2,    /* the arena is too small or not aligned to EBNN_ALIGN */
    EBNN_ERR_ABI = -3,      /* the model was emitted for another EBNN_ABI */
} ebnn_status_t;

/* Element types. b1: bit 0 = +1, bit 1 = -1. u2..u4: unsigned, stored as bit planes. */
typedef enum {
    EBNN_B1 = 1,
    EBNN_U2 = 2,
    EBNN_U3 = 3,
    EBNN_U4 = 4,
    EBNN_S8 = 8,
    EBNN_S32 = 32,
} ebnn_dtype_t;

/* Storage order of a tensor of H x W pixels and C channels; SPEC.md section 3 gives every bit. */
typedef enum {
    EBNN_NHWC =
        0, /* s8/s32: [H][W][C]. bits: [H][W][bit][ceil(C/32)] words, channels along the bits, LSB first */
    EBNN_CHW = 1, /* s8/s32: [C][H*W rounded up to a multiple of 4] */
    EBNN_PLANES =
        2, /* bits: [bit][C][ceil(H*W/32)] words, pixels along the bits, LSB first, unused lanes 0 */
    EBNN_NIBBLES =
        3, /* b1 (the bit), u2..u4: [C][ceil(H*W/8)] words, 4 bits a pixel, LSB first, unused lanes 0 */
} ebnn_layout_t;

/* A tensor's shape, type and place. real = scale * (q - zero_point), scale = scale_q31 * 2^(scale_exp - 31).
 */
typedef struct {
    uint32_t offset; /* bytes from the start of the arena */
    uint32_t size;   /* bytes */
    uint16_t h, w, c;
    uint8_t dtype;  /* ebnn_dtype_t */
    uint8_t layout; /* ebnn_layout_t */
    int32_t zero_point;
    int32_t scale_q31;
    int32_t scale_exp;
} ebnn_tensor_t;

/* What a kernel works on. Pointers are aligned to EBNN_ALIGN; in[1] is NULL unless the op has two inputs;
 * out2 is NULL unless the op has two outputs (a stream and its quantised planes); scratch is NULL when the
 * kernel's *_get_buffer_size is 0. Outputs never overlap an input or scratch, but out may be in[1] where the
 * params struct's contract allows it. parts > 1: a kernel that can be divided (the planner knows) writes only
 * part `part`, 0 .. parts - 1, of its outputs, in scratch of its own. */
typedef struct {
    const void *in[2];
    void *out;
    void *out2;
    void *scratch;
    uint16_t part, parts;
} ebnn_io_t;

/* A kernel: reads io->in, writes io->out, may write io->scratch, touches nothing else. params points to the
 * params struct that kernels.def names for the kernel. Returns EBNN_OK or a negative ebnn_status_t. */
typedef ebnn_status_t (*ebnn_kernel_t)(const void *params, const ebnn_io_t *io);

/* One step of a model. Offsets are bytes from the start of the arena, or EBNN_NONE. */
typedef struct {
    ebnn_kernel_t kernel;
    const void *params;
    uint32_t in[2];
    uint32_t out, out2;
    uint32_t scratch;
} ebnn_op_t;

/* How an op is divided among threads (ebnn_threads.h): into `parts` (0 and 1: not), part i with its scratch
 * i * scratch_step bytes after the descriptor's. */
typedef struct {
    uint16_t parts;
    uint32_t scratch_step;
} ebnn_split_t;

/* What a person wants to know of a step; kept beside the descriptors so that a build can leave it out. */
typedef struct {
    const char *name;   /* layer name of the model */
    const char *op;     /* IR op */
    const char *kernel; /* kernel symbol */
    uint32_t macs;      /* multiply-accumulates of the layer, any precision */
    ebnn_tensor_t out;
    ebnn_tensor_t out2; /* size 0 where the op has one output */
} ebnn_op_info_t;

typedef struct {
    uint32_t abi; /* EBNN_ABI */
    uint32_t crc; /* CRC-32 (IEEE 802.3) of the .ebnn file this model was emitted from */
    const char *name;
    const ebnn_op_t *ops;
    const ebnn_op_info_t *info; /* n_ops entries, or NULL */
    uint32_t n_ops;
    uint32_t arena_size; /* bytes */
    ebnn_tensor_t input;
    ebnn_tensor_t output;
    const char *const *labels; /* n_labels class names, or NULL */
    uint32_t n_labels;
} ebnn_model_t;

/* Checks model and arena. Call it once before ebnn_run_op(); ebnn_run() calls it itself.
 * EBNN_ERR_ARGUMENT: a null pointer. EBNN_ERR_ABI. EBNN_ERR_ARENA: arena_size (bytes) too small or
 * misaligned. */
ebnn_status_t ebnn_check(const ebnn_model_t *model, const void *arena, size_t arena_size);

/* Runs step `index` alone. EBNN_ERR_ARGUMENT: index >= model->n_ops. Otherwise the kernel's status. */
ebnn_status_t ebnn_run_op(const ebnn_model_t *model, void *arena, uint32_t index);

/* Runs the whole model: the caller has put the input at arena + model->input.offset and finds the result at
 * arena + model->output.offset. Stops at the first step that fails and returns its status. */
ebnn_status_t ebnn_run(const ebnn_model_t *model, void *arena, size_t arena_size);

#ifdef __cplusplus
}
#endif

#endif
