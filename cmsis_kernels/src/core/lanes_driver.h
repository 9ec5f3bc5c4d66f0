/*
 * The loops of the lanes kernels over blocks, groups, passes and chunks; a processor's kernel gives the inner
 * parts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_LANES_DRIVER_H
#define EBNN_LANES_DRIVER_H

#include <string.h>

#include "lanes.h"

typedef struct {
    ebnn_lanes_shift_t shift;
    void (*sort)(const uint32_t *codes, uint32_t n, const uint8_t *counts, uint32_t weight_kind,
                 uint32_t offset, uint32_t stride, uint16_t *list);
    ebnn_lanes_sum_t sum4, sum8;   /* 4-bit and 8-bit fields */
    ebnn_lanes_group_t fast_group; /* for p->fast; may be NULL */
} ebnn_lanes_parts_t;

static inline uint32_t ebnn_lanes_buffer_size(const ebnn_bconv_lanes_params_t *p) {
    const uint32_t planes = ebnn_lanes_k(p) * ebnn_lanes_stride(p);
    const uint32_t totals = p->fast != 0u ? EBNN_LANES_TOTALS * p->block_words : 0u;
    const uint32_t list = p->lists == NULL ? (ebnn_lanes_k(p) * 2u + 3u) & ~3u : 0u;
    return planes + 8u * p->block_words + totals + list;
}

/* The list of a group, all chunks one after another, in buffer. */
static inline void ebnn_lanes_build(const ebnn_bconv_lanes_params_t *p, const ebnn_lanes_parts_t *parts,
                                    const uint32_t *codes, const uint8_t *counts, uint16_t *buffer) {
    const uint32_t k = ebnn_lanes_k(p);
    const uint32_t stride = ebnn_lanes_stride(p);
    for (uint32_t start = 0; start < k; start += p->chunk_k) {
        const uint32_t n = k - start < p->chunk_k ? k - start : p->chunk_k;
        parts->sort(codes + start / 8u, n, counts, p->weight_kind, start * stride, stride, buffer);
        buffer += ebnn_lanes_entries(counts);
        counts += 16;
    }
}

static inline void ebnn_lanes_pass(const ebnn_bconv_lanes_params_t *p, const ebnn_io_t *io,
                                   const ebnn_lanes_parts_t *parts, uint32_t group, uint32_t first,
                                   const uint16_t *list, const uint8_t *counts, const uint8_t *base) {
    const ebnn_lanes_sum_t sum = p->field_bits == 4u ? parts->sum4 : parts->sum8;
    ebnn_lanes_sums_t sums;
    ebnn_lanes_tile_t tile;
    memset(&tile, 0, sizeof tile);
    for (uint32_t i = 0; i < p->chunks; i++) {
        list = sum(list, counts, base, p->code_max, &sums);
        ebnn_lanes_combine(p, &sums, &tile);
        counts += 16;
    }
    ebnn_lanes_finish(p, io, group, first, &tile);
}

static inline ebnn_status_t ebnn_lanes_run(const ebnn_bconv_lanes_params_t *p, const ebnn_io_t *io,
                                           const ebnn_lanes_parts_t *parts) {
    const uint32_t pixels = (uint32_t)p->dims.out_h * p->dims.out_w;
    const uint32_t code_words = (ebnn_lanes_k(p) + 7u) / 8u;
    const uint32_t per_pass = p->field_bits == 4u ? 16u : 8u;
    uint32_t *planes = io->scratch;
    uint32_t *masks = planes + ebnn_lanes_k(p) * ebnn_lanes_stride(p) / 4u;
    uint32_t *totals = masks + 2u * p->block_words;
    const int fast = p->fast != 0u && parts->fast_group != NULL;
    uint16_t *buffer = (uint16_t *)(totals + (p->fast != 0u ? EBNN_LANES_TOTALS / 4u * p->block_words : 0u));
    for (uint32_t block = 0; block < pixels; block += 8u * p->block_words) {
        const uint32_t left = pixels - block;
        const uint32_t live = left < 8u * p->block_words ? left : 8u * p->block_words;
        const uint8_t *counts = p->counts;
        const uint16_t *list = p->lists;
        ebnn_lanes_fill(p, io->in[0], block, planes, masks, parts->shift);
        for (uint32_t group = 0; group < p->groups; group++) {
            if (p->lists == NULL) {
                ebnn_lanes_build(p, parts, p->codes + group * code_words, counts, buffer);
                list = buffer;
            }
            const uint8_t *base = (const uint8_t *)planes;
            if (fast) {
                parts->fast_group(p, io, group, block, live, list, counts, base, totals);
            }
            for (uint32_t at = 0; at < live && !fast; at += per_pass, base += 8) {
                ebnn_lanes_pass(p, io, parts, group, block + at, list, counts, base);
            }
            for (uint32_t i = 0; i < p->chunks; i++, counts += 16) {
                list += ebnn_lanes_entries(counts);
            }
        }
    }
    return EBNN_OK;
}

#endif
