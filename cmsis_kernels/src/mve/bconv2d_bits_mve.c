/*
 * Binary convolution on bit planes with MVE (Cortex-M55, M85): 128 pixels at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../cortex_m/bbits_m4.h"
#include "ebnn_kernels.h"
#include "ebnn_mve_bits.h"

/* Scratch, in this order; totals and all: minority, temp: buckets, buffer: lists of a group built at run
 * time. */
typedef struct {
    uint32_t *planes, *masks, *sums, *temp, *totals;
    uint16_t *all, *buffer;
} scratch_t;

static inline uint32_t total_words(const ebnn_bconv_bits_params_t *p) {
    return p->way == EBNN_BITS_MINORITY ? EBNN_QUAD * EBNN_BITS_TOTAL * ebnn_mve_bits_quads(p) : 0u;
}

static inline uint32_t temp_words(const ebnn_bconv_bits_params_t *p) {
    return p->way == EBNN_BITS_BUCKETS ? ebnn_mve_bits_temp(p->bits) : 0u;
}

/* Entries of the list of all planes; even. */
static inline uint32_t all_entries(const ebnn_bconv_bits_params_t *p) {
    return p->way == EBNN_BITS_MINORITY ? 2u * (ebnn_bits_k(p) / 2u + 1u) : 0u;
}

uint32_t ebnn_bconv2d_bits__mve_get_buffer_size(const void *params) {
    const ebnn_bconv_bits_params_t *p = params;
    const uint32_t quads = ebnn_mve_bits_quads(p);
    const uint32_t words = (ebnn_mve_bits_apart(p) + 2u * EBNN_QUAD) * quads +
                           EBNN_QUAD * EBNN_BITS_RUNS * p->bits + temp_words(p) + total_words(p);
    const uint32_t list = p->lists == NULL ? (2u * p->list_size + 3u) & ~3u : 0u;
    return 4u * words + 2u * all_entries(p) + list;
}

/* Sums of all planes of every quad, from total_start. */
static void sum_all(const ebnn_bconv_bits_params_t *p, const scratch_t *s) {
    const uint32_t k = ebnn_bits_k(p);
    const uint16_t run[2] = {(uint16_t)((k + 1u) / 2u), p->total_start};
    for (uint32_t i = 0; i <= k; i++) {
        s->all[i] = (uint16_t)(8u * i + 4u);
    }
    for (uint32_t quad = 0; quad < ebnn_mve_bits_quads(p); quad++) {
        ebnn_mve_bits_sum_of(EBNN_BITS_TOTAL)(s->all, s->planes + ebnn_mve_bits_apart(p) * quad, run, 1,
                                              s->totals + EBNN_QUAD * EBNN_BITS_TOTAL * quad);
    }
}

/* The lists of a group's runs in the buffer. */
static void build(const ebnn_bconv_bits_params_t *p, uint32_t group, uint16_t *buffer) {
    const uint32_t k = ebnn_bits_k(p);
    if (p->way == EBNN_BITS_BUCKETS) {
        ebnn_bits_sort__cortex_m4(p->codes + (k + 7u) / 8u * group, k, p->counts + 16u * group, buffer);
        return;
    }
    const uint32_t words = (p->way == EBNN_BITS_DIRECT ? 2u : 1u) * ((k + 31u) / 32u);
    const uint32_t first = EBNN_BITS_RUNS * group;
    for (uint32_t c = first; c < first + EBNN_BITS_RUNS && c < p->dims.out_c; c++) {
        buffer = ebnn_bits_collect__cortex_m4(p->codes + words * c, k, p->way, buffer);
    }
}

/* All ones in the bits of a quad that are below `live`. */
static inline uint32x4_t live_bits(uint32_t live) {
    const int32x4_t first = vreinterpretq_s32_u32(vshlq_n_u32(vidupq_n_u32(0, 8), 2));
    const int32x4_t over = vsubq_s32(vdupq_n_s32((int32_t)live - 32), first);
    const int32x4_t shift = vminq_s32(vmaxq_s32(over, vdupq_n_s32(-32)), vdupq_n_s32(0));
    return vshlq_u32(vdupq_n_u32(~0u), shift);
}

/* The quads of one group: four channels of eight runs, or up to eight channels of one. out: plane of the
 * first, stride words apart. Returns the end of the group's lists. */
