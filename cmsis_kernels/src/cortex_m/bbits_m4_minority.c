/*
 * Binary convolution on bit planes by the planes of the rarer sign, for layers all of whose channels are
 * within the range of ebnn_bits_minority_t, tuned for the Cortex-M4, M7 and M33.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_kernels.h"

#include "../core/bits_driver.h"
#include "bbits_m4.h"

/* s, c = sum and carry of s + x + c. */
#define FULL_ADD(s, x, c)                                                                                    \
    do {                                                                                                     \
        const uint32_t a_ = (s), u_ = a_ ^ (x), v_ = a_ ^ (c);                                               \
        (s) = u_ ^ (c);                                                                                      \
        (c) = (u_ & v_) ^ a_;                                                                                \
    } while (0)

/* The bits of the sum of n planes, from `start`, modulo 128; planes: pairs of which the second counts. */
static void sum_all(const uint32_t *planes, uint32_t n, uint32_t start, uint32_t *sum) {
    uint32_t s[7];
    for (uint32_t i = 0; i < 7u; i++) {
        s[i] = 0u - ((start >> i) & 1u);
    }
    for (planes++; n != 0u; planes += 8) {
        uint32_t a = planes[0], b = n > 2u ? planes[4] : 0u;
        FULL_ADD(s[0], n > 1u ? planes[2] : 0u, a);
        FULL_ADD(s[0], n > 3u ? planes[6] : 0u, b);
        FULL_ADD(s[1], a, b);
        for (uint32_t i = 2; i < 7u; i++) {
            const uint32_t both = s[i] & b;
            s[i] ^= b;
            b = both;
        }
        n = n > 4u ? n - 4u : 0u;
    }
    for (uint32_t i = 0; i < 7u; i++) {
        sum[i] = s[i];
    }
}

/* The flags of n channels as ebnn_bits_minority_t takes them. */
static uint32_t join(const uint8_t *flags, uint32_t n) {
    uint32_t all = 1;
    while (n != 0u) {
        all = (all << 2) | flags[--n];
    }
    return all;
}

uint32_t ebnn_bconv2d_bits_minority__cortex_m4_get_buffer_size(const void *params) {
    return ebnn_bits_buffer_size(params);
}

ebnn_status_t ebnn_bconv2d_bits_minority__cortex_m4(const void *params, const ebnn_io_t *io) {
    const ebnn_bconv_bits_params_t *p = params;
    const uint32_t k = ebnn_bits_k(p), apart = 2u * (k + 1u);
    const uint32_t pixels = (uint32_t)p->dims.out_h * p->dims.out_w;
    const uint32_t stride = (pixels + 31u) / 32u;
    uint32_t *planes = io->scratch;
    uint32_t *masks = planes + apart * p->block_words;
    uint32_t *totals = masks + 2u * p->block_words;
    uint16_t *buffer = (uint16_t *)(totals + EBNN_BITS_MOST * p->block_words);
    for (uint32_t block = 0; block < pixels; block += 32u * p->block_words) {
        const uint32_t left = pixels - block;
        const uint32_t live = left < 32u * p->block_words ? left : 32u * p->block_words;
        const uint32_t words = (live + 31u) / 32u, last_mask = 0xFFFFFFFFu >> (-live & 31u);
        ebnn_bits_fill(p, io->in[0], block, planes, masks, ebnn_bits_shift_one__cortex_m4,
                       ebnn_bits_shift__cortex_m4);
        for (uint32_t w = 0; w < words; w++) {
            sum_all(planes + apart * w, k, p->total_start, totals + EBNN_BITS_MOST * w);
        }
        const uint16_t *list = p->lists;
        for (uint32_t first = 0; first < p->dims.out_c; first += EBNN_BITS_RUNS) {
            const uint32_t rest = p->dims.out_c - first;
            const uint32_t flags = join(p->flags + first, rest < EBNN_BITS_RUNS ? rest : EBNN_BITS_RUNS);
            uint32_t *out = (uint32_t *)io->out + first * stride + block / 32u;
            if (p->lists == NULL) {
                ebnn_bits_build_channels(p, ebnn_bits_collect__cortex_m4, first, buffer);
                list = buffer;
            }
            const uint16_t *end = list;
            for (uint32_t w = 0; w < words; w++) {
                end = ebnn_bits_minority6(list, planes + apart * w, p->runs + 2u * first, flags,
                                          totals + EBNN_BITS_MOST * w, w + 1u == words ? last_mask : ~0u,
                                          out + w, stride);
            }
            list = end;
        }
    }
    return EBNN_OK;
}
