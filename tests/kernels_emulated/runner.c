/*
 * Test image: runs the kernel calls of a case table and compares every output byte with the expected ones.
 *
 * The host places the table (see blob.py) at TABLE_ADDRESS before boot. Parameters stay there; outputs and
 * scratch go to RAM between guards, and one input goes to the very end of RAM, so that reading past it is on
 * some boards a bus fault. Results leave by semihosting: "B <case>" before each case, "F <case> <reason>"
 * after a failed one and "D <cases run>" at the end.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_kernels.h"

#define TABLE_MAGIC 0x4E424545u
#define GUARD 64u /* bytes around each buffer */

typedef struct {
    uint32_t kernel; /* line of kernels.def */
    const void *params;
    const uint8_t *in[2];
    uint32_t in_size[2];
    uint32_t out_size[2];
    uint32_t scratch_size;
    const uint8_t *expected[2];
    const uint8_t *data, *data_end; /* params, inputs and expected outputs: must not change */
} case_t;

typedef struct {
    uint32_t magic;
    uint32_t n_cases;
    case_t cases[];
} table_t;

/* One entry a line of kernels.def, 0 where the core does not have the ISA; written by boards.py. */
static const ebnn_kernel_t kernels[] = {
#include "kernel_table.h"
};

/* Likewise the *_get_buffer_size of each kernel, 0 where it has none. */
#include "size_functions.h"
static uint32_t (*const sizes[])(const void *params) = {
#include "size_table.h"
};

extern uint8_t work_start[], work_end[];

static uint32_t semihost(uint32_t operation, const void *argument) {
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static void print(const char *text) {
    semihost(4u, text);
}

static void print_number(const char *before, uint32_t value, const char *after) {
    char digits[11];
    char *at = digits + sizeof digits - 1;
    *at = '\0';
    do {
        *--at = (char)('0' + value % 10u);
        value /= 10u;
    } while (value != 0u);
    print(before);
    print(at);
    print(after);
}

static void __attribute__((noreturn)) leave(uint32_t code) {
    const uint32_t block[2] = {0x20026u, code};
    for (;;)
        semihost(0x20u, block);
}

static uint32_t current;

static void fail(const char *reason) {
    print_number("F ", current, " ");
    print(reason);
    print("\n");
}

void fault(void) {
    fail("fault");
    leave(3u);
}

static uint32_t checksum(const uint8_t *from, const uint8_t *to) {
    uint32_t sum = 1u;
    for (; from < to; from++)
        sum = (sum << 5 | sum >> 27) + *from;
    return sum;
}

static uint8_t pattern(uint32_t i) {
    return (uint8_t)(i * 167u + 13u);
}

/* Rounds up to EBNN_ALIGN. */
static uint32_t aligned(uint32_t size) {
    return (size + EBNN_ALIGN - 1u) / EBNN_ALIGN * EBNN_ALIGN;
}

/* Copies an input to the end of RAM, as near as its alignment allows. */
static void to_the_end(const uint8_t *from, uint32_t size) {
    uint8_t *to = work_end - aligned(size);
    for (uint32_t i = 0; i < size; i++)
        to[i] = from[i];
}

static void run_case(const case_t *c) {
    const uint32_t moved = c->in[1] != NULL && current % 2u == 1u ? 1u : 0u;
    const uint8_t *copy = work_end - aligned(c->in_size[moved]);
    uint8_t *out0 = work_start + GUARD;
    uint8_t *out1 = out0 + aligned(c->out_size[0]) + GUARD;
    uint8_t *scratch = out1 + aligned(c->out_size[1]) + GUARD;
    uint8_t *end = scratch + aligned(c->scratch_size) + GUARD;
    const uint32_t before = checksum(c->data, c->data_end);
    const ebnn_io_t io = {{moved == 0u ? copy : c->in[0], moved == 1u ? copy : c->in[1]},
                          out0,
                          c->out_size[1] != 0u ? out1 : NULL,
                          c->scratch_size != 0u ? scratch : NULL};
    if (c->kernel >= sizeof kernels / sizeof kernels[0] || kernels[c->kernel] == NULL) {
        fail("kernel not in the image");
        return;
    }
    if (end > copy) {
        fail("too large for this board");
        return;
    }
    const uint32_t asked = sizes[c->kernel] != NULL ? sizes[c->kernel](c->params) : 0u;
    if (asked != c->scratch_size) {
        print_number("# asks for ", asked, " bytes, ");
        print_number("the planner gives ", c->scratch_size, "\n");
        fail("scratch size");
        return;
    }
    to_the_end(c->in[moved], c->in_size[moved]);
    for (uint8_t *p = work_start; p < end; p++)
        *p = pattern((uint32_t)(p - work_start));
    const ebnn_status_t status = kernels[c->kernel](c->params, &io);
    if (status != EBNN_OK) {
        print_number("# status -", (uint32_t)-status, "\n");
        fail("status");
    }
    for (uint8_t *p = work_start; p < end; p++) {
        const uint32_t in_out0 = (uint32_t)(p - out0) < c->out_size[0];
        const uint32_t in_out1 = (uint32_t)(p - out1) < c->out_size[1];
        if (p >= scratch && (uint32_t)(p - scratch) < c->scratch_size)
            continue;
        const uint8_t wanted = in_out0   ? c->expected[0][p - out0]
                               : in_out1 ? c->expected[1][p - out1]
                                         : pattern((uint32_t)(p - work_start));
        if (*p != wanted) {
            print_number("# offset ", (uint32_t)(p - (in_out1 ? out1 : in_out0 ? out0 : scratch)), " ");
            print_number("got ", *p, " ");
            print_number("wanted ", wanted, "\n");
            fail(in_out0 || in_out1 ? "output differs" : "wrote outside its buffers");
            break;
        }
    }
    int same = checksum(c->data, c->data_end) == before;
    for (uint32_t i = 0; i < c->in_size[moved]; i++)
        same = same && copy[i] == c->in[moved][i];
    if (!same)
        fail("changed its inputs");
}

void start(void) {
    const table_t *table = (const table_t *)TABLE_ADDRESS;
#ifdef HAS_COPROCESSORS
    *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20; /* CPACR: FPU and MVE on */
    __asm__ volatile("dsb\n\tisb");
#endif
    if (table->magic != TABLE_MAGIC) {
        print("no case table\n");
        leave(2u);
    }
    for (current = 0; current < table->n_cases; current++) {
        print_number("B ", current, "\n");
        run_case(&table->cases[current]);
    }
    print_number("D ", table->n_cases, "\n");
    leave(0u);
}

extern uint8_t stack_top[];
__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    stack_top,           (const void *)start, (const void *)fault, (const void *)fault,
    (const void *)fault, (const void *)fault, (const void *)fault};
