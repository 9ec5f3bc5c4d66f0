/*
 * Replays the kernel calls of a file (see calls.py). Every array of the parameters, every tensor and the
 * scratch is an allocation of exactly its size, so that a sanitizer sees the first byte beyond it.
 *
 *     replay FILE     prints a line for each call that fails, then the number of calls; exit status 0 or 1
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ebnn_kernels.h"

static const ebnn_kernel_t kernels[] = {
#include "kernel_table.h"
};

static FILE *file;

static void must(int held, const char *what) {
    if (!held) {
        fprintf(stderr, "replay: %s\n", what);
        exit(2);
    }
}

static uint32_t number(void) {
    uint32_t n = 0;
    must(fread(&n, sizeof n, 1, file) == 1u, "the file ends early");
    return n;
}

static uint8_t *bytes(uint32_t size) {
    uint8_t *p = malloc(size);
    must(p != NULL, "no memory");
    must(fread(p, 1, size, file) == size, "the file ends early");
    return p;
}

/* A number of bytes and the bytes. */
static uint8_t *block(uint32_t *size) {
    *size = number();
    return bytes(*size);
}

static const char *run(void) {
    uint8_t *held[64]; /* what the parameters point to */
    uint8_t *in[2] = {NULL, NULL}, *out[2] = {NULL, NULL}, *wanted[2] = {NULL, NULL};
    uint32_t size, sizes[2] = {0, 0};
    const uint32_t kernel = number();
    must(kernel < sizeof kernels / sizeof kernels[0], "no such kernel");
    uint8_t *params = block(&size);
    const uint32_t pointers = number();
    must(pointers <= sizeof held / sizeof held[0], "too many pointers");
    for (uint32_t i = 0; i < pointers; i++) {
        const uint32_t at = number();
        must(at + sizeof held[i] <= size, "a pointer outside its struct");
        uint32_t length;
        held[i] = block(&length);
        memcpy(params + at, &held[i], sizeof held[i]);
    }
    const uint32_t inputs = number();
    must(inputs <= 2u, "too many inputs");
    for (uint32_t i = 0; i < inputs; i++) {
        uint32_t length;
        in[i] = block(&length);
    }
    const uint32_t outputs = number();
    must(outputs <= 2u, "too many outputs");
    for (uint32_t i = 0; i < outputs; i++) {
        wanted[i] = block(&sizes[i]);
        out[i] = malloc(sizes[i]);
        must(out[i] != NULL, "no memory");
        memset(out[i], 0xA5, sizes[i]);
    }
    const uint32_t scratch_size = number();
    uint8_t *scratch = scratch_size != 0u ? malloc(scratch_size) : NULL;
    must(scratch != NULL || scratch_size == 0u, "no memory");
    if (scratch != NULL) {
        memset(scratch, 0xA5, scratch_size);
    }
    ebnn_io_t io;
    memset(&io, 0, sizeof io);
    io.in[0] = in[0];
    io.in[1] = in[1];
    io.out = out[0];
    io.out2 = out[1];
    io.scratch = scratch;
    const char *failure = kernels[kernel](params, &io) == EBNN_OK ? NULL : "status";
    for (uint32_t i = 0; i < outputs && failure == NULL; i++) {
        failure = memcmp(out[i], wanted[i], sizes[i]) == 0 ? NULL : "output differs";
    }
    for (uint32_t i = 0; i < pointers; i++) {
        free(held[i]);
    }
    for (uint32_t i = 0; i < 2u; i++) {
        free(in[i]);
        free(out[i]);
        free(wanted[i]);
    }
    free(scratch);
    free(params);
    return failure;
}

int main(int argc, char **argv) {
    must(argc == 2, "usage: replay FILE");
    file = fopen(argv[1], "rb");
    must(file != NULL, "cannot open the file");
    const uint32_t calls = number();
    int failed = 0;
    for (uint32_t i = 0; i < calls; i++) {
        fprintf(stderr, "call %u\n", (unsigned)i);
        const char *failure = run();
        if (failure != NULL) {
            printf("%u: %s\n", (unsigned)i, failure);
            failed = 1;
        }
    }
    printf("%u calls\n", (unsigned)calls);
    fclose(file);
    return failed;
}