static const uint16_t *run_group(const ebnn_bconv_bits_params_t *p, const scratch_t *s,
                                 ebnn_mve_bits_sum_t sum, uint32_t group, const uint16_t *list, uint32_t live,
                                 uint32_t *out, uint32_t stride) {
    const uint32_t most = p->way == EBNN_BITS_BUCKETS ? 4u : EBNN_BITS_RUNS;
    const uint32_t first = most * group;
    const uint32_t channels = p->dims.out_c - first < most ? p->dims.out_c - first : most;
    const uint32_t runs = p->way == EBNN_BITS_BUCKETS ? EBNN_BITS_RUNS : channels;
    const uint32_t *planes = s->planes;
    const uint32_t *totals = s->totals;
    const uint16_t *end = list;
    for (uint32_t done = 0; done < live; done += 32u * EBNN_QUAD) {
        const uint32x4_t mask = live_bits(live - done);
        const mve_pred16_t words = vctp32q((live - done + 31u) / 32u);
        uint32x4_t y[EBNN_BITS_RUNS];
        end = sum(list, planes, p->runs + 2u * EBNN_BITS_RUNS * group, runs, s->sums);
        if (p->way == EBNN_BITS_BUCKETS) {
            ebnn_mve_bits_buckets(s->sums, p->bits, p->flags[group], s->temp, y);
        } else if (p->way == EBNN_BITS_MINORITY) {
            for (uint32_t c = 0; c < channels; c++) {
                const uint32_t flags = p->flags[first + c];
                const uint32x4_t v = ebnn_mve_bits_compare(s->sums + EBNN_QUAD * p->bits * c, totals, p->bits,
                                                           flags & 1u, ~0u);
                y[c] = veorq_u32(v, vdupq_n_u32(0u - (flags >> 1)));
            }
        } else {
            for (uint32_t c = 0; c < channels; c++) {
                y[c] = vldrwq_u32(s->sums + EBNN_QUAD * (p->bits * (c + 1u) - 1u));
            }
        }
        uint32_t *to = out + done / 32u;
        for (uint32_t c = 0; c < channels; c++, to += stride) {
            vstrwq_p_u32(to, vandq_u32(y[c], mask), words);
        }
        planes += ebnn_mve_bits_apart(p);
        totals += EBNN_QUAD * EBNN_BITS_TOTAL;
    }
    return end;
}

ebnn_status_t ebnn_bconv2d_bits__mve(const void *params, const ebnn_io_t *io) {
    const ebnn_bconv_bits_params_t *p = params;
    const uint32_t pixels = (uint32_t)p->dims.out_h * p->dims.out_w;
    const uint32_t stride = (pixels + 31u) / 32u;
    const uint32_t channels = p->way == EBNN_BITS_BUCKETS ? 4u : EBNN_BITS_RUNS;
    const ebnn_mve_bits_sum_t sum = ebnn_mve_bits_sum_of(p->bits);
    scratch_t s;
    s.planes = io->scratch;
    s.masks = s.planes + ebnn_mve_bits_apart(p) * ebnn_mve_bits_quads(p);
    s.sums = s.masks + 2u * EBNN_QUAD * ebnn_mve_bits_quads(p);
    s.temp = s.sums + EBNN_QUAD * EBNN_BITS_RUNS * p->bits;
    s.totals = s.temp + temp_words(p);
    s.all = (uint16_t *)(s.totals + total_words(p));
    s.buffer = s.all + all_entries(p);
    for (uint32_t block = 0; block < pixels; block += 32u * p->block_words) {
        const uint32_t left = pixels - block;
        const uint32_t live = left < 32u * p->block_words ? left : 32u * p->block_words;
        const uint16_t *list = p->lists;
        ebnn_mve_bits_fill(p, io->in[0], block, s.planes, s.masks);
        if (p->way == EBNN_BITS_MINORITY) {
            sum_all(p, &s);
        }
        for (uint32_t group = 0; group < p->groups; group++) {
            if (p->lists == NULL) {
                build(p, group, s.buffer);
                list = s.buffer;
            }
            uint32_t *out = (uint32_t *)io->out + channels * group * stride + block / 32u;
            list = run_group(p, &s, sum, group, list, live, out, stride);
        }
    }
    return EBNN_OK;
}
