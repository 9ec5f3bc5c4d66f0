/*
 * s8 depthwise convolution for cores with the DSP extension, weights and bias as in ebnn_conv_s8_params_t.
 *
 * One input channel at a time is copied to scratch as a padded plane of 16-bit values, so that SMLAD
 * multiplies two neighbouring taps. The plane is transposed where that wastes fewer outputs: they are made in
 * pairs along a row.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_acle.h"
#include "ebnn_kernels.h"
#include "ebnn_requant.h"
#include "ebnn_s8.h"
#include "ebnn_s8_core.h"

/* One direction of the layer. */
typedef struct {
    uint32_t in, out, kernel, stride, pad, dilation;
    uint32_t touched;  /* input positions the kernel reaches, padding included */
    uint32_t in_step;  /* input bytes */
    uint32_t out_step; /* output bytes */
    uint32_t tap_step; /* weight bytes */
} axis_t;

typedef struct {
    axis_t row, column; /* across rows of the plane; along a row */
    uint32_t row_words; /* of the plane */
    uint32_t taps;      /* weight words of a kernel row: ceil((kernel + 1) / 2) */
} plane_t;

static axis_t make_axis(uint32_t in, uint32_t out, uint32_t kernel, uint32_t stride, uint32_t pad,
                        uint32_t dilation) {
    const axis_t a = {.in = in,
                      .out = out,
                      .kernel = kernel,
                      .stride = stride,
                      .pad = pad,
                      .dilation = dilation,
                      .touched = (out - 1u) * stride + (kernel - 1u) * dilation + 1u};
    return a;
}

/* Relative cost of one channel: every row has its overhead. edgebnn/plan/pack_s8.py makes the same choice. */
static uint32_t row_cost(const axis_t *row, const axis_t *column) {
    const int pairs = column->stride == 1u && column->dilation == 1u;
    return row->out * (4u + (pairs ? (column->out + 1u) / 2u * 2u : column->out * 3u));
}

static plane_t plane_of(const ebnn_conv_dims_t *d) {
    plane_t p = {.row = make_axis(d->in_h, d->out_h, d->kernel_h, d->stride_h, d->pad_h, d->dilation_h),
                 .column = make_axis(d->in_w, d->out_w, d->kernel_w, d->stride_w, d->pad_w, d->dilation_w)};
    p.row.in_step = (uint32_t)d->in_w * d->in_c;
    p.row.tap_step = (uint32_t)d->kernel_w * d->out_c;
    p.row.out_step = d->out_w;
    p.column.in_step = d->in_c;
    p.column.tap_step = d->out_c;
    p.column.out_step = 1;
    if (row_cost(&p.column, &p.row) < row_cost(&p.row, &p.column)) {
        const axis_t row = p.row;
        p.row = p.column;
        p.column = row;
    }
    p.taps = p.column.kernel / 2u + 1u;
    /* a pair of outputs reads `taps` words */
    p.row_words = ((p.column.out - 1u) * p.column.stride) / 2u + p.taps;
    if (p.row_words < (p.column.touched + 1u) / 2u) {
        p.row_words = (p.column.touched + 1u) / 2u;
    }
    return p;
}

static uint32_t plane_words(const plane_t *p) {
    return p->row.touched * p->row_words;
}

static void fill_words(uint32_t *to, uint32_t value, uint32_t n) {
    for (; n != 0u; n--) {
        *to++ = value;
    }
}

/* Copies one channel of the input; the borders of the plane stay as they are. */
static void copy_channel(const plane_t *p, const int8_t *in, int16_t *plane) {
    const axis_t *r = &p->row;
    const axis_t *c = &p->column;
    const uint32_t rows = r->touched - r->pad < r->in ? r->touched - r->pad : r->in;
    const uint32_t columns = c->touched - c->pad < c->in ? c->touched - c->pad : c->in;
    const uint32_t step = c->in_step;
    int16_t *to = plane + r->pad * p->row_words * 2u + c->pad;
    for (uint32_t y = 0; y < rows; y++, to += 2u * p->row_words, in += r->in_step) {
        const int8_t *from = in;
        int16_t *t = to;
        uint32_t n = columns;
        for (; n >= 4u; n -= 4u, t += 4) {
            const uint32_t v0 = (uint32_t)from[0];
            const uint32_t v1 = (uint32_t)from[step];
            const uint32_t v2 = (uint32_t)from[2u * step];
            const uint32_t v3 = (uint32_t)from[3u * step];
            ebnn_store32(t, ebnn_pkhbt16(v0, v1));
            ebnn_store32(t + 2, ebnn_pkhbt16(v2, v3));
            from += 4u * step;
        }
        for (; n != 0u; n--, from += step) {
            *t++ = *from;
        }
    }
}

/* The kernel of one channel as words: even[r][i] = (w[2i], w[2i + 1]) for outputs at even columns of the
 * plane, odd[r][i] = (w[2i - 1], w[2i]) for odd ones; w is 0 outside. Returns the sum of the weights. */
