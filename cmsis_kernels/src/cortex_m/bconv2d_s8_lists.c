/*
 * Low-bit weights x s8 activations by lists (see ebnn_bconv_s8_params_t), for cores with the DSP extension.
 * Sixteen pixels are transposed to rows of bytes, one row a product; every group of output channels runs over
 * them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../portable/ebnn_epilogue.h"
#include "ebnn_acle.h"
#include "ebnn_kernels.h"
#include "ebnn_s8.h"
#include "ebnn_s8_lists.h"

#define LANES 16u
#define MAX_GROUP 4u

/* The 4x4 bytes of four pixels (a..d) and four channels, written as four rows LANES bytes apart. */
static inline void transpose(uint32_t a, uint32_t b, uint32_t c, uint32_t d, int8_t *to) {
    const uint32_t even = 0x00FF00FFu;
    const uint32_t ab0 = (a & even) | (b & even) << 8;
    const uint32_t ab1 = (a >> 8 & even) | (b & ~even);
    const uint32_t cd0 = (c & even) | (d & even) << 8;
    const uint32_t cd1 = (c >> 8 & even) | (d & ~even);
    ebnn_store32(to, ebnn_pkhbt16(ab0, cd0));
    ebnn_store32(to + LANES, ebnn_pkhbt16(ab1, cd1));
    ebnn_store32(to + 2u * LANES, ebnn_pkhtb16(ab0, cd0));
    ebnn_store32(to + 3u * LANES, ebnn_pkhtb16(ab1, cd1));
}

/* Rows of one tap for four pixels; from: their channels, NULL outside the image; step 0 repeats the padding
 * word. */
static void gather_tap(const int8_t *const *from, uint32_t channels, uint32_t padding, int8_t *rows) {
    const int8_t *p[4];
    uint32_t step[4];
    for (uint32_t i = 0; i < 4u; i++) {
        p[i] = from[i] != NULL ? from[i] : (const int8_t *)&padding;
        step[i] = from[i] != NULL ? 4u : 0u;
    }
    for (; channels >= 4u; channels -= 4u, rows += 4u * LANES) {
        const uint32_t a = ebnn_load32(p[0]);
        const uint32_t b = ebnn_load32(p[1]);
        const uint32_t c = ebnn_load32(p[2]);
        const uint32_t d = ebnn_load32(p[3]);
        transpose(a, b, c, d, rows);
        p[0] += step[0];
        p[1] += step[1];
        p[2] += step[2];
        p[3] += step[3];
    }
    for (uint32_t c = 0; c < channels; c++, rows += LANES) {
        for (uint32_t i = 0; i < 4u; i++) {
            rows[i] = p[i][step[i] != 0u ? c : 0u];
        }
    }
}

/* All rows of the pixels first .. first + 15; pixels past the end repeat the last one. */
static void gather(const ebnn_conv_dims_t *d, const int8_t *in, uint32_t first, int8_t padding_value,
                   int8_t *rows) {
    const uint32_t pixels = (uint32_t)d->out_h * d->out_w;
    const uint32_t padding = (uint8_t)padding_value * 0x01010101u;
    const uint32_t lanes = pixels - first < LANES ? pixels - first : LANES;
    for (uint32_t lane = 0; lane < lanes;
         lane += 4u) { /* unused lanes keep what they hold: never read back */
        int32_t y[4], x[4];
        for (uint32_t i = 0; i < 4u; i++) {
            const uint32_t pixel = first + lane + i < pixels ? first + lane + i : pixels - 1u;
            y[i] = (int32_t)(pixel / d->out_w * d->stride_h) - d->pad_h;
            x[i] = (int32_t)(pixel % d->out_w * d->stride_w) - d->pad_w;
        }
        int8_t *to = rows + lane;
        for (uint32_t ky = 0; ky < d->kernel_h; ky++) {
            for (uint32_t kx = 0; kx < d->kernel_w; kx++, to += LANES * d->in_c) {
                const int8_t *from[4];
                for (uint32_t i = 0; i < 4u; i++) {
                    const int32_t ty = y[i] + (int32_t)(ky * d->dilation_h);
                    const int32_t tx = x[i] + (int32_t)(kx * d->dilation_w);
                    const int inside = ty >= 0 && ty < d->in_h && tx >= 0 && tx < d->in_w;
                    from[i] = inside ? in + (ty * d->in_w + tx) * d->in_c : NULL;
                }
                gather_tap(from, d->in_c, padding, to);
            }
        }
    }
}

