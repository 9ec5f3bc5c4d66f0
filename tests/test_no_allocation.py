"""An inference takes no memory from the heap: neither the run loop, nor a kernel of any ISA, nor the pool."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from kernels_emulated import layers

from edgebnn import csrc, emit, targets
from edgebnn.errors import ToolchainError
from edgebnn.host import runtime
from edgebnn.ir import Graph, reference, storage
from edgebnn.plan import plan
from edgebnn.plan.sources import sources

ALLOCATORS = (
    "malloc",
    "calloc",
    "realloc",
    "memalign",
    "aligned_alloc",
    "posix_memalign",
    "valloc",
    "mmap",
    "sbrk",
)
ISAS = (targets.load("host").isa[0], "word64")

#: counts every call of the C library's allocators, its own included; runs the model once and then 20 times, on one
#: thread and on three
PROGRAM = """
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "ebnn_model.h"
#include "ebnn_threads.h"

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
static volatile unsigned long calls;
void *malloc(size_t size) { calls++; return __libc_malloc(size); }
void *calloc(size_t count, size_t size) { calls++; return __libc_calloc(count, size); }
void *realloc(void *old, size_t size) { calls++; return __libc_realloc(old, size); }
void *memalign(size_t alignment, size_t size) { calls++; return __libc_memalign(alignment, size); }
void *aligned_alloc(size_t alignment, size_t size) { calls++; return __libc_memalign(alignment, size); }
int posix_memalign(void **out, size_t alignment, size_t size) {
    calls++;
    *out = __libc_memalign(alignment, size);
    return *out ? 0 : ENOMEM;
}

static uint8_t arena[EBNN_MODEL_ARENA_SIZE] __attribute__((aligned(64)));
static uint8_t input[] = {INPUT};
static ebnn_pool_t pool;

int main(void) {
    unsigned long before = calls;
    void *volatile control = malloc(10);
    free(control);
    if (calls != before + 1) {
        return 10;
    }
    if (ebnn_pool_start(&pool, 3) != EBNN_OK) {
        return 11;
    }
    before = calls;
    for (int i = 0; i < 42; i++) {
        for (uint32_t j = 0; j < sizeof input; j++) {
            arena[EBNN_MODEL.input.offset + j] = input[j];
        }
        ebnn_status_t status =
            i % 2 ? ebnn_run_parallel(&pool, &EBNN_MODEL, EBNN_MODEL_SPLITS, arena, sizeof arena)
                  : ebnn_run(&EBNN_MODEL, arena, sizeof arena);
        if (status != EBNN_OK) {
            return 12;
        }
    }
    unsigned long during = calls - before;
    ebnn_pool_stop(&pool);
    fwrite(arena + EBNN_MODEL.output.offset, 1, EBNN_MODEL.output.size, stdout);
    return during ? 13 : 0;
}
"""


@pytest.mark.skipif(not shutil.which("nm"), reason="needs nm")
def test_the_host_runtime_imports_no_allocator() -> None:
    """Every kernel of this machine is in it, and the cffi module uses Python's own."""
    try:
        runtime.library()
    except ToolchainError as error:
        pytest.skip(str(error))
    from edgebnn.host import _ebnn

    command = ["nm", "-D", "--undefined-only", str(_ebnn.__file__)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    imported = {line.split()[-1].partition("@")[0] for line in done.stdout.splitlines()}
    assert "PyObject_Malloc" in imported  # the list is that of the module
    assert imported.isdisjoint(ALLOCATORS)


@pytest.mark.skipif(
    not shutil.which("gcc") or platform.libc_ver()[0] != "glibc", reason="needs gcc and the GNU C library"
)
@pytest.mark.parametrize("isa", ISAS)
def test_no_call_of_an_allocator_during_inference(
    isa: str, tiny_graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgebnn.plan.LEAST_DIVIDED", 0.0)  # ops of a few cycles are divided as well
    root = csrc.kernels_dir()
    planned = plan(tiny_graph, targets.load("host", isa), threads=3)
    emit.emit(planned, tmp_path)
    source, out = tiny_graph.tensors[tiny_graph.input], tiny_graph.tensors[tiny_graph.output]
    x = layers.random_codes(np.random.default_rng(32), source)
    data = ", ".join(str(byte) for byte in storage.to_bytes(x, source))
    (tmp_path / "main.c").write_text(PROGRAM.replace("INPUT", data))
    needed = [*sources(step.kernel for step in planned.steps), "src/ebnn_threads.c"]
    files = [tmp_path / "main.c", tmp_path / "tiny.c", *(root / name for name in needed)]
    command = ["gcc", "-std=gnu99", "-O0", "-pthread", "-fno-builtin-malloc", f"-I{root / 'include'}"]
    program = tmp_path / "program"
    subprocess.run([*command, f"-I{tmp_path}", *map(str, files), "-o", str(program)], check=True)
    done = subprocess.run([str(program)], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, "10: calls are not counted; 12: a run failed; 13: a run called an allocator"
    assert done.stdout == storage.to_bytes(reference.run(tiny_graph, x)[tiny_graph.output], out)
