/*
 * The loops of the bits kernels over blocks, groups and words; a processor's kernel gives the inner parts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_BITS_DRIVER_H
#define EBNN_BITS_DRIVER_H

#include "bits.h"

typedef struct {
    ebnn_bits_shift_t shift_one, shift;
    ebnn_bits_sum_t sum;   /* of the layer's bits */
    ebnn_bits_sum_t total; /* of EBNN_BITS_TOTAL bits */
    ebnn_bits_sort_t sort;
    ebnn_bits_collect_t collect;
    ebnn_bits_buckets_t buckets;
    ebnn_bits_minority_t minority; /* may be NULL */
} ebnn_bits_parts_t;

static inline uint32_t ebnn_bits_buffer_size(const ebnn_bconv_bits_params_t *p) {
    const uint32_t k = ebnn_bits_k(p);
    const uint32_t planes = (8u * (k + 1u) + 8u) * p->block_words;
    const uint32_t list = p->lists == NULL ? (2u * p->list_size + 3u) & ~3u : 0u;
    const uint32_t totals =
        p->way == EBNN_BITS_MINORITY ? 4u * EBNN_BITS_MOST * p->block_words + 4u * (k / 2u + 1u) : 0u;
    return planes + list + totals;
}

static inline uint32_t ebnn_bits_zero_buffer_size(const ebnn_bconv_bits_params_t *p) {
    return ebnn_bits_buffer_size(p) + 4u * (ebnn_bits_border_words(p) + EBNN_BITS_BORDER) * p->block_words;
}

/* Sums of all planes of every word, from total_start; list: scratch of K + 1 entries. */
static inline void ebnn_bits_totals(const ebnn_bconv_bits_params_t *p, const ebnn_bits_parts_t *parts,
                                    const uint32_t *planes, uint16_t *list, uint32_t *totals) {
    const uint32_t k = ebnn_bits_k(p);
    const uint16_t run[2] = {(uint16_t)((k + 1u) / 2u), p->total_start};
    for (uint32_t i = 0; i <= k; i++) {
        list[i] = (uint16_t)(8u * i + 4u);
    }
    for (uint32_t w = 0; w < p->block_words; w++) {
        parts->total(list, planes + 2u * (k + 1u) * w, run, 1, EBNN_BITS_TOTAL, totals + EBNN_BITS_MOST * w);
    }
}

/* The flags of channels first .. first + n - 1 for parts->minority, or 0 where its range is too small. */
static inline uint32_t ebnn_bits_narrow(const ebnn_bconv_bits_params_t *p, uint32_t first, uint32_t n) {
    const int32_t k = (int32_t)ebnn_bits_k(p);
    uint32_t all = 1;
    for (uint32_t c = first + n; c-- != first;) {
        const uint32_t flags = p->flags[c];
        const int32_t entries = 2 * p->runs[2u * c]; /* or one less: an entry of zeros */
        const int32_t offset = 2 * p->runs[2u * c + 1u] + (int32_t)(flags & 1u) - p->total_start;
        if (offset + entries > 63 || offset + entries - 1 - k < -64) {
            return 0;
        }
        all = (all << 2) | flags;
    }
    return all;
}

/* The words of one group: four channels of eight runs, or up to eight channels of one. out: plane of the
 * first. Returns the end of the group's lists. */
static inline const uint16_t *ebnn_bits_group(const ebnn_bconv_bits_params_t *p,
                                              const ebnn_bits_parts_t *parts, uint32_t group,
                                              const uint16_t *list, const uint32_t *planes,
                                              const uint32_t *totals, uint32_t live, uint32_t *out,
                                              uint32_t stride) {
    const uint32_t apart = 2u * (ebnn_bits_k(p) + 1u);
    const uint32_t first = (p->way == EBNN_BITS_BUCKETS ? 4u : EBNN_BITS_RUNS) * group;
    const uint32_t most = p->way == EBNN_BITS_BUCKETS ? 4u : EBNN_BITS_RUNS;
    const uint32_t channels = p->dims.out_c - first < most ? p->dims.out_c - first : most;
    const uint32_t runs = p->way == EBNN_BITS_BUCKETS ? EBNN_BITS_RUNS : channels;
    const uint16_t *end = list;
    uint32_t sums[EBNN_BITS_RUNS * EBNN_BITS_MOST];
    for (uint32_t w = 0; 32u * w < live; w++, planes += apart, totals += EBNN_BITS_MOST) {
        const uint32_t left = live - 32u * w;
        const uint32_t mask = left < 32u ? (1u << left) - 1u : ~0u;
        end = parts->sum(list, planes, p->runs + 2u * EBNN_BITS_RUNS * group, runs, p->bits, sums);
        if (p->way == EBNN_BITS_BUCKETS) {
            uint32_t y[4];
            if (channels == 4u) {
                parts->buckets(sums, p->bits, p->flags[group], mask, out + w, stride);
                continue;
            }
            parts->buckets(sums, p->bits, p->flags[group], mask, y, 1u);
            for (uint32_t c = 0; c < channels; c++) {
                out[c * stride + w] = y[c];
            }
            continue;
        }
        const uint32_t *s = sums;
        for (uint32_t c = 0; c < channels; c++, s += EBNN_BITS_MOST) {
            uint32_t y = s[p->bits - 1u];
            if (p->way == EBNN_BITS_MINORITY) {
                const uint32_t flags = p->flags[first + c];
                y = ebnn_bits_compare(s, totals, p->bits, flags & 1u) ^ (0u - (flags >> 1));
            }
            out[c * stride + w] = y & mask;
        }
    }
    return end;
}

