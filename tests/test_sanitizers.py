"""The run loop and every kernel of this machine under AddressSanitizer and UndefinedBehaviorSanitizer.

A few calls of each kernel, compiled without optimisation, by default; ``make sanitize`` sets EDGEBNN_SANITIZE to the
number of calls and to compile with gcc and clang, optimised.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from kernels_emulated import layers
from sanitize.calls import table
from test_kernels_host import TABLE, random_calls

from edgebnn import csrc, emit, targets
from edgebnn.host import Runtime
from edgebnn.ir import Graph, storage
from edgebnn.plan import plan
from edgebnn.plan.sources import sources

HERE = Path(__file__).resolve().parent
CALLS = int(os.environ.get("EDGEBNN_SANITIZE", "0"))
BUILDS = [("gcc", "-O2"), ("clang", "-O1")] if CALLS else [("gcc", "-O0")]
FLAGS = [
    "-std=gnu99",
    "-g1",
    "-fno-strict-aliasing",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
]


def compile_all(command: Sequence[str], files: Sequence[Path], folder: Path) -> list[Path]:
    """Object files of ``files``, two compilers at a time."""

    def build(numbered: tuple[int, Path]) -> Path:
        out = folder / f"{numbered[0]}.o"
        subprocess.run([*command, "-c", str(numbered[1]), "-o", str(out)], check=True)
        return out

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(build, enumerate(files)))


def works(compiler: str, folder: Path, flags: Sequence[str] = FLAGS) -> bool:
    """True where the compiler is there and can link a sanitized program."""
    if shutil.which(compiler) is None:
        return False
    (folder / "empty.c").write_text("int main(void) { return 0; }\n")
    command = [compiler, *flags, str(folder / "empty.c"), "-o", str(folder / "empty")]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def run(program: Sequence[str | Path], folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a sanitized program; a report of a sanitizer is an exit status that is not 0."""
    env = {**os.environ, "UBSAN_OPTIONS": "print_stacktrace=1", "ASAN_OPTIONS": "detect_leaks=0"}
    return subprocess.run(
        [*map(str, program)], cwd=folder, env=env, capture_output=True, text=True, timeout=600, check=False
    )


def replay(command: Sequence[str], symbols: Sequence[str], n: int, folder: Path) -> None:
    """n random calls of each kernel, compiled by ``command``; fails where an output differs or a sanitizer reports."""
    root = csrc.kernels_dir()
    (folder / "kernel_table.h").write_text("".join(f"    {symbol},\n" for symbol in symbols))
    files = [HERE / "sanitize" / "replay.c", *(root / name for name in sources(symbols))]
    objects = compile_all([*command, f"-I{root / 'include'}", f"-I{folder}"], files, folder)
    program = folder / "replay"
    subprocess.run([*command, *map(str, objects), "-o", str(program)], check=True)
    calls = [call for symbol in symbols for call in random_calls(symbol, n)]
    (folder / "calls").write_bytes(table(calls, symbols))
    done = run([program, "calls"], folder)
    if done.returncode != 0:
        at = int(re.findall(r"^call (\d+)$", done.stderr, re.MULTILINE)[-1])
        report = "\n".join(line for line in done.stderr.splitlines() if not line.startswith("call "))
        pytest.fail(f"{done.stdout}stopped at {calls[at].label}\n{report[:3000]}")
    assert done.stdout == f"{len(calls)} calls\n"


@pytest.mark.slow
@pytest.mark.parametrize(("compiler", "level"), BUILDS)
def test_kernels(compiler: str, level: str, tmp_path: Path) -> None:
    if not works(compiler, tmp_path):
        pytest.skip(f"needs {compiler} with its sanitizers")
    replay([compiler, *FLAGS, level], TABLE, CALLS or 6, tmp_path)


def test_simd_kernels_by_clang(tmp_path: Path) -> None:
    """The kernels that set their instruction set themselves: clang does so in another way than gcc."""
    if shutil.which("clang") is None:
        pytest.skip("needs clang")
    symbols = [symbol for symbol in TABLE if "__avx" in symbol]
    if not symbols:
        pytest.skip("this processor has neither AVX2 nor AVX-512")
    replay(["clang", "-std=gnu99", "-O1", "-Wall", "-Wextra", "-Werror"], symbols, 3, tmp_path)


def test_an_overrun_is_found(tmp_path: Path) -> None:
    """The replay itself: a call whose scratch or output is a byte short must not pass."""
    if not works("gcc", tmp_path):
        pytest.skip("needs gcc with its sanitizers")
    root = csrc.kernels_dir()
    symbol = "ebnn_add_s8__portable"
    command = ["gcc", *FLAGS, "-O0", f"-I{root / 'include'}", f"-I{tmp_path}"]
    (tmp_path / "kernel_table.h").write_text(f"    {symbol},\n")
    files = [HERE / "sanitize" / "replay.c", *(root / name for name in sources([symbol]))]
    subprocess.run([*command, *map(str, files), "-o", str(tmp_path / "replay")], check=True)
    (call,) = random_calls(symbol, 1)
    short = type(call)(
        "", call.kernel, call.struct, call.params, call.inputs, [call.outputs[0][:-1]], call.scratch
    )
    for made, passes in ((call, True), (short, False)):
        (tmp_path / "calls").write_bytes(table([made], [symbol]))
        done = run([tmp_path / "replay", "calls"], tmp_path)
        assert (done.returncode == 0) == passes
        assert ("heap-buffer-overflow" in done.stderr) != passes


def test_an_emitted_project(tiny_graph: Graph, tmp_path: Path) -> None:
    """Model, run loop and runner as emitted for this machine."""
    if not works("gcc", tmp_path):
        pytest.skip("needs gcc with its sanitizers")
    planned = plan(tiny_graph, targets.load("host"), only="portable")
    emit.emit(planned, tmp_path)
    root = csrc.kernels_dir()
    files = [tmp_path / "runner.c", tmp_path / "tiny.c"]
    files += [root / name for name in sources(step.kernel for step in planned.steps)]
    command = ["gcc", *FLAGS, "-O0", f"-I{root / 'include'}", f"-I{tmp_path}"]
    subprocess.run([*command, *map(str, files), "-o", str(tmp_path / "runner")], check=True)
    source = tiny_graph.tensors[tiny_graph.input]
    x = layers.random_codes(np.random.default_rng(4), source)
    (tmp_path / "in").write_bytes(storage.to_bytes(x, source))
    done = run([tmp_path / "runner", "in", "out"], tmp_path)
    assert done.returncode == 0, done.stderr
    expected = Runtime(planned).run(x).astype(np.int8).tobytes()
    assert (tmp_path / "out").read_bytes() == expected
