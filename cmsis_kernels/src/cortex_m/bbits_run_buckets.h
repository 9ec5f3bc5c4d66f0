/*
 * The loops of the bits kernels by buckets with sums of up to 7 bits.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_BBITS_RUN_BUCKETS_H
#define EBNN_BBITS_RUN_BUCKETS_H

#include "../core/bits_driver.h"
#include "bbits_words.h"

/* The last group, of fewer than four channels: word by word. */
static void few_channels(ebnn_bits_job_t *job, ebnn_bits_words_t run, uint32_t channels, uint32_t *out,
                         uint32_t stride) {
    const uint32_t words = job->words, last_mask = job->last_mask;
    const uint16_t *list = job->list;
    job->stride = 4u;
    job->words = 1u;
    for (uint32_t w = 0; w < words; w++, job->planes += job->apart / 4u) {
        uint32_t y[4];
        job->list = list;
        job->out = y;
        job->last_mask = w + 1u == words ? last_mask : ~0u;
        run(job);
        if (job->starts != NULL) {
            job->starts += EBNN_BITS_BORDER;
        }
        for (uint32_t c = 0; c < channels; c++) {
            /* cppcheck-suppress uninitvar ; run() wrote it, as job->out */
            out[c * stride + w] = y[c];
        }
    }
}

/* zero: exact zero padding, with start values and flags of borders. */
static inline ebnn_status_t ebnn_bits_run_buckets(const ebnn_bconv_bits_params_t *p, const ebnn_io_t *io,
                                                  ebnn_bits_words_t run, int zero) {
    const uint32_t k = ebnn_bits_k(p);
    const uint32_t pixels = (uint32_t)p->dims.out_h * p->dims.out_w;
    const uint32_t stride = (pixels + 31u) / 32u;
    uint32_t *planes = io->scratch;
    uint32_t *masks = planes + 2u * (k + 1u) * p->block_words;
    uint32_t *borders = masks + 2u * p->block_words; /* [word][border] */
    uint32_t *starts = borders + (zero ? ebnn_bits_border_words(p) * p->block_words : 0u);
    uint16_t *buffer = (uint16_t *)(starts + (zero ? EBNN_BITS_BORDER * p->block_words : 0u));
    ebnn_bits_job_t job;
    job.starts = NULL;
    job.apart = 8u * (k + 1u);
    job.bits = p->bits;
    for (uint32_t block = 0; block < pixels; block += 32u * p->block_words) {
        const uint32_t left = pixels - block;
        const uint32_t live = left < 32u * p->block_words ? left : 32u * p->block_words;
        ebnn_bits_fill(p, io->in[0], block, planes, masks, ebnn_bits_shift_one__cortex_m4,
                       ebnn_bits_shift__cortex_m4);
        if (zero) {
            ebnn_bits_border_masks(p, block, (live + 31u) / 32u, borders);
        }
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
            if (zero) {
                job.starts = starts;
                for (uint32_t w = 0; w < job.words; w++) {
                    uint32_t *to = starts + EBNN_BITS_BORDER * w;
                    ebnn_bits_border_starts(p, borders + ebnn_bits_border_words(p) * w,
                                            EBNN_BITS_RUNS * group, EBNN_BITS_RUNS, 7u, 7u, to);
                    ebnn_bits_border_flags(p, borders + ebnn_bits_border_words(p) * w, group,
                                           to + 7u * EBNN_BITS_RUNS);
                }
            }
            if (channels < 4u) {
                few_channels(&job, run, channels, out, stride);
                break;
            }
            job.out = out;
            run(&job);
            job.runs += 2u * EBNN_BITS_RUNS;
            out += 4u * stride;
            channels -= 4u;
        }
    }
    return EBNN_OK;
}

#endif
