/*
 * The run loop: resolves arena offsets and calls one kernel after the other.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_kernels.h"

static void *at(void *arena, uint32_t offset) {
    return offset == EBNN_NONE ? NULL : (uint8_t *)arena + offset;
}

EBNN_COLD ebnn_status_t ebnn_check(const ebnn_model_t *model, const void *arena, size_t arena_size) {
    if (model == NULL || model->ops == NULL || (arena == NULL && model->arena_size != 0u)) {
        return EBNN_ERR_ARGUMENT;
    }
    if (model->abi != EBNN_ABI) {
        return EBNN_ERR_ABI;
    }
    if (arena_size < model->arena_size || (uintptr_t)arena % EBNN_ALIGN != 0u) {
        return EBNN_ERR_ARENA;
    }
    return EBNN_OK;
}

EBNN_COLD ebnn_status_t ebnn_run_op(const ebnn_model_t *model, void *arena, uint32_t index) {
    if (index >= model->n_ops) {
        return EBNN_ERR_ARGUMENT;
    }
    const ebnn_op_t *op = &model->ops[index];
    const ebnn_io_t io = {{at(arena, op->in[0]), at(arena, op->in[1])},
                          at(arena, op->out),
                          at(arena, op->out2),
                          at(arena, op->scratch),
                          0,
                          1};
    return op->kernel(op->params, &io);
}

EBNN_COLD ebnn_status_t ebnn_run(const ebnn_model_t *model, void *arena, size_t arena_size) {
    ebnn_status_t status = ebnn_check(model, arena, arena_size);
    for (uint32_t i = 0; status == EBNN_OK && i < model->n_ops; i++) {
        status = ebnn_run_op(model, arena, i);
    }
    return status;
}
