/*
 * The loops of the lanes kernels over blocks, groups and chunks.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "lanes.h"

uint32_t ebnn_lanes_buffer_size(const ebnn_bconv_lanes_params_t *p) {
    const uint32_t planes = (ebnn_lanes_k(p) + 1u) * ebnn_lanes_stride(p);
    const uint32_t totals = p->fast != 0u ? EBNN_LANES_TOTALS * p->block_words : 0u;
    const uint32_t list = p->lists == NULL ? (p->list_size * 2u + 3u) & ~3u : 0u;
    return planes + 4u * p->block_words + totals + list;
}

/* The list of a group, all chunks one after another, in buffer. */
static EBNN_COLD void build(const ebnn_lanes_job_t *job, uint16_t *buffer) {
    const ebnn_bconv_lanes_params_t *p = job->p;
    const uint32_t k = ebnn_lanes_k(p), stride = ebnn_lanes_stride(p);
    const uint32_t code_words = (k + 7u) / 8u;
    const uint32_t most = 8u * ((code_words + job->chunks - 1u) / job->chunks);
    const uint32_t *codes = p->codes + job->group * code_words;
    const uint8_t *counts = job->counts;
    for (uint32_t start = 0; start < k; start += most) {
        const uint32_t n = k - start < most ? k - start : most;
        buffer =
            job->parts->sort(codes, n, counts, p->weight_kind, start * stride, stride, k * stride, buffer);
        codes += most / 8u;
        counts += EBNN_CLASSES;
    }
}

ebnn_status_t ebnn_lanes_run(const ebnn_bconv_lanes_params_t *p, const ebnn_io_t *io,
                             const ebnn_lanes_parts_t *parts) {
    const uint32_t pixels = (uint32_t)p->dims.out_h * p->dims.out_w;
    const uint32_t step = 8u * p->block_words;
    uint32_t *planes = io->scratch;
    uint32_t *masks = planes + (ebnn_lanes_k(p) + 1u) * ebnn_lanes_stride(p) / 4u;
    uint32_t *totals = masks + p->block_words;
    uint16_t *buffer = (uint16_t *)(totals + (p->fast != 0u ? EBNN_LANES_TOTALS / 4u * p->block_words : 0u));
    ebnn_lanes_job_t job = {p, io, parts, NULL, NULL, (const uint8_t *)planes, totals, 0, 0, 0, 0};
    for (; job.first < pixels; job.first += step) {
        job.n = pixels - job.first < step ? pixels - job.first : step;
        job.counts = p->counts;
        job.list = p->lists;
        ebnn_lanes_fill(p, io->in[0], job.first, planes, masks, parts->shift);
        for (job.group = 0; job.group < p->groups; job.group++) {
            job.chunks = p->chunks == 1u ? 1u : *job.counts++;
            if (p->lists == NULL) {
                job.list = buffer;
                build(&job, buffer);
            }
            job.list = parts->group(&job);
            job.counts += EBNN_CLASSES * job.chunks;
        }
    }
    return EBNN_OK;
}
