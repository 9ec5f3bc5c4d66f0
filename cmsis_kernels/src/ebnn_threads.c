/*
 * The thread pool: every op is a round, its parts are taken by whoever is free, the caller included. A part
 * has its own scratch, so it does not matter who takes which.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_threads.h"

#define SPINS 2000 /* looks for the next round before sleeping: ops follow each other within microseconds */

static void *at(uint8_t *arena, uint32_t offset) {
    return offset == EBNN_NONE ? NULL : arena + offset;
}

static ebnn_status_t run_part(const ebnn_pool_t *pool, uint32_t part) {
    const ebnn_op_t *op = pool->op;
    uint8_t *arena = pool->arena;
    const uint32_t scratch = op->scratch == EBNN_NONE ? EBNN_NONE : op->scratch + part * pool->scratch_step;
    const ebnn_io_t io = {{at(arena, op->in[0]), at(arena, op->in[1])},
                          at(arena, op->out),
                          at(arena, op->out2),
                          at(arena, scratch),
                          (uint16_t)part,
                          (uint16_t)pool->parts};
    return op->kernel(op->params, &io);
}

/* Takes parts until none is left. Called, and returns, with the mutex held; op and parts stay while left > 0.
 */
static void take_parts(ebnn_pool_t *pool) {
    while (pool->next < pool->parts) {
        const uint32_t part = pool->next++;
        pthread_mutex_unlock(&pool->mutex);
        const ebnn_status_t status = run_part(pool, part);
        pthread_mutex_lock(&pool->mutex);
        pool->status = status != EBNN_OK ? status : pool->status;
        if (--pool->left == 0u) {
            pthread_cond_signal(&pool->done);
        }
    }
}

static void spin(const uint32_t *round, uint32_t seen) {
    for (uint32_t i = 0; i < SPINS && __atomic_load_n(round, __ATOMIC_ACQUIRE) == seen; i++) {
    }
}

static void *serve(void *argument) {
    ebnn_pool_t *pool = argument;
    uint32_t seen = 0;
    for (;;) {
        spin(&pool->round, seen);
        pthread_mutex_lock(&pool->mutex);
        while (pool->round == seen) {
            pthread_cond_wait(&pool->work, &pool->mutex);
        }
        seen = pool->round;
        const int stop = pool->stop;
        if (!stop) {
            take_parts(pool);
        }
        pthread_mutex_unlock(&pool->mutex);
        if (stop) {
            return NULL;
        }
    }
}

/* Lets the threads look. The mutex is held. */
static void next_round(ebnn_pool_t *pool) {
    __atomic_store_n(&pool->round, pool->round + 1u, __ATOMIC_RELEASE);
    pthread_cond_broadcast(&pool->work);
}

ebnn_status_t ebnn_pool_start(ebnn_pool_t *pool, uint32_t threads) {
    if (pool == NULL || threads == 0u || threads > EBNN_MAX_THREADS) {
        return EBNN_ERR_ARGUMENT;
    }
    *pool = (ebnn_pool_t){.started = 0};
    if (pthread_mutex_init(&pool->mutex, NULL) != 0) {
        return EBNN_ERR_ARGUMENT;
    }
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->done, NULL);
    while (pool->started + 1u < threads) {
        if (pthread_create(&pool->threads[pool->started], NULL, serve, pool) != 0) {
            ebnn_pool_stop(pool);
            return EBNN_ERR_ARGUMENT;
        }
        pool->started++;
    }
    return EBNN_OK;
}

void ebnn_pool_stop(ebnn_pool_t *pool) {
    pthread_mutex_lock(&pool->mutex);
    pool->stop = 1;
    next_round(pool);
    pthread_mutex_unlock(&pool->mutex);
    for (uint32_t i = 0; i < pool->started; i++) {
        pthread_join(pool->threads[i], NULL);
    }
    pthread_cond_destroy(&pool->work);
    pthread_cond_destroy(&pool->done);
    pthread_mutex_destroy(&pool->mutex);
    pool->started = 0;
}

static ebnn_status_t run_divided(ebnn_pool_t *pool, const ebnn_op_t *op, const ebnn_split_t *split,
                                 uint8_t *arena) {
    pthread_mutex_lock(&pool->mutex);
    pool->op = op;
    pool->arena = arena;
    pool->scratch_step = split->scratch_step;
    pool->parts = pool->left = split->parts;
    pool->next = 0;
    pool->status = EBNN_OK;
    next_round(pool);
    take_parts(pool);
    while (pool->left != 0u) {
        pthread_cond_wait(&pool->done, &pool->mutex);
    }
    const ebnn_status_t status = pool->status;
    pthread_mutex_unlock(&pool->mutex);
    return status;
}

ebnn_status_t ebnn_run_parallel(ebnn_pool_t *pool, const ebnn_model_t *model, const ebnn_split_t *splits,
                                void *arena, size_t arena_size) {
    ebnn_status_t status = ebnn_check(model, arena, arena_size);
    if (pool == NULL || splits == NULL) {
        return EBNN_ERR_ARGUMENT;
    }
    for (uint32_t i = 0; status == EBNN_OK && i < model->n_ops; i++) {
        status = splits[i].parts > 1u ? run_divided(pool, &model->ops[i], &splits[i], arena)
                                      : ebnn_run_op(model, arena, i);
    }
    return status;
}
