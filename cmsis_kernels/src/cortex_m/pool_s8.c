/*
 * s8 max and average pools with the DSP extension: four channels a word, compared by SSUB8 and SEL, added in
 * halves by SXTAB16. The channels behind the last whole word are computed with those before them, in a word
 * that overlaps it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../core/pool_window.h"
#include "ebnn_acle.h"
#include "ebnn_kernels.h"

#define AVERAGE_MOST 256u /* pixels of a window */

/* Channels i .. i + 3 of the next word: the last one ends at the last channel. */
static inline uint32_t next_word(uint32_t i, uint32_t channels) {
    return i + 4u <= channels ? i : channels - 4u;
}

static inline uint32_t in_all_bytes(int32_t v) {
    return (uint32_t)(uint8_t)v * 0x01010101u;
}

/* The window's pixels, rows of `columns` channels apart from `row` to `end`. */
typedef struct {
    const int8_t *first;
    uint32_t rows, columns; /* in pixels */
    uint32_t pixel, row;    /* bytes from one pixel or row to the next */
} pixels_t;

static inline pixels_t pixels_of(const ebnn_conv_dims_t *d, uint32_t pixel, const int8_t *in) {
    const ebnn_window_t w = ebnn_window_at(d, pixel / d->out_w, pixel % d->out_w);
    const pixels_t r = {in + (w.y0 * d->in_w + w.x0) * d->in_c, w.y1 - w.y0, w.x1 - w.x0, d->in_c,
                        (uint32_t)d->in_w * d->in_c};
    return r;
}

static inline void max_8(const pixels_t *p, const int8_t *in, uint32_t low, uint32_t high, int8_t *out) {
    uint32_t a = low, b = low;
    for (uint32_t y = 0; y < p->rows; y++, in += p->row) {
        const int8_t *at = in;
        for (uint32_t x = p->columns; x != 0u; x--, at += p->pixel) {
            a = ebnn_max_s8x4(a, ebnn_load32(at));
            b = ebnn_max_s8x4(b, ebnn_load32(at + 4));
        }
    }
    ebnn_store32(out, ebnn_min_s8x4(a, high));
    ebnn_store32(out + 4, ebnn_min_s8x4(b, high));
}

static inline void max_4(const pixels_t *p, const int8_t *in, uint32_t low, uint32_t high, int8_t *out) {
    uint32_t a = low;
    for (uint32_t y = 0; y < p->rows; y++, in += p->row) {
        const int8_t *at = in;
        for (uint32_t x = p->columns; x != 0u; x--, at += p->pixel) {
            a = ebnn_max_s8x4(a, ebnn_load32(at));
        }
    }
    ebnn_store32(out, ebnn_min_s8x4(a, high));
}

/* in, out: s8 NHWC of 4 channels or more. */
ebnn_status_t ebnn_max_pool2d_s8__cortex_m4(const void *params, const ebnn_io_t *io) {
    const ebnn_pool_params_t *p = params;
    const ebnn_conv_dims_t *d = &p->dims;
    const uint32_t channels = d->in_c;
    const uint32_t low = in_all_bytes(p->act_min), high = in_all_bytes(p->act_max);
    int8_t *out = io->out;
    if (channels < 4u) {
        return EBNN_ERR_ARGUMENT;
    }
    for (uint32_t pixel = 0; pixel < (uint32_t)d->out_h * d->out_w; pixel++, out += channels) {
        const pixels_t w = pixels_of(d, pixel, io->in[0]);
        uint32_t i = 0;
        for (; i + 8u <= channels; i += 8u) {
            max_8(&w, w.first + i, low, high, out + i);
        }
        for (; i < channels; i += 4u) {
            const uint32_t c = next_word(i, channels);
            max_4(&w, w.first + c, low, high, out + c);
        }
    }
    return EBNN_OK;
}

/* How sums become means: with u = sum + bias >= 0, less 1 where `even` and the sum is negative (so that
 * halves are rounded away from zero), the mean + 128 is u / count = u * factor >> 24, exact for u < 2^16 and
 * counts up to AVERAGE_MOST as factor * count - 2^24 < count. */
typedef struct {
    uint32_t factor;
    int32_t bias;
    uint32_t even;
} mean_t;

static inline mean_t mean_of(uint32_t count) {
    const mean_t r = {count == 0u ? 0u : ((1u << 24) + count - 1u) / count,
                      (int32_t)(128u * count + count / 2u), count % 2u == 0u ? 1u : 0u};
    return r;
}

static inline uint32_t mean(const mean_t *m, int32_t sum) {
    return ((uint32_t)(sum + m->bias) - (m->even & (uint32_t)(sum >> 31))) * m->factor >> 24;
}

/* Means of four sums: halves of bytes 0 and 2, of 1 and 3. */
static inline uint32_t mean_4(const mean_t *m, uint32_t even, uint32_t odd) {
    const uint32_t q = mean(m, (int16_t)even) | mean(m, (int16_t)odd) << 8 |
                       mean(m, (int32_t)even >> 16) << 16 | mean(m, (int32_t)odd >> 16) << 24;
    return q ^ 0x80808080u;
}

static inline uint32_t average_4(const pixels_t *p, const int8_t *in, const mean_t *m) {
    uint32_t even = 0, odd = 0;
    for (uint32_t y = 0; y < p->rows; y++, in += p->row) {
        const int8_t *at = in;
        for (uint32_t x = p->columns; x != 0u; x--, at += p->pixel) {
            const uint32_t v = ebnn_load32(at);
            even = ebnn_sxtab16(even, v);
            odd = ebnn_sxtab16_ror8(odd, v);
        }
    }
    return mean_4(m, even, odd);
}

/* in, out: s8 NHWC of 4 channels or more, windows of at most AVERAGE_MOST pixels. */
ebnn_status_t ebnn_avg_pool2d_s8__cortex_m4(const void *params, const ebnn_io_t *io) {
    const ebnn_pool_params_t *p = params;
    const ebnn_conv_dims_t *d = &p->dims;
    const uint32_t channels = d->in_c;
    const uint32_t low = in_all_bytes(p->act_min), high = in_all_bytes(p->act_max);
    int8_t *out = io->out;
    mean_t m = mean_of(0);
    uint32_t count = 0;
    if (channels < 4u || (uint32_t)d->kernel_h * d->kernel_w > AVERAGE_MOST) {
        return EBNN_ERR_ARGUMENT;
    }
    for (uint32_t pixel = 0; pixel < (uint32_t)d->out_h * d->out_w; pixel++, out += channels) {
        const pixels_t w = pixels_of(d, pixel, io->in[0]);
        if (w.rows * w.columns != count) {
            count = w.rows * w.columns;
            m = mean_of(count);
        }
        for (uint32_t i = 0; i < channels; i += 4u) {
            const uint32_t c = next_word(i, channels);
            const uint32_t q = average_4(&w, w.first + c, &m);
            ebnn_store32(out + c, ebnn_min_s8x4(ebnn_max_s8x4(q, low), high));
        }
    }
    return EBNN_OK;
}