/* ebnn_bits_group by parts->minority where its range allows. */
static inline const uint16_t *ebnn_bits_channels(const ebnn_bconv_bits_params_t *p,
                                                 const ebnn_bits_parts_t *parts, uint32_t group,
                                                 const uint16_t *list, const uint32_t *planes,
                                                 const uint32_t *totals, uint32_t live, uint32_t *out,
                                                 uint32_t stride) {
    const uint32_t first = EBNN_BITS_RUNS * group, left_c = p->dims.out_c - first;
    const uint32_t narrow = ebnn_bits_narrow(p, first, left_c < EBNN_BITS_RUNS ? left_c : EBNN_BITS_RUNS);
    if (narrow == 0u) {
        return ebnn_bits_group(p, parts, group, list, planes, totals, live, out, stride);
    }
    const uint32_t apart = 2u * (ebnn_bits_k(p) + 1u);
    const uint16_t *end = list;
    for (uint32_t w = 0; 32u * w < live; w++, planes += apart, totals += EBNN_BITS_MOST) {
        const uint32_t left = live - 32u * w;
        const uint32_t mask = left < 32u ? (1u << left) - 1u : ~0u;
        end = parts->minority(list, planes, p->runs + 2u * first, narrow, totals, mask, out + w, stride);
    }
    return end;
}

/* The lists of channels first .. first + EBNN_BITS_RUNS - 1 in buffer. */
static inline void ebnn_bits_build_channels(const ebnn_bconv_bits_params_t *p, ebnn_bits_collect_t collect,
                                            uint32_t first, uint16_t *buffer) {
    const uint32_t k = ebnn_bits_k(p);
    const uint32_t words = (p->way == EBNN_BITS_DIRECT ? 2u : 1u) * ((k + 31u) / 32u);
    for (uint32_t c = first; c < first + EBNN_BITS_RUNS && c < p->dims.out_c; c++) {
        buffer = collect(p->codes + words * c, k, p->way, buffer);
    }
}

/* The lists of a group's runs in buffer. */
static inline void ebnn_bits_build(const ebnn_bconv_bits_params_t *p, const ebnn_bits_parts_t *parts,
                                   uint32_t group, uint16_t *buffer) {
    const uint32_t k = ebnn_bits_k(p);
    if (p->way == EBNN_BITS_BUCKETS) {
        parts->sort(p->codes + (k + 7u) / 8u * group, k, p->counts + 16u * group, buffer);
        return;
    }
    ebnn_bits_build_channels(p, parts->collect, EBNN_BITS_RUNS * group, buffer);
}

static inline ebnn_status_t ebnn_bits_run(const ebnn_bconv_bits_params_t *p, const ebnn_io_t *io,
                                          const ebnn_bits_parts_t *parts) {
    const uint32_t k = ebnn_bits_k(p);
    const uint32_t pixels = (uint32_t)p->dims.out_h * p->dims.out_w;
    const uint32_t stride = (pixels + 31u) / 32u;
    const uint32_t channels = p->way == EBNN_BITS_BUCKETS ? 4u : EBNN_BITS_RUNS;
    uint32_t *planes = io->scratch;
    uint32_t *masks = planes + 2u * (k + 1u) * p->block_words;
    uint32_t *totals = masks + 2u * p->block_words;
    uint16_t *all = (uint16_t *)(totals + EBNN_BITS_MOST * p->block_words);
    uint16_t *buffer = (uint16_t *)totals;
    if (p->way == EBNN_BITS_MINORITY) {
        buffer = all + 2u * (k / 2u + 1u);
    }
    for (uint32_t block = 0; block < pixels; block += 32u * p->block_words) {
        const uint32_t left = pixels - block;
        const uint32_t live = left < 32u * p->block_words ? left : 32u * p->block_words;
        const uint16_t *list = p->lists;
        ebnn_bits_fill(p, io->in[0], block, planes, masks, parts->shift_one, parts->shift);
        if (p->way == EBNN_BITS_MINORITY) {
            ebnn_bits_totals(p, parts, planes, all, totals);
        }
        for (uint32_t group = 0; group < p->groups; group++) {
            if (p->lists == NULL) {
                ebnn_bits_build(p, parts, group, buffer);
                list = buffer;
            }
            uint32_t *out = (uint32_t *)io->out + channels * group * stride + block / 32u;
            if (p->way == EBNN_BITS_MINORITY && parts->minority != NULL) {
                list = ebnn_bits_channels(p, parts, group, list, planes, totals, live, out, stride);
            } else {
                list = ebnn_bits_group(p, parts, group, list, planes, totals, live, out, stride);
            }
        }
    }
    return EBNN_OK;
}

#endif
