/*
 * Hooks of the emulated machine, called by unicorn through their addresses. block_hook() runs before each
 * translated block: it counts executions per block and how often a block was left by a taken branch, that is,
 * whenever the next block does not start where this one ends. access_hook() runs at each data access: it
 * notes the first one that is not wholly inside one of the allowed ranges.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdint.h>

/* One translated block, identified by its address and size in bytes. A free entry has size 0. */
typedef struct {
    uint64_t count; /* executions */
    uint64_t taken; /* of these, left by a taken branch */
    uint32_t address;
    uint32_t size;
} block_t;

/* Hash table with open addressing; mask + 1 entries, a power of two. */
typedef struct {
    block_t *blocks;
    block_t *previous; /* block executed last, NULL at the start of a call */
    uint64_t dropped;  /* executions without a place in the table; a caller must treat > 0 as an error */
    uint64_t executed; /* blocks executed */
    uint32_t mask;
    uint32_t reserved;
} block_state_t;

void block_hook(void *uc, uint64_t address, uint32_t size, void *user) {
    block_state_t *state = (block_state_t *)user;
    uint32_t at = (uint32_t)address;
    block_t *previous = state->previous;
    uint32_t slot = (at >> 1) & state->mask;
    uint32_t tries = 0;
    (void)uc;

    state->executed++;
    if (previous && previous->address + previous->size != at)
        previous->taken++;
    for (; tries <= state->mask; tries++, slot = (slot + 1u) & state->mask) {
        block_t *block = &state->blocks[slot];
        if (block->size == 0) {
            block->address = at;
            block->size = size;
        } else if (block->address != at || block->size != size) {
            continue;
        }
        block->count++;
        state->previous = block;
        return;
    }
    state->dropped++;
    state->previous = 0;
}

/* Bytes start .. end - 1 may be read, and written if writable. Ranges are sorted and do not overlap. */
typedef struct {
    uint32_t start, end;
    uint32_t writable;
} range_t;

/* uc_reg_read() and uc_reg_write() of the unicorn library. */
typedef int (*read_register_t)(void *uc, int id, uint32_t *value);
typedef int (*write_register_t)(void *uc, int id, const uint32_t *value);

typedef struct {
    const range_t *ranges;
    const block_state_t *blocks;
    read_register_t read_register;
    write_register_t write_register;
    int xpsr; /* unicorn's number of the xPSR */
    uint32_t n_ranges;
    uint32_t last;       /* range of the last access: the next is likely there too */
    uint32_t violations; /* accesses outside; the rest describes the first one */
    uint32_t address;
    uint32_t size;
    uint32_t write;
    uint32_t block; /* address of the code block that made it */
} access_state_t;

#define IT_BITS 0x0600FC00u /* of the xPSR */

static int allowed(const range_t *range, uint32_t address, uint32_t size, int write) {
    return address >= range->start && address < range->end && size <= range->end - address &&
           (range->writable || !write);
}

void access_hook(void *uc, int kind, uint64_t address, int size, int64_t value, void *user) {
    access_state_t *state = (access_state_t *)user;
    const int write = kind == 17; /* UC_MEM_WRITE */
    const uint32_t at = (uint32_t)address;
    uint32_t low = 0, high = state->n_ranges;
    uint32_t xpsr = 0;
    (void)value;

    /* Before a memory hook unicorn restores the CPU's state at the instruction, and with it the state of an
     * IT block, but never clears it again: the code after the IT block would be decoded as if it were inside.
     */
    if (state->read_register(uc, state->xpsr, &xpsr) == 0 && (xpsr & IT_BITS) != 0) {
        xpsr &= ~IT_BITS;
        state->write_register(uc, state->xpsr, &xpsr);
    }
    if (high != 0 && allowed(&state->ranges[state->last], at, (uint32_t)size, write))
        return;
    while (high - low > 1) { /* the last range that starts at or before the address */
        const uint32_t middle = (low + high) / 2;
        if (state->ranges[middle].start <= at)
            low = middle;
        else
            high = middle;
    }
    if (high != 0 && allowed(&state->ranges[low], at, (uint32_t)size, write)) {
        state->last = low;
        return;
    }
    if (state->violations++ == 0) {
        state->address = at;
        state->size = (uint32_t)size;
        state->write = (uint32_t)write;
        state->block = state->blocks->previous ? state->blocks->previous->address : 0;
    }
}
