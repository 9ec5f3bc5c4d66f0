/*
 * From planes and lists to outputs of a group, any parameters, one value at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "lanes.h"

/* Field of a class, words w, for pixel i of the pass; see lanes.h for the order. */
static int32_t class_sum(const ebnn_bconv_lanes_params_t *p, const uint32_t *w, uint32_t i) {
    if (p->field_bits == 4u) {
        return (int32_t)((w[(i / 8u) * 2u + (i & 1u)] >> (8u * ((i & 7u) >> 1))) & 0xFFu);
    }
    return (int32_t)((w[(i & 1u) * 2u + ((i >> 1) & 1u)] >> (16u * (i >> 2))) & 0xFFFFu);
}

void ebnn_lanes_combine(const ebnn_bconv_lanes_params_t *p, const uint8_t *counts, const uint32_t *sums,
                        ebnn_lanes_tile_t *tile) {
    const uint32_t pixels = p->field_bits == 4u ? 16u : 8u, top = ebnn_lanes_top(p);
    for (uint32_t i = 0; i < pixels; i++) {
        int32_t d[4] = {0, 0, 0, 0};
        for (uint32_t j = 0; j < EBNN_CLASSES; j++) {
            const int32_t v = class_sum(p, sums + 4u * j, i) - (int32_t)ebnn_lanes_bias(counts[j], top);
            d[0] += v;
            d[1] += (j & 1u) != 0u ? v : -v;
            d[2] += (j & 2u) != 0u ? v : -v;
            d[3] += (j & 4u) != 0u ? v : -v;
        }
        if (p->weight_kind == 1u) {
            for (uint32_t c = 0; c < 4u; c++) {
                tile->d[c][i] += d[c];
            }
        } else if (p->weight_kind == 2u) { /* w = (s0 + s1) / 2 */
            tile->d[0][i] += (d[0] + d[1]) / 2;
            tile->d[1][i] += (d[2] + d[3]) / 2;
        } else { /* w = 2 * s0 + s1 */
            tile->d[0][i] += 2 * d[0] + d[1];
            tile->d[1][i] += 2 * d[2] + d[3];
        }
    }
}

static int32_t clamp(int32_t v, int32_t low, int32_t high) {
    return v < low ? low : (v > high ? high : v);
}

static int32_t affine(const ebnn_bconv_lanes_params_t *p, int32_t d, uint32_t c) {
    int32_t t = d * p->mul[c] + ebnn_lanes_add(p->add, p->add_bytes, p->add_shift, c);
    if (p->combine != 0u) {
        const int32_t u = d * p->mul2[c] + ebnn_lanes_add(p->add2, p->add_bytes, p->add_shift, c);
        const int take_u = p->combine == 1u ? u > t : u < t;
        t = take_u ? u : t;
    }
    return t;
}

/* The codes of one channel: n of them, packed into whole words. */
static void put_nibbles(uint32_t *out, const uint8_t *code, uint32_t n) {
    for (uint32_t i = 0; i < n; i += 8u) {
        uint32_t v = 0;
        for (uint32_t lane = 0; lane < 8u && i + lane < n; lane++) {
            v |= (uint32_t)code[i + lane] << (4u * lane);
        }
        *out++ = v;
    }
}

static void finish_channel(const ebnn_bconv_lanes_params_t *p, const ebnn_io_t *io, uint32_t c,
                           uint32_t first, const int32_t *d) {
    const uint32_t pixels = (uint32_t)p->dims.out_h * p->dims.out_w;
    const uint32_t most = p->field_bits == 4u ? 16u : 8u;
    const uint32_t n = pixels - first < most ? pixels - first : most;
    const size_t at = (size_t)c * ((pixels + 3u) & ~3u) + first;
    const size_t nibbles_at = (size_t)c * ((pixels + 7u) / 8u) + first / 8u;
    uint8_t code[16];
    if (p->out_dtype == EBNN_B1) {
        for (uint32_t i = 0; i < n; i++) {
            code[i] = affine(p, d[i], c) < 0 ? 1u : 0u;
        }
        put_nibbles((uint32_t *)io->out + nibbles_at, code, n);
        return;
    }
    const uint32_t padded = (n + 3u) & ~3u;
    if (p->out_dtype == EBNN_S32) {
        int32_t *out = (int32_t *)io->out + at;
        for (uint32_t i = 0; i < padded; i++) {
            out[i] = i < n ? affine(p, d[i], c) : 0;
        }
        return;
    }
    int8_t *out = (int8_t *)io->out + at;
    const int32_t next_add =
        p->next_bits != 0u ? ebnn_lanes_add(p->next_add, p->next_add_bytes, p->next_add_shift, c) : 0;
    for (uint32_t i = 0; i < padded; i++) {
        if (i >= n) {
            out[i] = 0;
            continue;
        }
        const int32_t extra = p->residual != 0u ? ((const int8_t *)io->in[1])[at + i] : 0;
        const int32_t y = clamp((affine(p, d[i], c) >> p->shift) + extra, p->act_min, p->act_max);
        out[i] = (int8_t)y;
        if (p->next_bits != 0u) {
            const int32_t q = (y * p->next_mul[c] + next_add) >> p->next_shift;
            code[i] = (uint8_t)clamp(q, 0, (1 << p->next_bits) - 1);
        }
    }
    if (p->next_bits != 0u) {
        put_nibbles((uint32_t *)io->out2 + nibbles_at, code, n);
    }
}

void ebnn_lanes_finish(const ebnn_bconv_lanes_params_t *p, const ebnn_io_t *io, uint32_t group,
                       uint32_t first, const ebnn_lanes_tile_t *tile) {
    const uint32_t per_group = p->weight_kind == 1u ? 4u : 2u;
    for (uint32_t i = 0; i < per_group && group * per_group + i < p->dims.out_c; i++) {
        finish_channel(p, io, group * per_group + i, first, tile->d[i]);
    }
}

const uint16_t *ebnn_lanes_group(const ebnn_lanes_job_t *job) {
    const ebnn_bconv_lanes_params_t *p = job->p;
    const uint32_t top = ebnn_lanes_top(p), per_pass = p->field_bits == 4u ? 16u : 8u;
    const ebnn_lanes_sum_t sum = job->parts->sums[top == 1u ? 0 : top == 3u ? 1 : 2];
    const uint8_t *base = job->base;
    const uint16_t *list = job->list;
    for (uint32_t at = 0; at < job->n; at += per_pass, base += 8) {
        const uint8_t *counts = job->counts;
        uint32_t sums[4u * EBNN_CLASSES];
        ebnn_lanes_tile_t tile;
        memset(&tile, 0, sizeof tile);
        list = job->list;
        for (uint32_t i = 0; i < job->chunks; i++, counts += EBNN_CLASSES) {
            list = sum(list, counts, base, sums);
            ebnn_lanes_combine(p, counts, sums, &tile);
        }
        ebnn_lanes_finish(p, job->io, job->group, job->first + at, &tile);
    }
    return list;
}