static int32_t load_kernel(const plane_t *p, const int8_t *weights, uint32_t *even, uint32_t *odd) {
    int32_t sum = 0;
    for (uint32_t r = 0; r < p->row.kernel; r++, weights += p->row.tap_step) {
        uint32_t before = 0;
        const int8_t *w = weights;
        for (uint32_t i = 0; i < p->taps; i++) {
            uint32_t a = 0;
            uint32_t b = 0;
            if (2u * i < p->column.kernel) {
                sum += *w;
                a = (uint32_t)*w & 0xFFFFu;
                w += p->column.tap_step;
            }
            if (2u * i + 1u < p->column.kernel) {
                sum += *w;
                b = (uint32_t)*w & 0xFFFFu;
                w += p->column.tap_step;
            }
            *even++ = a | (b << 16);
            *odd++ = before | (a << 16);
            before = b;
        }
    }
    return sum;
}

/* Sums of n pairs of a row, without bias: 3x3 kernel, stride and dilation 1 along the row. step: words
 * between kernel rows. Of each row (a, b) of four values: even output a . (w0, w1) + b_low * w2, odd a_high *
 * w0 + b . (w1, w2). */
static void sum_row_3x3(const uint32_t *x, uint32_t step, const uint32_t *even, const uint32_t *odd,
                        uint32_t n, int32_t *acc) {
    const uint32_t e0 = even[0], o0 = odd[1], e1 = even[2], o1 = odd[3], e2 = even[4], o2 = odd[5];
    /* The loop takes all 14 registers; where MVE is on, the compiler keeps lr for its own loops. */
#if EBNN_ARM_DSP && !defined(__clang__) /* all 14 registers: more than clang gives an asm statement */ &&    \
    !defined(__ARM_FEATURE_MVE)
    uint32_t a, b;
    int32_t s, t;
    step *= 4u;
    __asm volatile(
        "1:\n"
        "ldr %[a], [%[x]]\n"
        "ldr %[b], [%[x], #4]\n"
        "add %[x], %[x], %[step]\n"
        "smuad %[s], %[a], %[e0]\n"
        "smultb %[t], %[a], %[e0]\n"
        "smlabt %[s], %[b], %[o0], %[s]\n"
        "smlad %[t], %[b], %[o0], %[t]\n"
        "ldr %[a], [%[x]]\n"
        "ldr %[b], [%[x], #4]\n"
        "smlad %[s], %[a], %[e1], %[s]\n"
        "smlatb %[t], %[a], %[e1], %[t]\n"
        "smlabt %[s], %[b], %[o1], %[s]\n"
        "smlad %[t], %[b], %[o1], %[t]\n"
        "ldr %[a], [%[x], %[step]]\n"
        "add %[x], %[x], #4\n"
        "ldr %[b], [%[x], %[step]]\n"
        "sub %[x], %[x], %[step]\n"
        "smlad %[s], %[a], %[e2], %[s]\n"
        "smlatb %[t], %[a], %[e2], %[t]\n"
        "smlabt %[s], %[b], %[o2], %[s]\n"
        "smlad %[t], %[b], %[o2], %[t]\n"
        "strd %[s], %[t], [%[acc]], #8\n"
        "subs %[n], %[n], #1\n"
        "bne 1b\n"
        : [x] "+r"(x), [n] "+r"(n), [acc] "+r"(acc), [a] "=&r"(a), [b] "=&r"(b), [s] "=&r"(s), [t] "=&r"(t)
        : [step] "r"(step), [e0] "r"(e0), [o0] "r"(o0), [e1] "r"(e1), [o1] "r"(o1), [e2] "r"(e2), [o2] "r"(o2)
        : "cc", "memory");
#else
    const uint32_t e[3] = {e0, e1, e2};
    const uint32_t o[3] = {o0, o1, o2};
    for (; n != 0u; n--, x++, acc += 2) {
        acc[0] = 0;
        acc[1] = 0;
        for (uint32_t r = 0; r < 3u; r++) {
            const uint32_t a = x[r * step];
            const uint32_t b = x[r * step + 1u];
            acc[0] = ebnn_smlabt16(b, o[r], ebnn_smlad(a, e[r], acc[0]));
            acc[1] = ebnn_smlad(b, o[r], ebnn_smlatb16(a, e[r], acc[1]));
        }
    }
#endif
}

/* Sums of n outputs of a row, stride 2 and dilation 1 along it: `words` weight words a kernel row. */
static inline void sum_words(uint32_t kernel_rows, uint32_t words, uint32_t row_taps, const uint32_t *x,
                             uint32_t step, const uint32_t *even, uint32_t n, int32_t *acc) {
    for (; n != 0u; n--, x++) {
        const uint32_t *e = even;
        const uint32_t *line = x;
        int32_t s = 0;
        for (uint32_t r = kernel_rows; r != 0u; r--, line += step, e += row_taps) {
            for (uint32_t i = 0; i < words; i++) {
                s = ebnn_smlad(line[i], e[i], s);
            }
        }
        *acc++ = s;
    }
}

