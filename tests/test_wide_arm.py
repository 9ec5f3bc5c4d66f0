"""NEON kernels under user-mode emulation: random layers as emitted projects, cross-compiled, against the reference."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from kernels_emulated import layers

from edgebnn import csrc, emit, ir, targets
from edgebnn.converters import load_model
from edgebnn.emit.source import header_text, source_text
from edgebnn.host import Runtime
from edgebnn.ir import Graph, reference, storage
from edgebnn.passes import lower
from edgebnn.plan import Plan, plan

ROOT = Path(__file__).resolve().parent.parent
EMULATORS = {"aarch64": "qemu-aarch64", "armv7-neon": "qemu-arm"}
TARGETS = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            not (shutil.which(emulator) and shutil.which(targets.load(name).compiler)),
            reason=f"needs {emulator} and {targets.load(name).compiler}",
        ),
    )
    for name, emulator in EMULATORS.items()
]
#: models of one program, and how many of each kernel the planner must have taken
MODELS = 160
LEAST = 15

_MAIN = """
#include <stdio.h>
#include <string.h>
#include "ebnn.h"
{declarations}
static const ebnn_model_t *const models[] = {{{addresses}}};
static uint8_t arena[{arena}] __attribute__((aligned(16)));
int main(int argc, char **argv) {{
    FILE *in = fopen(argv[1], "rb"), *out = fopen(argv[2], "wb");
    for (unsigned i = 0; argc == 3 && i < sizeof models / sizeof models[0]; i++) {{
        const ebnn_model_t *m = models[i];
        memset(arena, 0xA5, sizeof arena);
        if (fread(arena + m->input.offset, 1, m->input.size, in) != m->input.size) return 3;
        if (ebnn_run(m, arena, sizeof arena) != EBNN_OK) return 4;
        fwrite(arena + m->output.offset, 1, m->output.size, out);
    }}
    return fclose(out);
}}
"""


def random_graph(rng: np.random.Generator, index: int) -> Graph:
    """A one-input low-bit layer."""
    while True:
        graph = layers.bconv2d(rng)
        op = graph.ops[0]
        if len(op.inputs) == 1 and len(op.outputs) == 1 and graph.tensors["in0"].dtype != "s8":
            return Graph(f"m{index}", graph.ops, graph.tensors, graph.input, graph.output)


def plans(target: str) -> list[Plan]:
    """Random layers, planned for one of the NEON kernels in turn where it takes the layer."""
    rng = np.random.default_rng(11)
    wanted = ("wide__neon", "dot__neon")
    return [plan(random_graph(rng, i), targets.load(target), only=wanted[i % 2]) for i in range(MODELS)]


def compile_program(target: targets.Target, folder: Path, models: list[Plan]) -> Path:
    """One static program that runs every model on its part of the input file."""
    root = csrc.kernels_dir()
    includes = [f"-I{folder}", *(f"-I{root / part}" for part in ("include", "src/core", "src/portable"))]
    command = [target.compiler, *target.cflags, "-std=gnu99", "-O1", *includes]
    needed = sorted({s for p in models for s in emit.source.sources(step.kernel for step in p.steps)})
    for p in models:
        name = p.graph.name
        (folder / f"{name}.h").write_text(header_text(p))
        (folder / f"{name}.c").write_text(source_text(p))
    names = [p.graph.name for p in models]
    main = _MAIN.format(
        declarations="\n".join(f'#include "{n}.h"' for n in names),
        addresses=", ".join(f"&{n}_model" for n in names),
        arena=max(p.arena for p in models) + 16,
    )
    (folder / "main.c").write_text(main)
    # the models are small, the kernels are not: the one at -O0, the others at -O1
    parts = [folder / "main.c", *(folder / f"{n}.c" for n in names)]
    objects = []
    for chunk in range(0, len(parts), 60):
        subprocess.run([*command, "-O0", "-c", *parts[chunk : chunk + 60]], cwd=folder, check=True)
        objects += [folder / f"{p.stem}.o" for p in parts[chunk : chunk + 60]]
    program = folder / "program"
    kernels = [root / source for source in needed]
    subprocess.run([*command, "-static", *kernels, *objects, "-o", program], cwd=folder, check=True)
    return program


@pytest.mark.emulator
@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_random_layers(name: str, tmp_path: Path) -> None:
    target = targets.load(name)
    models = plans(name)
    taken = [step.kernel for p in models for step in p.steps]
    for kernel in ("ebnn_bconv2d_wide__neon", "ebnn_bconv2d_dot__neon", "ebnn_layout_planes__neon"):
        assert taken.count(kernel) >= LEAST, f"{kernel} is in {taken.count(kernel)} plans only"
    program = compile_program(target, tmp_path, models)
    rng = np.random.default_rng(12)
    data, wanted = b"", []
    for p in models:
        source, out = (p.source.tensors[n] for n in (p.source.input, p.source.output))
        x = layers.random_codes(rng, source)
        data += storage.to_bytes(x, source)
        wanted.append(storage.to_bytes(reference.run(p.source, x)[p.source.output], out))
    (tmp_path / "in").write_bytes(data)
    emulator = EMULATORS[name]
    done = subprocess.run([emulator, program, tmp_path / "in", tmp_path / "out"], timeout=300, check=False)
    assert done.returncode == 0
    got, at = (tmp_path / "out").read_bytes(), 0
    wrong = []
    for p, expected in zip(models, wanted, strict=True):
        if got[at : at + len(expected)] != expected:
            step = next(s for s in p.steps if s.op.type != "layout")
            wrong.append(f"{p.graph.name} {step.kernel} {dict(step.op.attrs, weights=None)}")
        at += len(expected)
    assert not wrong and at == len(got), f"{len(wrong)} of {len(models)} layers:\n" + "\n".join(wrong[:5])


@pytest.mark.emulator
@pytest.mark.parametrize("name", TARGETS)
def test_emitted_project_builds_and_gives_the_bytes_of_the_reference(
    name: str, tiny_graph: Graph, tmp_path: Path
) -> None:
    emit.emit(plan(tiny_graph, targets.load(name)), tmp_path)
    kernels = f"KERNELS={csrc.kernels_dir()}"
    subprocess.run(
        ["make", "-s", kernels, "CFLAGS=-O1 -Wall -Wextra -Werror"], cwd=tmp_path, check=True, timeout=300
    )
    source = tiny_graph.tensors[tiny_graph.input]
    x = layers.random_codes(np.random.default_rng(3), source)
    (tmp_path / "in").write_bytes(storage.to_bytes(x, source))
    command = [EMULATORS[name], "./runner", "in", "out"]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True, timeout=60)
    expected = reference.run(ir.load(tmp_path / "tiny.ebnn"), x)[tiny_graph.output]
    assert (tmp_path / "out").read_bytes() == storage.to_bytes(
        expected, tiny_graph.tensors[tiny_graph.output]
    )
    labels = tiny_graph.meta["labels"]
    index = int(np.argmax(expected))
    assert done.stdout.startswith(f"{index} {labels[index]}: ")
    short = subprocess.run(
        [EMULATORS[name], "./runner", "runner.c"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert short.returncode == 2 and "the model takes 90 bytes" in short.stderr


@pytest.mark.emulator
@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_keyword_spotter_gives_the_bytes_of_the_host(name: str, data_dir: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    graph = lower(load_model(ROOT / "examples" / "kws" / "kws.pt"))
    host = Runtime(plan(graph, targets.load("host")))
    emit.emit(plan(graph, targets.load(name)), tmp_path)
    kernels = f"KERNELS={csrc.kernels_dir()}"
    subprocess.run(["make", "-s", kernels, "CFLAGS=-O1"], cwd=tmp_path, check=True, timeout=300)
    with np.load(data_dir / "kws12_val.npz") as archive:
        clips = archive["features"][:5]
    for clip in clips:
        (tmp_path / "in").write_bytes(clip.astype(np.int8).tobytes())
        subprocess.run([EMULATORS[name], "./runner", "in", "out"], cwd=tmp_path, check=True, timeout=60)
        assert (tmp_path / "out").read_bytes() == host.run(clip).astype(np.int8).tobytes()
