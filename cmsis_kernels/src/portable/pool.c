/*
 * Pools: maximum (s8, b1, u2..u4), average (s8) and global mean (s8).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../core/pool_window.h"
#include "ebnn_fixed.h"
#include "ebnn_kernels.h"
#include "ebnn_params.h"

static void max_s8(const ebnn_pool_params_t *p, const ebnn_window_t *r, const int8_t *in, int8_t *out) {
    const ebnn_conv_dims_t *d = &p->dims;
    for (uint32_t c = 0; c < d->out_c; c++) {
        int32_t best = INT8_MIN;
        for (uint32_t y = r->y0; y < r->y1; y++) {
            for (uint32_t x = r->x0; x < r->x1; x++) {
                const int32_t v = in[(y * d->in_w + x) * d->in_c + c];
                best = v > best ? v : best;
            }
        }
        out[c] = (int8_t)ebnn_clamp(best, p->act_min, p->act_max);
    }
}

/* +1 is bit 0, so the maximum of bits is their AND. */
static void max_b1(const ebnn_conv_dims_t *d, const ebnn_window_t *r, const uint32_t *in, uint32_t *out) {
    const uint32_t words = (d->in_c + 31u) / 32u;
    for (uint32_t i = 0; i < words; i++) {
        uint32_t best = UINT32_MAX;
        for (uint32_t y = r->y0; y < r->y1; y++) {
            for (uint32_t x = r->x0; x < r->x1; x++) {
                best &= in[(y * d->in_w + x) * words + i];
            }
        }
        out[i] = best;
    }
}

/* Unsigned k-bit codes, bit planes from the top: lanes still in the race keep their candidates. */
static void max_uk(const ebnn_pool_params_t *p, const ebnn_window_t *r, const uint32_t *in, uint32_t *out) {
    const ebnn_conv_dims_t *d = &p->dims;
    const uint32_t words = (d->in_c + 31u) / 32u;
    for (uint32_t i = 0; i < words * p->dtype; i++) {
        out[i] = 0;
    }
    for (uint32_t y = r->y0; y < r->y1; y++) {
        for (uint32_t x = r->x0; x < r->x1; x++) {
            const uint32_t *v = in + (y * d->in_w + x) * words * p->dtype;
            for (uint32_t i = 0; i < words; i++) {
                uint32_t greater = 0;
                uint32_t equal = UINT32_MAX;
                for (uint32_t bit = p->dtype; bit-- > 0u;) {
                    const uint32_t a = v[bit * words + i];
                    const uint32_t b = out[bit * words + i];
                    greater |= equal & a & ~b;
                    equal &= ~(a ^ b);
                }
                for (uint32_t bit = 0; bit < p->dtype; bit++) {
                    uint32_t *o = &out[bit * words + i];
                    *o = (v[bit * words + i] & greater) | (*o & ~greater);
                }
            }
        }
    }
}

/* in, out: NHWC of p->dtype. */
ebnn_status_t ebnn_max_pool2d__portable(const void *params, const ebnn_io_t *io) {
    const ebnn_pool_params_t *p = params;
    const ebnn_conv_dims_t *d = &p->dims;
    const uint32_t words = ((uint32_t)d->out_c + 31u) / 32u * p->dtype;
    for (uint32_t pixel = 0; pixel < (uint32_t)d->out_h * d->out_w; pixel++) {
        const ebnn_window_t r = ebnn_window_at(d, pixel / d->out_w, pixel % d->out_w);
        if (p->dtype == EBNN_S8) {
            max_s8(p, &r, io->in[0], (int8_t *)io->out + pixel * d->out_c);
        } else if (p->dtype == EBNN_B1) {
            max_b1(d, &r, io->in[0], (uint32_t *)io->out + pixel * words);
        } else {
            max_uk(p, &r, io->in[0], (uint32_t *)io->out + pixel * words);
        }
    }
    return EBNN_OK;
}

/* in, out: s8 NHWC; sums over the real pixels of the window, rounded half away from zero. */
ebnn_status_t ebnn_avg_pool2d_s8__portable(const void *params, const ebnn_io_t *io) {
    const ebnn_pool_params_t *p = params;
    const ebnn_conv_dims_t *d = &p->dims;
    const int8_t *in = io->in[0];
    int8_t *out = io->out;
    for (uint32_t pixel = 0; pixel < (uint32_t)d->out_h * d->out_w; pixel++) {
        const ebnn_window_t r = ebnn_window_at(d, pixel / d->out_w, pixel % d->out_w);
        const int32_t count = (int32_t)((r.y1 - r.y0) * (r.x1 - r.x0));
        for (uint32_t c = 0; c < d->out_c; c++) {
            int32_t sum = 0;
            for (uint32_t y = r.y0; y < r.y1; y++) {
                for (uint32_t x = r.x0; x < r.x1; x++) {
                    sum += in[(y * d->in_w + x) * d->in_c + c];
                }
            }
            const int32_t mean = count == 0 ? 0 : (sum + (sum > 0 ? count / 2 : -(count / 2))) / count;
            out[pixel * d->out_c + c] = (int8_t)ebnn_clamp(mean, p->act_min, p->act_max);
        }
    }
    return EBNN_OK;
}

/* in: s8 NHWC or CHW; out: s8 [1][1][C]. */
ebnn_status_t ebnn_mean_s8__portable(const void *params, const ebnn_io_t *io) {
    const ebnn_pool_params_t *p = params;
    const ebnn_conv_dims_t *d = &p->dims;
    const int8_t *in = io->in[0];
    int8_t *out = io->out;
    const uint32_t pixels = (uint32_t)d->in_h * d->in_w;
    const uint32_t stride = (pixels + 3u) & ~3u;
    for (uint32_t c = 0; c < d->in_c; c++) {
        int32_t sum = (int32_t)pixels * p->input_offset;
        for (uint32_t i = 0; i < pixels; i++) {
            sum += in[p->in_layout == EBNN_CHW ? c * stride + i : i * d->in_c + c];
        }
        const int32_t y = ebnn_requantize(sum, p->multiplier, p->shift) + p->output_offset;
        out[c] = (int8_t)ebnn_clamp(y, p->act_min, p->act_max);
    }
    return EBNN_OK;
}
