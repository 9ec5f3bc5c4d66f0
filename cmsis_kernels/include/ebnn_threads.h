/*
 * Threads for processors with an operating system: a pool that runs the parts of an op side by side.
 * Optional: nothing else of the runtime needs it or POSIX threads. Results are those of ebnn_run(), bit for
 * bit, with any number of threads, because each element is computed by the same instructions from the same
 * inputs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EBNN_THREADS_H
#define EBNN_THREADS_H

#include <pthread.h>

#include "ebnn.h"

#ifdef __cplusplus
extern "C" {
#endif

#define EBNN_MAX_THREADS 64u

/* Threads that wait for work. The caller owns it; it must not move while the threads live. */
typedef struct {
    pthread_mutex_t mutex;
    pthread_cond_t work, done;
    pthread_t threads[EBNN_MAX_THREADS];
    uint32_t started; /* threads besides the caller's */
    uint32_t round;   /* counts ops: changes when there is work, or the end */
    int stop;
    const ebnn_op_t *op;
    uint8_t *arena;
    uint32_t parts, next, left; /* of the op: all, the next to take, those not finished */
    uint32_t scratch_step;
    ebnn_status_t status; /* EBNN_OK or that of a part that failed */
} ebnn_pool_t;

/* Starts threads - 1 threads; the one that calls ebnn_run_parallel() is the last of them.
 * EBNN_ERR_ARGUMENT: no pool, threads 0 or over EBNN_MAX_THREADS, or the system gives no more threads (none
 * is left running then). */
ebnn_status_t ebnn_pool_start(ebnn_pool_t *pool, uint32_t threads);

/* Ends the threads. The pool may be started again. */
void ebnn_pool_stop(ebnn_pool_t *pool);

/* ebnn_run() with the ops divided as `splits` (model->n_ops entries) says: the planner's, made for a number
 * of threads that need not be the pool's. One call at a time for a pool. Status as of ebnn_run(). */
ebnn_status_t ebnn_run_parallel(ebnn_pool_t *pool, const ebnn_model_t *model, const ebnn_split_t *splits,
                                void *arena, size_t arena_size);

#ifdef __cplusplus
}
#endif

#endif