/* Adds the class sums of one channel to its accumulators, `coefficients` `group` apart. */
static void combine(const uint32_t *sums, const int8_t *coefficients, uint32_t classes, uint32_t group,
                    int32_t *acc) {
    for (; classes != 0u; classes--, sums += 8, coefficients += group) {
        const uint32_t factor = (uint32_t)(int32_t)*coefficients;
        if (factor == 0u) {
            continue;
        }
        for (uint32_t i = 0; i < 8u; i++) {
            const uint32_t pixel = i / 2u * 4u + i % 2u;
            acc[pixel] = ebnn_smlabb16(sums[i], factor, acc[pixel]);
            acc[pixel + 2u] = ebnn_smlatb16(sums[i], factor, acc[pixel + 2u]);
        }
    }
}

/* Where an output lies: bytes or words between pixels and channels. */
static uint32_t pixel_step(const ebnn_bconv_s8_params_t *p) {
    return p->out_layout == EBNN_CHW ? 1u : p->dims.out_c;
}

static uint32_t channel_step(const ebnn_bconv_s8_params_t *p) {
    const uint32_t pixels = (uint32_t)p->dims.out_h * p->dims.out_w;
    return p->out_layout == EBNN_CHW ? ((pixels + 3u) & ~3u) : 1u;
}

/* Packed codes of one channel: words [pixel][bit][ceil(out_c / 32)]. */
static void store_bits(const ebnn_bconv_s8_params_t *p, const int32_t *acc, uint32_t first, uint32_t n,
                       uint32_t c, uint32_t *out) {
    const ebnn_epilogue_t *e = &p->epilogue;
    const uint32_t words = (p->dims.out_c + 31u) / 32u;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t *to = out + (first + i) * words * e->out_dtype;
        const uint32_t code = e->out_dtype == EBNN_B1 ? ebnn_epilogue_bit(e, acc[i], c)
                                                      : (uint32_t)ebnn_epilogue_code(e, acc[i], c, 0);
        for (uint32_t bit = 0; bit < e->out_dtype; bit++) {
            uint32_t *word = &to[bit * words + c / 32u];
            const uint32_t before = c % 32u == 0u ? 0u : *word; /* the first channel of a word clears it */
            *word = before | (code >> bit & 1u) << (c % 32u);
        }
    }
}

/* s8 outputs of one channel. */
static void store_s8(const ebnn_bconv_s8_params_t *p, const int32_t *acc, uint32_t first, uint32_t n,
                     uint32_t c, const int8_t *residual, int8_t *out) {
    const ebnn_epilogue_t *e = &p->epilogue;
    const uint32_t step = pixel_step(p);
    const uint32_t at = first * step + c * channel_step(p);
    const int32_t low = e->act_min;
    const int32_t high = e->act_max;
    out += at;
    if (residual != NULL) {
        residual += at;
    }
    if (e->combine == 0u) {
        const int32_t mul = e->mul[c];
        const int32_t add = e->add[c];
        for (uint32_t i = 0; i < n; i++, out += step) {
            int32_t y = (acc[i] * mul + add) >> e->shift;
            if (residual != NULL) {
                y += *residual;
                residual += step;
            }
            *out = (int8_t)ebnn_clamp(y, low, high);
        }
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        out[i * step] = (int8_t)ebnn_epilogue_code(e, acc[i], c, residual != NULL ? residual[i * step] : 0);
    }
}

