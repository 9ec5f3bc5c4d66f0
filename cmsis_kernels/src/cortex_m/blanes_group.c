/*
 * One group of output channels of the lanes kernels with the DSP extension: class sums and totals pass by
 * pass, then the epilogue channel by channel.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "blanes_dsp.h"
#include "blanes_m4.h"

/* What the totals exceed the sums D of the channels by: as totals do, from the biases of the classes. */
static void total_bias(const ebnn_lanes_job_t *job, int32_t *bias) {
    const int32_t unit = (int32_t)ebnn_lanes_bias(1u, ebnn_lanes_top(job->p));
    int32_t e0 = 0, e1 = 0, e2 = 0, e4 = 0;
    for (uint32_t i = 0; i < EBNN_CLASSES * job->chunks; i++) {
        const int32_t b = (int32_t)(job->counts[i] & 15u);
        e0 += b;
        e1 += (i & 1u) != 0u ? b : 0;
        e2 += (i & 2u) != 0u ? b : 0;
        e4 += (i & 4u) != 0u ? b : 0;
    }
    bias[0] = unit * e0;
    bias[1] = unit * (2 * e1 - e0);
    bias[2] = unit * (2 * e2 - e0);
    bias[3] = unit * (2 * e4 - e0);
}

/* The same of pairs of planes: planes of signs 0 and 1 (2 and 3) are channel 0 (1) of a group of ternary or
 * two-plane weights. */
static EBNN_COLD void join_pairs(uint32_t weight_kind, uint32_t n, uint32_t *t, int32_t *bias) {
    const int ternary = weight_kind == 2u;
    for (uint32_t i = 0; i < n; i += 2u, t += 4) {
        for (uint32_t c = 0; c < 2u; c++) {
            const uint32_t s0 = t[2u * c], s1 = t[2u * c + 1u];
            t[c] = ternary ? bl_shadd16(s0, s1) : bl_sadd16(bl_sadd16(s0, s0), s1);
        }
    }
    for (uint32_t c = 0; c < 2u; c++) {
        const int32_t s0 = bias[2u * c], s1 = bias[2u * c + 1u];
        bias[c] = ternary ? (s0 + s1) / 2 : 2 * s0 + s1; /* s0 + s1 is even */
    }
}

/* Adds the totals of a pass's further chunks. */
static EBNN_COLD const uint16_t *more_chunks(const ebnn_lanes_job_t *job, const uint16_t *list,
                                             const uint8_t *base, uint32_t *sums, uint32_t *t,
                                             uint32_t words) {
    for (uint32_t i = 1; i < job->chunks; i++) {
        uint32_t more[2u * EBNN_LANES_TOTALS / sizeof(uint32_t)];
        list = job->parts->sums[0](list, job->counts + EBNN_CLASSES * i, base, sums);
        job->parts->totals(sums, more);
        for (uint32_t k = 0; k < words; k += 4u) {
            uint32_t a = t[k], b = t[k + 1u], c = t[k + 2u], d = t[k + 3u];
            BL_TOGETHER(a, b, c, d);
            t[k] = bl_sadd16(a, more[k]);
            t[k + 1u] = bl_sadd16(b, more[k + 1u]);
            t[k + 2u] = bl_sadd16(c, more[k + 2u]);
            t[k + 3u] = bl_sadd16(d, more[k + 3u]);
        }
    }
    return list;
}

const uint16_t *ebnn_lanes_group__cortex_m4(const ebnn_lanes_job_t *job) {
    const ebnn_lanes_parts_t *parts = job->parts;
    const uint32_t pixels = job->p->field_bits == 4u ? 16u : 8u;
    const ebnn_lanes_sum_t sum = parts->sums[0];
    const uint8_t *base = job->base;
    const uint16_t *list = job->list;
    uint32_t *t = job->totals;
    uint32_t sums[4u * EBNN_CLASSES];
    int32_t bias[4];
    for (uint32_t at = 0; at < job->n; at += pixels, base += 8, t += 2u * pixels) {
        list = sum(job->list, job->counts, base, sums);
        parts->totals(sums, t);
        if (job->chunks > 1u) {
            list = more_chunks(job, list, base, sums, t, 2u * pixels);
        }
    }
    total_bias(job, bias);
    if (job->p->weight_kind != 1u) {
        join_pairs(job->p->weight_kind, (job->n + 7u) & ~7u, job->totals, bias);
    }
    parts->finish(job, bias);
    return list;
}
