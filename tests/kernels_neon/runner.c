/*
 * Test program for user-mode emulation: runs the kernel calls of a case table and compares every output byte
 * with the expected ones.
 *
 * The table (tests/kernels_emulated/blob.py) is a file, mapped at TABLE_ADDRESS, which its addresses count
 * from. Kernels that can be divided run in one, two or three parts. Inputs are copied to the end of a page
 * before one that cannot be read; outputs and scratch lie between guards. It prints what the test image of
 * the boards prints: "F <case> <reason>" after a failed case, "B <case>" before each, "D <cases run>" at the
 * end.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ebnn_kernels.h"
#include "ebnn_neon.h"

#define GUARD 64u
#define AREA (4u << 20) /* bytes of the largest input */
#define PAGE 65536u     /* any page size */

typedef struct { /* addresses fit 32 bits on either processor */
    uint32_t kernel, params, in[2], in_size[2], out_size[2], scratch_size, expected[2], data, data_end;
} case_t;

/* One entry a line of kernels.def, 0 where the target does not have the ISA. */
static const ebnn_kernel_t kernels[] = {
#include "kernel_table.h"
};

/* Whether the kernel computes its output in parts. */
static const uint8_t divisible[] = {
#include "kernel_parts.h"
};

/* What a kernel asks for in scratch, 0 where it is not checked. */
static uint32_t (*const sizes[])(const void *params) = {
#include "kernel_sizes.h"
};

static unsigned current;

static void fail(const char *reason) {
    printf("F %u %s\n", current, reason);
}

static void fault(int number) {
    char text[64];
    const int n = snprintf(text, sizeof text, "F %u fault %d\n", current, number);
    fflush(stdout);
    _exit(write(1, text, (size_t)n) == n ? 3 : 4);
}

static const uint8_t *at(uint32_t address) {
    return (const uint8_t *)(uintptr_t)address;
}

static uint32_t checksum(const uint8_t *from, const uint8_t *to) {
    uint32_t sum = 1u;
    for (; from < to; from++)
        sum = (sum << 5 | sum >> 27) + *from;
    return sum;
}

static uint32_t aligned(uint32_t size) {
    return (size + EBNN_ALIGN - 1u) / EBNN_ALIGN * EBNN_ALIGN;
}

/* AREA bytes that end at a page without access; never freed. */
static uint8_t *area(void) {
    uint8_t *p = mmap(NULL, AREA + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || mprotect(p + AREA, PAGE, PROT_NONE) != 0)
        exit(2);
    return p + AREA;
}

static uint8_t *guarded(uint32_t size) {
    void *p = NULL;
    if (posix_memalign(&p, EBNN_ALIGN, size + 2u * GUARD) != 0)
        exit(2);
    memset(p, 0xA5, size + 2u * GUARD);
    return (uint8_t *)p + GUARD;
}

static int intact(const uint8_t *buffer, uint32_t size) {
    const uint8_t *before = buffer - GUARD;
    for (uint32_t i = 0; i < GUARD; i++)
        if (before[i] != 0xA5 || buffer[size + i] != 0xA5)
            return 0;
    return 1;
}

static void run_case(const case_t *c, uint16_t parts, uint8_t *const *ends) {
    const uint8_t *in[2] = {NULL, NULL};
    uint8_t *out[2], *scratch = guarded(aligned(c->scratch_size));
    const uint32_t before = checksum(at(c->data), at(c->data_end));
    for (unsigned i = 0; i < 2; i++) {
        out[i] = guarded(c->out_size[i]);
        if (c->in[i] != 0u) {
            in[i] = ends[i] - aligned(c->in_size[i]);
            memcpy(ends[i] - aligned(c->in_size[i]), at(c->in[i]), c->in_size[i]);
        }
    }
    ebnn_io_t io = {.in = {in[0], in[1]}, .out = out[0], .parts = parts};
    io.out2 = c->out_size[1] != 0u ? out[1] : NULL;
    io.scratch = c->scratch_size != 0u ? scratch : NULL;
    if (c->kernel >= sizeof kernels / sizeof kernels[0] || kernels[c->kernel] == NULL) {
        fail("kernel not in the program");
        return;
    }
    if (sizes[c->kernel] != NULL && sizes[c->kernel](at(c->params)) != c->scratch_size)
        fail("asks for other scratch");
    for (; io.part < parts; io.part++)
        if (kernels[c->kernel](at(c->params), &io) != EBNN_OK)
            fail("status");
    for (unsigned i = 0; i < 2; i++) {
        if (c->out_size[i] != 0u && memcmp(out[i], at(c->expected[i]), c->out_size[i]) != 0)
            fail("output differs");
        if (in[i] != NULL && memcmp(in[i], at(c->in[i]), c->in_size[i]) != 0)
            fail("changed its inputs");
        if (!intact(out[i], c->out_size[i]))
            fail("wrote outside an output");
        free(out[i] - GUARD);
    }
    const uint32_t room = aligned(c->scratch_size);
    for (uint32_t i = c->scratch_size; i < room; i++)
        if (scratch[i] != 0xA5)
            fail("wrote outside its scratch");
    if (!intact(scratch, room))
        fail("wrote outside its scratch");
    free(scratch - GUARD);
    if (checksum(at(c->data), at(c->data_end)) != before)
        fail("changed its parameters");
}

int main(int argc, char **argv) {
    struct stat status;
    const int file = argc == 2 ? open(argv[1], O_RDONLY) : -1;
    if (file < 0 || fstat(file, &status) != 0)
        return 2;
    void *base = mmap((void *)(uintptr_t)TABLE_ADDRESS, (size_t)status.st_size, PROT_READ,
                      MAP_PRIVATE | MAP_FIXED, file, 0);
    if (base == MAP_FAILED)
        return 2;
    signal(SIGSEGV, fault);
    signal(SIGBUS, fault);
    signal(SIGILL, fault);
    const uint32_t *header = base;
    const case_t *cases = (const case_t *)(const void *)(header + 2);
    uint8_t *const ends[2] = {area(), area()};
    for (current = 0; current < header[1]; current++) {
        printf("B %u\n", current);
        const uint32_t parts = divisible[cases[current].kernel] != 0u ? 1u + current % 3u : 1u;
        run_case(&cases[current], (uint16_t)parts, ends);
    }
    printf("D %u\n", (unsigned)header[1]);
    return 0;
}