static void store(const ebnn_bconv_s8_params_t *p, const ebnn_io_t *io, const int32_t *acc, uint32_t first,
                  uint32_t n, uint32_t c) {
    if (p->epilogue.out_dtype == EBNN_S8) {
        store_s8(p, acc, first, n, c, p->epilogue.residual != 0u ? io->in[1] : NULL, io->out);
    } else if (p->epilogue.out_dtype == EBNN_S32) {
        int32_t *out = (int32_t *)io->out + first * pixel_step(p) + c * channel_step(p);
        for (uint32_t i = 0; i < n; i++) {
            out[i * pixel_step(p)] = acc[i];
        }
    } else {
        store_bits(p, acc, first, n, c, io->out);
    }
}

/* The elements after the last pixel of a CHW row are 0. */
static void clear_tails(const ebnn_bconv_s8_params_t *p, void *out) {
    const uint32_t pixels = (uint32_t)p->dims.out_h * p->dims.out_w;
    const uint32_t row = channel_step(p);
    for (uint32_t c = 0; p->out_layout == EBNN_CHW && c < p->dims.out_c; c++) {
        for (uint32_t i = pixels; i < row; i++) {
            if (p->epilogue.out_dtype == EBNN_S8) {
                ((int8_t *)out)[c * row + i] = 0;
            } else {
                ((int32_t *)out)[c * row + i] = 0;
            }
        }
    }
}

static uint32_t depth(const ebnn_conv_dims_t *d) {
    return (uint32_t)d->kernel_h * d->kernel_w * d->in_c;
}

uint32_t ebnn_bconv2d_s8_lists__cortex_m4_get_buffer_size(const void *params) {
    const ebnn_bconv_s8_params_t *p = params;
    return LANES * depth(&p->dims) + 32u * p->classes + 4u * LANES * MAX_GROUP;
}

/* in: s8 NHWC, and the residual in the output's layout; out: s8 or s32 in out_layout, b1 or u2..u4 NHWC. */
ebnn_status_t ebnn_bconv2d_s8_lists__cortex_m4(const void *params, const ebnn_io_t *io) {
    const ebnn_bconv_s8_params_t *p = params;
    const ebnn_conv_dims_t *d = &p->dims;
    const uint32_t pixels = (uint32_t)d->out_h * d->out_w;
    int8_t *rows = io->scratch;
    uint32_t *sums = (uint32_t *)(void *)(rows + LANES * depth(d));
    int32_t *acc = (int32_t *)(sums + 8u * p->classes);
    if (p->group == 0u || p->group > MAX_GROUP) {
        return EBNN_ERR_ARGUMENT;
    }
    for (uint32_t first = 0; first < pixels; first += LANES) {
        const uint32_t n = pixels - first < LANES ? pixels - first : LANES;
        ebnn_s8_lists_t lists = {.list = p->lists, .counts = p->counts, .sums = sums};
        gather(d, io->in[0], first, (int8_t)-p->input_offset, rows);
        for (uint32_t c = 0; c < d->out_c; c += p->group) {
            const uint32_t channels = d->out_c - c < p->group ? d->out_c - c : p->group;
            for (uint32_t i = 0; i < channels; i++) {
                for (uint32_t lane = 0; lane < LANES; lane++) {
                    acc[i * LANES + lane] = p->bias[c + i];
                }
            }
            for (uint32_t pass = 0; pass < p->passes; pass++) {
                lists.rows = rows + LANES * pass * p->pass_depth;
                lists.counts_end = lists.counts + 2u * p->classes;
                lists.list = ebnn_s8_list_sums(&lists);
                lists.counts = lists.counts_end;
                for (uint32_t i = 0; i < channels; i++) {
                    combine(sums, p->coefficients + i, p->classes, p->group, acc + i * LANES);
                }
            }
            for (uint32_t i = 0; i < channels; i++) {
                store(p, io, acc + i * LANES, first, n, c + i);
            }
        }
    }
    clear_tails(p, io->out);
    return EBNN_OK;
}
