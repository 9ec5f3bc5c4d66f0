"""The thread pool: the same bytes for any number of threads, in this process and as an emitted project."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from kernels_emulated import layers
from test_sanitizers import works
from test_wide import layer

from edgebnn import csrc, emit, targets
from edgebnn.errors import ToolchainError, UsageError
from edgebnn.host import Runtime
from edgebnn.host.runtime import library
from edgebnn.ir import Graph, reference, storage
from edgebnn.plan import plan
from edgebnn.plan.sources import sources

try:
    THREADS = hasattr(library()[1], "ebnn_pool_start")
except ToolchainError as error:
    pytest.skip(str(error), allow_module_level=True)
if not THREADS:
    pytest.skip("no POSIX threads here", allow_module_level=True)

ISAS = targets.load("host").isa[:-1]
COUNTS = (2, 3, 8)


@pytest.fixture
def small_ops_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ops of a few cycles are divided as well."""
    monkeypatch.setattr("edgebnn.plan.LEAST_DIVIDED", 0.0)


def graphs(count: int) -> list[Graph]:
    """Random layers of every op, some with more than a block of pixels."""
    rng = np.random.default_rng(21)
    found = [
        layer(rng, (28, 28, 16, 8), kernel=(3, 3), stride=(1, 1), pads=(1, 1, 1, 1)),
        layer(rng, (30, 30, 48, 6), kernel=(1, 1), stride=(2, 2), pads=(0, 0, 0, 0)),
        layer(rng, (1, 1, 300, 200), kernel=(1, 1), stride=(1, 1), pads=(0, 0, 0, 0)),
        layer(rng, (1, 2, 64, 900), kernel=(1, 1), stride=(1, 1), pads=(0, 0, 0, 0)),
    ]
    names = [name for name in sorted(layers.LAYERS) if name != "add"]  # which has two inputs
    while len(found) < count:
        graph = layers.LAYERS[names[len(found) % len(names)]](rng)
        op = graph.ops[0]
        if len(op.inputs) == 1 and len(op.outputs) == 1:
            found.append(graph)
    return found


@pytest.mark.usefixtures("small_ops_too")
@pytest.mark.parametrize("isa", ISAS)
def test_random_layers(isa: str) -> None:
    rng = np.random.default_rng(22)
    divided: set[str] = set()
    for graph in graphs(24):
        x = layers.random_codes(rng, graph.tensors[graph.input])
        wanted = reference.run(graph, x)[graph.output]
        for threads in COUNTS:
            planned = plan(graph, targets.load("host", isa), threads=threads)
            divided |= {step.kernel for step in planned.steps if step.parts > 1}
            assert np.array_equal(Runtime(planned).run(x), wanted), (graph.ops[0], threads)
    assert any("bconv2d" in kernel for kernel in divided)


@pytest.mark.usefixtures("small_ops_too")
def test_any_number_of_threads_runs_any_division(tiny_graph: Graph) -> None:
    x = layers.random_codes(np.random.default_rng(23), tiny_graph.tensors[tiny_graph.input])
    wanted = reference.run(tiny_graph, x)[tiny_graph.output]
    for parts in (1, 2, 8):
        planned = plan(tiny_graph, targets.load("host"), threads=parts)
        for threads in (1, 3):
            runtime = Runtime(planned, threads)
            assert all(np.array_equal(runtime.run(x), wanted) for _ in range(20))
    assert (
        plan(tiny_graph, targets.load("host"), threads=8).arena > plan(tiny_graph, targets.load("host")).arena
    )
    with pytest.raises(ToolchainError, match="cannot start 65 threads"):
        Runtime(planned, 65)


def test_small_ops_are_left_whole(tiny_graph: Graph) -> None:
    assert all(step.parts == 1 for step in plan(tiny_graph, targets.load("host"), threads=4).steps)


@pytest.mark.usefixtures("small_ops_too")
def test_an_emitted_project_with_and_without_threads(tiny_graph: Graph, tmp_path: Path) -> None:
    emit.emit(plan(tiny_graph, targets.load("host"), only="word64", threads=3), tmp_path)
    source = tiny_graph.tensors[tiny_graph.input]
    x = layers.random_codes(np.random.default_rng(24), source)
    (tmp_path / "in").write_bytes(storage.to_bytes(x, source))
    wanted = reference.run(tiny_graph, x)[tiny_graph.output].astype(np.int8).tobytes()
    for count in ((), ("EBNN_THREADS=1",)):
        command = ["make", "-s", f"KERNELS={csrc.kernels_dir()}", "CFLAGS=-O0 -Wall -Wextra -Werror", *count]
        for built in ("runner", "libtiny.a"):
            (tmp_path / built).unlink(missing_ok=True)
        subprocess.run(command, cwd=tmp_path, check=True, timeout=300)
        subprocess.run(["./runner", "in", "out"], cwd=tmp_path, check=True, timeout=60)
        assert (tmp_path / "out").read_bytes() == wanted
        if shutil.which("nm"):
            done = subprocess.run(
                ["nm", "libtiny.a"], cwd=tmp_path, check=True, capture_output=True, text=True
            )
            assert ("pthread_" in done.stdout) == (count == ())


@pytest.mark.slow
@pytest.mark.usefixtures("small_ops_too")
def test_no_races(tiny_graph: Graph, tmp_path: Path) -> None:
    """ThreadSanitizer over many rounds of a small model."""
    if not works("gcc", tmp_path, ["-fsanitize=thread"]):
        pytest.skip("needs gcc with ThreadSanitizer")
    planned = plan(tiny_graph, targets.load("host"), only="word64", threads=4)
    emit.emit(planned, tmp_path)
    (tmp_path / "main.c").write_text("""
#include "ebnn_model.h"
#include "ebnn_threads.h"
static uint8_t arena[EBNN_MODEL_ARENA_SIZE] __attribute__((aligned(64)));
static ebnn_pool_t pool;
int main(void) {
    ebnn_status_t status = ebnn_pool_start(&pool, 4);
    for (int i = 0; status == EBNN_OK && i < 200; i++) {
        status = ebnn_run_parallel(&pool, &EBNN_MODEL, EBNN_MODEL_SPLITS, arena, sizeof arena);
    }
    ebnn_pool_stop(&pool);
    return status != EBNN_OK;
}
""")
    root = csrc.kernels_dir()
    needed = [*sources(step.kernel for step in planned.steps), "src/ebnn_threads.c"]
    files = [tmp_path / "main.c", tmp_path / "tiny.c", *(root / name for name in needed)]
    command = ["gcc", "-std=gnu99", "-O0", "-g1", "-fsanitize=thread", "-pthread", f"-I{root / 'include'}"]
    program = tmp_path / "races"
    subprocess.run([*command, f"-I{tmp_path}", *map(str, files), "-o", str(program)], check=True)
    done = subprocess.run([str(program)], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[:3000]


def test_threads_need_an_operating_system(tiny_ebnn: Path, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from edgebnn.cli.convert import convert

    words = [str(tiny_ebnn), "--target", "cortex-m4", "--threads", "2", "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(convert, words)
    assert isinstance(done.exception, UsageError) and "has no operating system" in str(done.exception)
