/*
 * Low-bit weights times s8 activations: convolutions and the matrix-vector products of BitLinear layers.
 * VPMADDUBSW is exact here: its 16-bit pair sums are at most 2 * 12 * 128 = 3072, and eight of them fit 16
 * bits.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_avx2.h"

#include <string.h>

#include "../core/part.h"
#include "../portable/ebnn_epilogue.h"
#include "ebnn_kernels.h"
#include "ebnn_wide.h"

#define ROWS 4u
#define BLOCK 128u /* products of a block of weights */
#define ROUNDS 4u  /* blocks before a 16-bit sum may overflow: each adds two pair sums */

static int32_t sum_lanes(__m256i v) {
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    s = _mm_add_epi32(s, _mm_unpackhi_epi64(s, s));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 1));
    return _mm_cvtsi128_si32(s);
}

/* sums[i] = sum of u * x over a row of channel i; w: [blocks][4][32]. */
static void dots(const uint8_t *w, const int8_t *x, uint32_t blocks, int32_t *sums) {
    const __m256i low = _mm256_set1_epi8(3);
    const __m256i high = _mm256_set1_epi8(12); /* 4 * u */
    const __m256i one = _mm256_set1_epi16(1);
    __m256i total[ROWS];
#pragma GCC unroll 4
    for (uint32_t i = 0; i < ROWS; i++) {
        total[i] = _mm256_setzero_si256();
    }
    for (uint32_t first = 0; first < blocks; first += ROUNDS) {
        const uint32_t end = blocks - first < ROUNDS ? blocks : first + ROUNDS;
        __m256i a[ROWS], b[ROWS];
#pragma GCC unroll 4
        for (uint32_t i = 0; i < ROWS; i++) {
            a[i] = b[i] = _mm256_setzero_si256();
        }
        for (uint32_t k = first; k < end; k++, w += ROWS * 32u) {
            const __m256i *v = (const __m256i *)(const void *)(x + (size_t)k * BLOCK);
            const __m256i x0 = _mm256_loadu_si256(v), x1 = _mm256_loadu_si256(v + 1);
            const __m256i x2 = _mm256_loadu_si256(v + 2), x3 = _mm256_loadu_si256(v + 3);
#pragma GCC unroll 4
            for (uint32_t i = 0; i < ROWS; i++) {
                const __m256i u = _mm256_loadu_si256((const __m256i *)(const void *)(w + 32u * i));
                const __m256i up = _mm256_srli_epi16(u, 4);
                a[i] = _mm256_add_epi16(a[i], _mm256_maddubs_epi16(_mm256_and_si256(u, low), x0));
                a[i] = _mm256_add_epi16(a[i], _mm256_maddubs_epi16(_mm256_and_si256(up, low), x2));
                b[i] = _mm256_add_epi16(b[i], _mm256_maddubs_epi16(_mm256_and_si256(u, high), x1));
                b[i] = _mm256_add_epi16(b[i], _mm256_maddubs_epi16(_mm256_and_si256(up, high), x3));
            }
        }
#pragma GCC unroll 4
        for (uint32_t i = 0; i < ROWS; i++) {
            const __m256i fours = _mm256_slli_epi32(_mm256_madd_epi16(a[i], one), 2);
            total[i] = _mm256_add_epi32(total[i], _mm256_add_epi32(fours, _mm256_madd_epi16(b[i], one)));
        }
    }
    for (uint32_t i = 0; i < ROWS; i++) {
        sums[i] = sum_lanes(total[i]) / 4; /* exact: a multiple of 4 */
    }
}

