/*
 * Start values and flags of the bits kernels that differ at the borders of the image: exact zero padding.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bits.h"
#include "window.h"

void ebnn_bits_border_masks(const ebnn_bconv_bits_params_t *p, uint32_t first, uint32_t words,
                            uint32_t *masks) {
    for (uint32_t w = 0; w < words; w++, masks += ebnn_bits_border_words(p)) {
        uint32_t *to = masks + 1;
        for (uint32_t b = 0; b < p->border_count; b++) {
            ebnn_window_rectangle(&p->dims, p->borders + 4u * b, first + 32u * w, 1, to + 1);
            if (to[1] != 0u) {
                to[0] = b;
                to += 2;
            }
        }
        masks[0] = (uint32_t)(to - masks) / 2u;
    }
}

/* Masks do not overlap, so a sum of products is what joins them; a Cortex-M4 multiplies and adds in a cycle.
 */
static inline uint32_t bit(uint32_t v, uint32_t i) {
    return (v >> i) & 1u;
}

/* Seven planes of values v[border] >> at. */
static void blend(const uint16_t *v, uint32_t at, const uint32_t *masks, uint32_t *to) {
    uint32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0, s4 = 0, s5 = 0, s6 = 0;
    for (uint32_t n = *masks++; n != 0u; n--, masks += 2) {
        const uint32_t x = (uint32_t)v[masks[0]] >> at, m = masks[1];
        s0 += m * bit(x, 0);
        s1 += m * bit(x, 1);
        s2 += m * bit(x, 2);
        s3 += m * bit(x, 3);
        s4 += m * bit(x, 4);
        s5 += m * bit(x, 5);
        s6 += m * bit(x, 6);
    }
    to[0] = s0;
    to[1] = s1;
    to[2] = s2;
    to[3] = s3;
    to[4] = s4;
    to[5] = s5;
    to[6] = s6;
}

void ebnn_bits_border_starts(const ebnn_bconv_bits_params_t *p, const uint32_t *masks, uint32_t run,
                             uint32_t n, uint32_t bits, uint32_t apart, uint32_t *to) {
    const uint16_t *starts = p->border_starts + (uint32_t)p->border_count * run;
    const uint16_t *runs = p->runs + 2u * run;
    for (; n != 0u; n--, starts += p->border_count, runs += 2, to += apart) {
        const uint32_t start = runs[1];
        if (start != EBNN_BITS_VARIES) {
            to[0] = 0u - bit(start, 0);
            to[1] = 0u - bit(start, 1);
            to[2] = 0u - bit(start, 2);
            to[3] = 0u - bit(start, 3);
            to[4] = 0u - bit(start, 4);
            to[5] = 0u - bit(start, 5);
            to[6] = 0u - bit(start, 6);
            for (uint32_t i = 7; i < bits; i++) {
                to[i] = 0u - bit(start, i);
            }
            continue;
        }
        blend(starts, 0, masks, to);
        if (bits > 7u) {
            uint32_t high[7];
            blend(starts, 7, masks, high);
            for (uint32_t i = 7; i < bits; i++) {
                to[i] = high[i - 7u];
            }
        }
    }
}

void ebnn_bits_border_flags(const ebnn_bconv_bits_params_t *p, const uint32_t *masks, uint32_t group,
                            uint32_t *to) {
    const uint8_t *flags = p->border_flags + (uint32_t)p->border_count * group;
    uint32_t c1 = ~0u, c2 = ~0u, c3 = ~0u;
    for (uint32_t n = *masks++; n != 0u; n--, masks += 2) {
        const uint32_t v = flags[masks[0]], m = masks[1];
        c1 -= m * bit(v, 0);
        c2 -= m * bit(v, 1);
        c3 -= m * bit(v, 2);
    }
    to[0] = c1;
    to[1] = c2;
    to[2] = c3;
}
