/*
 * Block hook of the instruction counter: unicorn calls block_hook() before each translated block it executes.
 * It counts executions per block and how often a block was left by a taken branch, that is, whenever the next
 * block does not start where this one ends. Compiled on first use and called by unicorn only, through its address.
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
