/*
 * The windows of a pool.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_POOL_WINDOW_H
#define EBNN_POOL_WINDOW_H

#include "ebnn_params.h"

/* The part of the window of output (oy, ox) that lies inside the image: rows y0..y1, columns x0..x1 (ends
 * open). */
typedef struct {
    uint32_t y0, y1, x0, x1;
} ebnn_window_t;

static inline uint32_t ebnn_window_clip(int32_t v, uint32_t size) {
    return v < 0 ? 0u : ((uint32_t)v > size ? size : (uint32_t)v);
}

static inline ebnn_window_t ebnn_window_at(const ebnn_conv_dims_t *d, uint32_t oy, uint32_t ox) {
    const int32_t y = (int32_t)(oy * d->stride_h) - d->pad_h;
    const int32_t x = (int32_t)(ox * d->stride_w) - d->pad_w;
    const ebnn_window_t r = {ebnn_window_clip(y, d->in_h), ebnn_window_clip(y + d->kernel_h, d->in_h),
                             ebnn_window_clip(x, d->in_w), ebnn_window_clip(x + d->kernel_w, d->in_w)};
    return r;
}

#endif
