/*
 * The loops of the bits kernels with exact zero padding; a processor's kernel gives the inner parts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_BITS_ZERO_DRIVER_H
#define EBNN_BITS_ZERO_DRIVER_H

#include "bits_driver.h"

/* Sums of `n` runs from `first` on in one word whose borders have these masks, from the borders' start
 * values. Returns the end of the list. */
typedef const uint16_t *(*ebnn_bits_zero_sum_t)(const ebnn_bconv_bits_params_t *p, const uint32_t *masks,
                                                uint32_t first, uint32_t n, const uint16_t *list,
                                                const uint32_t *planes, uint32_t *sums);

/* The outputs of one group and word: up to `channels` words, stride words apart. Returns the end of the
 * lists. */
static inline const uint16_t *ebnn_bits_zero_word(const ebnn_bconv_bits_params_t *p, ebnn_bits_zero_sum_t sum,
                                                  uint32_t group, const uint16_t *list,
                                                  const uint32_t *planes, const uint32_t *masks,
                                                  uint32_t mask, uint32_t *out, uint32_t stride,
                                                  uint32_t channels) {
    uint32_t sums[EBNN_BITS_RUNS * EBNN_BITS_MOST];
    list = sum(p, masks, EBNN_BITS_RUNS * group, p->way == EBNN_BITS_BUCKETS ? EBNN_BITS_RUNS : channels,
               list, planes, sums);
    if (p->way == EBNN_BITS_BUCKETS) {
        uint32_t flags[3], y[4];
        ebnn_bits_border_flags(p, masks, group, flags);
        ebnn_bits_buckets_from(sums, p->bits, flags, mask, y, 1u);
        for (uint32_t c = 0; c < channels; c++) {
            out[c * stride] = y[c];
        }
        return list;
    }
    for (uint32_t c = 0; c < channels; c++) {
        out[c * stride] = sums[EBNN_BITS_MOST * c + p->bits - 1u] & mask;
    }
    return list;
}

/* parts: shift_one, shift, sort and collect. */
static inline ebnn_status_t ebnn_bits_run_zero(const ebnn_bconv_bits_params_t *p, const ebnn_io_t *io,
                                               const ebnn_bits_parts_t *parts, ebnn_bits_zero_sum_t sum) {
    const uint32_t k = ebnn_bits_k(p), apart = 2u * (k + 1u);
    const uint32_t pixels = (uint32_t)p->dims.out_h * p->dims.out_w;
    const uint32_t stride = (pixels + 31u) / 32u;
    const uint32_t most = p->way == EBNN_BITS_BUCKETS ? 4u : EBNN_BITS_RUNS;
    uint32_t *planes = io->scratch;
    uint32_t *masks = planes + apart * p->block_words;
    uint32_t *borders = masks + 2u * p->block_words;
    uint16_t *buffer = (uint16_t *)(borders + ebnn_bits_border_words(p) * p->block_words);
    for (uint32_t block = 0; block < pixels; block += 32u * p->block_words) {
        const uint32_t left = pixels - block;
        const uint32_t live = left < 32u * p->block_words ? left : 32u * p->block_words;
        const uint32_t words = (live + 31u) / 32u, last_mask = 0xFFFFFFFFu >> (-live & 31u);
        const uint16_t *list = p->lists;
        ebnn_bits_fill(p, io->in[0], block, planes, masks, parts->shift_one, parts->shift);
        ebnn_bits_border_masks(p, block, words, borders);
        for (uint32_t group = 0; group < p->groups; group++) {
            const uint32_t rest = p->dims.out_c - most * group;
            uint32_t *out = (uint32_t *)io->out + most * group * stride + block / 32u;
            if (p->lists == NULL) {
                ebnn_bits_build(p, parts, group, buffer);
                list = buffer;
            }
            const uint16_t *end = list;
            for (uint32_t w = 0; w < words; w++) {
                end = ebnn_bits_zero_word(
                    p, sum, group, list, planes + apart * w, borders + ebnn_bits_border_words(p) * w,
                    w + 1u == words ? last_mask : ~0u, out + w, stride, rest < most ? rest : most);
            }
            list = end;
        }
    }
    return EBNN_OK;
}

#endif
