/*
 * Runs an emitted model on the host, layer by layer, for edgebnn.report.verify. Standard input: model inputs
 * in their stored form, one after the other. Standard output: for each input, the stored outputs of every
 * step. Exit status: 0 at the end of input, 1 a short input or failed write, 2 a kernel's error.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_model.h"

#include <stdio.h>

static union {
    uint8_t bytes[EBNN_MODEL_ARENA_SIZE + EBNN_ALIGN];
    uint64_t align;
} storage;

int main(void) {
    const ebnn_model_t *model = &EBNN_MODEL;
    uint8_t *arena = storage.bytes + (EBNN_ALIGN - (uintptr_t)storage.bytes % EBNN_ALIGN) % EBNN_ALIGN;
    if (ebnn_check(model, arena, EBNN_MODEL_ARENA_SIZE) != EBNN_OK) {
        return 2;
    }
    for (;;) {
        const size_t got = fread(arena + model->input.offset, 1, model->input.size, stdin);
        if (got != model->input.size) {
            return got == 0 && fflush(stdout) == 0 ? 0 : 1;
        }
        for (uint32_t i = 0; i < model->n_ops; i++) {
            const ebnn_tensor_t *outs[2] = {&model->info[i].out, &model->info[i].out2};
            if (ebnn_run_op(model, arena, i) != EBNN_OK) {
                return 2;
            }
            for (uint32_t j = 0; j < 2u; j++) { /* no second output: 0 bytes */
                if (fwrite(arena + outs[j]->offset, 1, outs[j]->size, stdout) != outs[j]->size) {
                    return 1;
                }
            }
        }
    }
}
