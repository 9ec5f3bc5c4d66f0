/*
 * What a call of a kernel that can be divided has to compute: ebnn_io_t says which part of how many.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_PART_H
#define EBNN_PART_H

#include "ebnn.h"

typedef struct {
    uint32_t begin, end;
} ebnn_part_t;

/* Of n items in units of `unit`: those of this part. The parts of a call cover 0..n once. */
static inline ebnn_part_t ebnn_part(const ebnn_io_t *io, uint32_t n, uint32_t unit) {
    const uint64_t parts = io->parts > 1u ? io->parts : 1u;
    const uint64_t units = (n + unit - 1u) / unit;
    const uint64_t begin = units * io->part / parts * unit;
    const uint64_t end = units * (io->part + 1u) / parts * unit;
    const ebnn_part_t p = {(uint32_t)(begin < n ? begin : n), (uint32_t)(end < n ? end : n)};
    return p;
}

/* The same of a grid of `rows` items by n: whole rows where there are enough of them, else n is divided. */
typedef struct {
    ebnn_part_t rows, columns;
} ebnn_parts_t;

static inline ebnn_parts_t ebnn_parts(const ebnn_io_t *io, uint32_t rows, uint32_t n, uint32_t unit) {
    ebnn_parts_t p = {{0, rows}, {0, n}};
    if (rows >= io->parts) {
        p.rows = ebnn_part(io, rows, 1);
    } else {
        p.columns = ebnn_part(io, n, unit);
    }
    return p;
}

#endif
