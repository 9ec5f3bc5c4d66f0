/*
 * Binary convolution on bit planes by buckets with sums of up to 7 bits, tuned for the Cortex-M4, M7 and M33.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_kernels.h"

#include "../core/bits_driver.h"
#include "bbits_words.h"

uint32_t ebnn_bconv2d_bits_buckets__cortex_m4_get_buffer_size(const void *params) {
    return ebnn_bits_buffer_size(params);
}

/* The last group, of fewer than four channels: word by word. */
static void few_channels(ebnn_bits_job_t *job, uint32_t channels, uint32_t *out, uint32_t stride) {
    const uint32_t words = job->words, last_mask = job->last_mask;
    const uint16_t *list = job->list;
    job->stride = 4u;
    job->words = 1u;
    for (uint32_t w = 0; w < words; w++, job->planes += job->apart / 4u) {
        uint32_t y[4];
        job->list = list;
        job->out = y;
        job->last_mask = w + 1u == words ? last_mask : ~0u;
        ebnn_bits_words7(job);
        for (uint32_t c = 0; c < channels; c++) {
            out[c * stride + w] = y[c];
        }
    }
}

ebnn_status_t ebnn_bconv2d_bits_buckets__cortex_m4(const void *params, const ebnn_io_t *io) {
    const ebnn_bconv_bits_params_t *p = params;
    const uint32_t k = ebnn_bits_k(p);
    const uint32_t pixels = (uint32_t)p->dims.out_h * p->dims.out_w;
    const uint32_t stride = (pixels + 31u) / 32u;
    uint32_t *planes = io->scratch;
    uint32_t *masks = planes + 2u * (k + 1u) * p->block_words;
    uint16_t *buffer = (uint16_t *)(masks + 2u * p->block_words);
    ebnn_bits_job_t job;
    job.apart = 8u * (k + 1u);
    job.bits = p->bits;
    for (uint32_t block = 0; block < pixels; block += 32u * p->block_words) {
        const uint32_t left = pixels - block;
        const uint32_t live = left < 32u * p->block_words ? left : 32u * p->block_words;
        ebnn_bits_fill(p, io->in[0], block, planes, masks, ebnn_bits_shift_one__cortex_m4,
                       ebnn_bits_shift__cortex_m4);
        job.words = (live + 31u) / 32u;
        job.last_mask = 0xFFFFFFFFu >> (-live & 31u);
        job.list = p->lists;
        job.runs = p->runs;
        job.planes = planes;
        job.stride = 4u * stride;
        uint32_t *out = (uint32_t *)io->out + block / 32u;
        uint32_t channels = p->dims.out_c;
        for (uint32_t group = 0; group < p->groups; group++) {
            if (p->lists == NULL) {
                ebnn_bits_sort__cortex_m4(p->codes + (k + 7u) / 8u * group, k, p->counts + 16u * group,
                                          buffer);
                job.list = buffer;
            }
            job.flags = p->flags[group];
            if (channels < 4u) {
                few_channels(&job, channels, out, stride);
                break;
            }
            job.out = out;
            ebnn_bits_words7(&job);
            job.runs += 2u * EBNN_BITS_RUNS;
            out += 4u * stride;
            channels -= 4u;
        }
    }
    return EBNN_OK;
}