/* The taps of a pixel, the zero point outside the image, zeros to the end of the row; returns their sum. */
static int32_t gather(const ebnn_bconv_s8_wide_params_t *p, const int8_t *in, uint32_t pixel, int8_t *out) {
    const ebnn_conv_dims_t *d = &p->dims;
    const int32_t y0 = (int32_t)(pixel / d->out_w * d->stride_h) - d->pad_h;
    const int32_t x0 = (int32_t)(pixel % d->out_w * d->stride_w) - d->pad_w;
    int8_t *to = out;
    for (uint32_t ky = 0; ky < d->kernel_h; ky++) {
        const int32_t y = y0 + (int32_t)(ky * d->dilation_h);
        for (uint32_t kx = 0; kx < d->kernel_w; kx++, to += d->in_c) {
            const int32_t x = x0 + (int32_t)(kx * d->dilation_w);
            if (y < 0 || y >= d->in_h || x < 0 || x >= d->in_w) {
                memset(to, p->zero_point, d->in_c);
            } else {
                memcpy(to, in + ((size_t)(uint32_t)y * d->in_w + (uint32_t)x) * d->in_c, d->in_c);
            }
        }
    }
    const uint32_t used = (uint32_t)(to - out);
    memset(to, 0, p->row - used);
    int32_t sum = 0;
    for (uint32_t k = 0; k < used; k++) {
        sum += out[k];
    }
    return sum;
}

static void store(const ebnn_bconv_s8_wide_params_t *p, const ebnn_io_t *io, uint32_t pixel, uint32_t c,
                  int32_t acc) {
    const ebnn_epilogue_t *e = &p->epilogue;
    const size_t index = (size_t)pixel * p->dims.out_c + c;
    if (e->out_dtype == EBNN_S32) {
        ((int32_t *)io->out)[index] = acc;
        return;
    }
    uint32_t code;
    if (e->out_dtype == EBNN_B1) {
        code = ebnn_epilogue_bit(e, acc, c);
    } else {
        const int32_t residual = e->residual != 0u ? ((const int8_t *)io->in[1])[index] : 0;
        const int32_t y = ebnn_epilogue_code(e, acc, c, residual);
        if (e->out_dtype == EBNN_S8) {
            ((int8_t *)io->out)[index] = (int8_t)y;
            return;
        }
        code = (uint32_t)y;
    }
    const uint32_t words = ((uint32_t)p->dims.out_c + 31u) / 32u;
    uint32_t *bits = (uint32_t *)io->out + (size_t)pixel * words * e->out_dtype + c / 32u;
    for (uint32_t bit = 0; bit < e->out_dtype; bit++) {
        const uint32_t before = c % 32u == 0u ? 0u : bits[bit * words];
        bits[bit * words] = before | (((code >> bit) & 1u) << (c % 32u));
    }
}

uint32_t ebnn_bconv2d_s8_wide__avx2_get_buffer_size(const void *params) {
    return ((const ebnn_bconv_s8_wide_params_t *)params)->row;
}

ebnn_status_t ebnn_bconv2d_s8_wide__avx2(const void *params, const ebnn_io_t *io) {
    const ebnn_bconv_s8_wide_params_t *p = params;
    const ebnn_conv_dims_t *d = &p->dims;
    int8_t *x = io->scratch;
    const ebnn_parts_t part = ebnn_parts(io, (uint32_t)d->out_h * d->out_w, d->out_c, 32);
    for (uint32_t pixel = part.rows.begin; pixel < part.rows.end; pixel++) {
        const int32_t sum = gather(p, io->in[0], pixel, x);
        const uint8_t *w = p->weights + (size_t)part.columns.begin / ROWS * p->row;
        for (uint32_t c = part.columns.begin; c < part.columns.end;
             c += ROWS, w += (size_t)p->row) { /* row / 128 * 4 * 32 bytes */
            int32_t sums[ROWS];
            dots(w, x, p->row / BLOCK, sums);
            for (uint32_t i = 0; i < ROWS && c + i < part.columns.end; i++) {
                store(p, io, pixel, c + i, p->gain * sums[i] - p->minus * sum + p->offset[c + i]);
            }
        }
    }
    return EBNN_OK;
}

#include "../core/target_end.h"
