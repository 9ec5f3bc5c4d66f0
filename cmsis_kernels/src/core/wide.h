/*
 * Wide bit-plane core: low-bit convolution on planes, one source for every lane (ebnn_wide.h says what it
 * computes).
 *
 * A lane header stands before this one and defines EBNN_LANE_BYTES, EBNN_LANE_UNIT (bytes a list entry counts
 * in: what an addressing mode scales by), ebnn_lane_t and ebnn_lane_load(p), ebnn_lane_store(p, v)     any
 * alignment of EBNN_LANE_UNIT ebnn_lane_splat(word)                        the same 32 bits everywhere
 *   ebnn_lane_xor, ebnn_lane_and, ebnn_lane_xor3, ebnn_lane_majority
 *   ebnn_lane_bits(words, shift)                 64-bit words shifted right by 0..63, the next words moving
 * in ebnn_lane_bytes(planes, n, bytes), ebnn_lane_plane(bytes, bit)      planes to bytes and back
 * (wide_bytes.h). It may also define
 *   EBNN_LANE_BYTEWISE     loads take any address
 *   EBNN_LANE_ENTRY        and ebnn_lane_entry(four, i): list entries are loaded four at a time
 *   EBNN_WIDE_TERNARY      there are sums of groups of ternary channels
 *   EBNN_WIDE_PAIRS        planes of two bits of an activation lie side by side and are added in one pass;
 *                          ebnn_lane_join_halves(low, high), ebnn_lane_upper(v): halves of lanes
 * All functions are static: every file that includes this has its own, compiled for its instruction set.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_WIDE_CORE_H
#define EBNN_WIDE_CORE_H

#include "part.h"
#include "wide_fill.h"
#include "wide_finish.h"
#include "wide_sum.h"

/* Where the parts of the scratch lie, in bytes; planes start at a multiple of the lane. */
typedef struct {
    size_t copy, mask, grids, planes, end;
} ebnn_wide_scratch_t;

static inline ebnn_wide_scratch_t ebnn_wide_scratch(const ebnn_bconv_wide_params_t *p,
                                                    const ebnn_wide_geometry_t *g) {
    ebnn_wide_scratch_t s;
    s.copy = 0;
    s.mask = s.copy + 8u * (size_t)g->copy_words;
    s.grids = s.mask + 8u * (size_t)g->grid_words * p->dims.kernel_w;
    s.planes =
        s.grids + 8u * (size_t)g->grid_words * p->dims.in_c * p->dims.kernel_w * g->phases * p->in_bits;
    const uint32_t areas = (p->in_bits + EBNN_WIDE_BITS - 1u) / EBNN_WIDE_BITS;
    s.end = s.planes + areas * ebnn_wide_area(p->in_bits, g->elements) + EBNN_LANE_BYTES;
    return s;
}

static inline uint32_t ebnn_wide_buffer_size(const ebnn_bconv_wide_params_t *p) {
    const ebnn_wide_geometry_t g = ebnn_wide_geometry(p, EBNN_LANE_BYTES);
    return (uint32_t)ebnn_wide_scratch(p, &g).end;
}

static inline ebnn_status_t ebnn_wide_run(const ebnn_bconv_wide_params_t *p, const ebnn_io_t *io) {
    if (p->lane_bytes != EBNN_LANE_BYTES) {
        return EBNN_ERR_ARGUMENT;
    }
    const ebnn_wide_geometry_t g = ebnn_wide_geometry(p, EBNN_LANE_BYTES);
    const ebnn_wide_scratch_t s = ebnn_wide_scratch(p, &g);
    uint8_t *scratch = io->scratch;
    uint64_t *grids = (uint64_t *)(void *)(scratch + s.grids);
    uint8_t *planes = scratch + s.planes;
    planes += (EBNN_LANE_BYTES - (uintptr_t)planes % EBNN_LANE_BYTES) % EBNN_LANE_BYTES;
    ebnn_wide_make_grids(p, &g, io->in[0], grids, (uint64_t *)(void *)(scratch + s.copy),
                         (uint64_t *)(void *)(scratch + s.mask));
    ebnn_wide_group_t group;
    group.planes = planes;
    group.bits = p->in_bits;
    group.area = ebnn_wide_area(p->in_bits, g.elements);
    const ebnn_parts_t part = ebnn_parts(io, g.blocks, p->groups, 1);
    const uint16_t *lists = p->lists; /* of the part's first group */
    const uint32_t slots = 2u * p->classes;
    const uint32_t more = p->classes == 4u ? 2u : p->classes == 8u ? 3u : 4u; /* bits of a sum of classes */
    for (uint32_t i = 0; i < slots * part.columns.begin; i++) {
        lists += 8u * p->batches[i];
    }
    for (uint32_t b = part.rows.begin; b < part.rows.end; b++) {
        ebnn_wide_block_t block = {b * EBNN_LANE_PIXELS, EBNN_LANE_PIXELS, g.pixels, 0, 0};
        if (g.pixels - block.first < block.n) {
            block.n = g.pixels - block.first;
        }
        if (p->border_starts != NULL) {
            block.masks_from = p->border_starts[b];
            block.masks_to = p->border_starts[b + 1u];
        }
#ifdef EBNN_WIDE_PAIRS /* few pixels of 2-bit activations: both bits in one lane */
        const int halves = p->in_bits == 2u && 2u * block.n <= EBNN_LANE_PIXELS;
        group.bits = halves ? 1u : p->in_bits;
        if (halves) {
            ebnn_wide_fill_halves(p, &g, grids, block.first, planes);
        } else {
            ebnn_wide_fill(p, &g, grids, block.first, planes);
        }
#else
        ebnn_wide_fill(p, &g, grids, block.first, planes);
#endif
        group.list = lists;
        group.batches = p->batches + slots * part.columns.begin;
        for (uint32_t i = part.columns.begin; i < part.columns.end; i++, group.batches += slots) {
            ebnn_lane_t d[4][EBNN_WIDE_PLANES];
            const uint32_t width = p->widths[i];
            const ebnn_wide_sum_t sum =
                p->classes == 8u ? ebnn_wide_sum_of(width) : ebnn_wide_ternary_sum_of(width, p->classes);
            if (sum == NULL) {
                return EBNN_ERR_ARGUMENT;
            }
            sum(&group, d);
#ifdef EBNN_WIDE_PAIRS
            if (halves) {
                ebnn_wide_join(d, p->classes == 8u ? 4u : p->classes == 4u ? 2u : 3u, width + more);
            }
#endif
            ebnn_wide_finish(p, io, &block, i, d, width + more);
            for (uint32_t j = 0; j < slots; j++) {
                group.list += 8u * group.batches[j];
            }
        }
    }
    return EBNN_OK;
}

#endif