/* Sums of n pairs of outputs of a row, stride and dilation 1 along it. */
static inline void sum_word_pairs(uint32_t kernel_rows, uint32_t taps, const uint32_t *x, uint32_t step,
                                  const uint32_t *even, const uint32_t *odd, uint32_t n, int32_t *acc) {
    for (; n != 0u; n--, x++, acc += 2) {
        const uint32_t *e = even;
        const uint32_t *o = odd;
        const uint32_t *line = x;
        int32_t s = 0;
        int32_t t = 0;
        for (uint32_t r = kernel_rows; r != 0u; r--, line += step, e += taps, o += taps) {
            for (uint32_t i = 0; i < taps; i++) {
                const uint32_t v = line[i];
                s = ebnn_smlad(v, e[i], s);
                t = ebnn_smlad(v, o[i], t);
            }
        }
        acc[0] = s;
        acc[1] = t;
    }
}

/* Sums of one output row, dilation 1 and stride 1 or 2 along it; the usual widths are unrolled. */
static void sum_row(const plane_t *p, const uint32_t *x, uint32_t step, const uint32_t *even,
                    const uint32_t *odd, int32_t *acc) {
    const uint32_t rows = p->row.kernel;
    const uint32_t pairs = (p->column.out + 1u) / 2u;
    const uint32_t words = (p->column.kernel + 1u) / 2u;
    if (p->column.stride == 2u) {
        if (words == 2u) {
            sum_words(rows, 2u, p->taps, x, step, even, p->column.out, acc);
        } else {
            sum_words(rows, words, p->taps, x, step, even, p->column.out, acc);
        }
    } else if (rows == 3u && p->column.kernel == 3u) {
        sum_row_3x3(x, step, even, odd, pairs, acc);
    } else if (p->taps == 3u) {
        sum_word_pairs(rows, 3u, x, step, even, odd, pairs, acc);
    } else if (p->taps == 5u) {
        sum_word_pairs(rows, 5u, x, step, even, odd, pairs, acc);
    } else {
        sum_word_pairs(rows, p->taps, x, step, even, odd, pairs, acc);
    }
}

/* Sums of one output row, any stride and dilation. */
static void sum_row_any(const plane_t *p, const int16_t *x, uint32_t step, const uint32_t *even,
                        int32_t *acc) {
    for (uint32_t n = p->column.out; n != 0u; n--, x += p->column.stride) {
        int32_t s = 0;
        for (uint32_t r = 0; r < p->row.kernel; r++) {
            for (uint32_t i = 0; i < p->column.kernel; i++) {
                const uint32_t pair = even[r * p->taps + i / 2u];
                s += x[r * step * 2u + i * p->column.dilation] * (int16_t)(pair >> (16u * (i % 2u)));
            }
        }
        *acc++ = s;
    }
}

uint32_t ebnn_depthwise_conv2d_s8__cortex_m4_get_buffer_size(const void *params) {
    const ebnn_conv_s8_params_t *p = params;
    const plane_t plane = plane_of(&p->dims);
    return 4u * (plane_words(&plane) + 2u * plane.row.kernel * plane.taps + plane.column.out + 1u);
}

/* in: s8 NHWC; out: s8 NHWC or CHW; output channel oc reads input channel oc / (out_c / in_c). */
ebnn_status_t ebnn_depthwise_conv2d_s8__cortex_m4(const void *params, const ebnn_io_t *io) {
    const ebnn_conv_s8_params_t *p = params;
    const ebnn_conv_dims_t *d = &p->dims;
    const int8_t *in = io->in[0];
    const plane_t plane = plane_of(d);
    uint32_t *x = io->scratch;
    uint32_t *even = x + plane_words(&plane);
    uint32_t *odd = even + plane.row.kernel * plane.taps;
    int32_t *acc = (int32_t *)(void *)(odd + plane.row.kernel * plane.taps);
    const uint32_t multiplier = (uint32_t)d->out_c / d->in_c;
    const uint32_t pixel_step = ebnn_pixel_step(p);
    const uint32_t kernel_step = plane.row.dilation * plane.row_words;
    const int unit = plane.column.dilation == 1u && plane.column.stride <= 2u;
    const uint32_t padding = (uint16_t)(int16_t)-p->input_offset;
    fill_words(x, padding | (padding << 16), plane_words(&plane));
    for (uint32_t c = 0; c < d->out_c; c++) {
        if (c % multiplier == 0u) {
            copy_channel(&plane, in + c / multiplier, (int16_t *)(void *)x);
        }
        const int32_t bias = p->bias[c] + p->input_offset * load_kernel(&plane, p->weights + c, even, odd);
        int8_t *out = (int8_t *)io->out + c * ebnn_channel_step(p);
        for (uint32_t y = 0; y < plane.row.out; y++) {
            const uint32_t *line = x + y * plane.row.stride * plane.row_words;
            if (unit) {
                sum_row(&plane, line, kernel_step, even, odd, acc);
            } else {
                sum_row_any(&plane, (const int16_t *)(const void *)line, kernel_step, even, acc);
            }
            ebnn_requant_row(acc, plane.column.out, bias, p->multiplier[c], p->shift[c], p->output_offset,
                             out + y * plane.row.out_step * pixel_step, plane.column.out_step * pixel_step);
        }
    }
    ebnn_s8_finish(p, io->out);
    return EBNN_OK;
}
