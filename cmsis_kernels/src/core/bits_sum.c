/*
 * Bit-sliced sums and their combination, in plain C.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bits.h"

/* s, k = sum and carry of s + x + k. */
#define FULL_ADD(s, x, k)                                                                                    \
    do {                                                                                                     \
        const uint32_t a_ = (s), u_ = a_ ^ (x), v_ = a_ ^ (k);                                               \
        (s) = u_ ^ (k);                                                                                      \
        (k) = (u_ & v_) ^ a_;                                                                                \
    } while (0)

const uint16_t *ebnn_bits_sum_from(const uint16_t *list, const uint32_t *base, const uint16_t *runs,
                                   uint32_t n, uint32_t bits, uint32_t *sums) {
    for (; n != 0u; n--, runs += 2, sums += EBNN_BITS_MOST) {
        for (uint32_t pairs = *runs; pairs != 0u; pairs--) {
            uint32_t carry = base[list[0] / 4u];
            FULL_ADD(sums[0], base[list[1] / 4u], carry);
            list += 2;
            for (uint32_t i = 1; i < bits && carry != 0u; i++) {
                const uint32_t both = sums[i] & carry;
                sums[i] ^= carry;
                carry = both;
            }
        }
    }
    return list;
}

const uint16_t *ebnn_bits_sum(const uint16_t *list, const uint32_t *base, const uint16_t *runs, uint32_t n,
                              uint32_t bits, uint32_t *sums) {
    for (uint32_t r = 0; r < n; r++) {
        const uint32_t start = runs[2u * r + 1u];
        for (uint32_t i = 0; i < bits; i++) {
            sums[EBNN_BITS_MOST * r + i] = 0u - ((start >> i) & 1u);
        }
    }
    return ebnn_bits_sum_from(list, base, runs, n, bits, sums);
}

/* sum = a + b + c + d over n bits, two more for the carries. */
static void add4(const uint32_t *a, const uint32_t *b, const uint32_t *c, const uint32_t *d, uint32_t n,
                 uint32_t *sum) {
    uint32_t k1 = 0, k2 = 0, k3 = 0;
    for (; n != 0u; n--) {
        uint32_t u = *a++, v = *c++;
        FULL_ADD(u, *b++, k1);
        FULL_ADD(v, *d++, k2);
        FULL_ADD(u, v, k3);
        *sum++ = u;
    }
    FULL_ADD(k1, k2, k3);
    sum[0] = k1;
    sum[1] = k3;
}

/* two = c + d, four = a + b + c + d. */
static void add2_4(const uint32_t *a, const uint32_t *b, const uint32_t *c, const uint32_t *d, uint32_t n,
                   uint32_t *two, uint32_t *four) {
    uint32_t k1 = 0, k2 = 0, k3 = 0;
    for (; n != 0u; n--) {
        uint32_t u = *a++, v = *c++;
        FULL_ADD(u, *b++, k1);
        FULL_ADD(v, *d++, k2);
        *two++ = v;
        FULL_ADD(u, v, k3);
        *four++ = u;
    }
    two[0] = k2;
    two[1] = 0;
    FULL_ADD(k1, k2, k3);
    four[0] = k1;
    four[1] = k3;
}

/* One step of the comparison 2 x >= p, lowest bit first: c = majority of 2 x, not p, c. */
#define COMPARE(c, x, p)                                                                                     \
    do {                                                                                                     \
        const uint32_t t_ = (x) ^ (c), u_ = (p) ^ (c);                                                       \
        (c) ^= t_ & ~u_;                                                                                     \
    } while (0)

void ebnn_bits_buckets_from(const uint32_t *sums, uint32_t bits, const uint32_t *flags, uint32_t mask,
                            uint32_t *out, uint32_t stride) {
    enum { M = EBNN_BITS_MOST };
    uint32_t p3[M + 2], m[M + 2], q[M + 2], n[M + 2], r[M + 2];
    add4(sums + 4 * M, sums + 5 * M, sums + 6 * M, sums + 7 * M, bits, p3);
    add2_4(sums, sums + 4 * M, sums + 2 * M, sums + 6 * M, bits, m, q);
    add2_4(sums + M, sums + 5 * M, sums + 3 * M, sums + 7 * M, bits, n, r);
    uint32_t k2 = 0, k0 = 0, x1 = 0, x2 = 0, x3 = 0, p0 = 0;
    uint32_t c1 = flags[0], c2 = flags[1], c3 = flags[2];
    for (uint32_t i = 0; i < bits + 2u; i++) {
        uint32_t p2 = m[i];
        p0 = q[i];
        FULL_ADD(p2, n[i], k2);
        FULL_ADD(p0, r[i], k0);
        COMPARE(c1, x1, p0);
        COMPARE(c2, x2, p0);
        COMPARE(c3, x3, p0);
        x1 = r[i];
        x2 = p2;
        x3 = p3[i];
    }
    COMPARE(c1, x1, k0);
    COMPARE(c2, x2, k0);
    COMPARE(c3, x3, k0);
    out[0] = k0 & mask;
    out[stride] = c1 & mask;
    out[2u * stride] = c2 & mask;
    out[3u * stride] = c3 & mask;
}

void ebnn_bits_buckets(const uint32_t *sums, uint32_t bits, uint32_t flags, uint32_t mask, uint32_t *out,
                       uint32_t stride) {
    const uint32_t c[3] = {(flags & 1u) - 1u, ((flags >> 1) & 1u) - 1u, ((flags >> 2) & 1u) - 1u};
    ebnn_bits_buckets_from(sums, bits, c, mask, out, stride);
}

uint32_t ebnn_bits_compare(const uint32_t *s, const uint32_t *t, uint32_t bits, uint32_t low) {
    uint32_t c = ~0u, x = 0u - low;
    for (uint32_t i = 0; i < bits; i++) {
        COMPARE(c, x, t[i]);
        x = s[i];
    }
    COMPARE(c, x, t[bits]);
    return c;
}
