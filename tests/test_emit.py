"""The emitted C project: deterministic, strict C99, safe against any name, and describing its model rightly."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from models import programs
from models.annotated import random_model

from edgebnn import targets
from edgebnn.csrc import abi, kernels_dir
from edgebnn.emit import emit
from edgebnn.emit.source import c_string
from edgebnn.errors import ModelError
from edgebnn.host.cdefs import cdef
from edgebnn.ir import Graph, load, save
from edgebnn.ir.file import dumps
from edgebnn.passes import lower
from edgebnn.plan import Plan, plan

INCLUDE = ["-I", str(kernels_dir() / "include"), "-I", str(kernels_dir() / "src" / "core")]
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion"]
HOSTILE = [
    '"); system("id"); //',
    "back\\slash",
    "*/ int injected; /*",
    "new\nline\r\t\0end",
    "line \\\n#error injected",
    "what??/\n#error trigraph",
    "??)??<??>",
    "%s%n{0}$name${name}",
    "äöü 漢字 \U0001f600",
    "\x7f\x1b[31m",
    "1\\0612",
    "lone \ud800 surrogate",
    "",
]
#: EBNN_ABI of the last release, and of every struct that emitted models hold the CRC-32 of its fields then
RELEASED_ABI = 1
RELEASED = {
    "ebnn_tensor_t": 0x12B446FA,
    "ebnn_io_t": 0xFD02CF60,
    "ebnn_op_t": 0x2864700C,
    "ebnn_split_t": 0x4289BB0D,
    "ebnn_op_info_t": 0xD1BAD166,
    "ebnn_model_t": 0x7D7E20B0,
    "ebnn_conv_dims_t": 0x295B08D8,
    "ebnn_conv_s8_params_t": 0x422DCF7A,
    "ebnn_epilogue_t": 0x13EA6424,
    "ebnn_bconv_params_t": 0x30FEFCE6,
    "ebnn_quantize_params_t": 0xC98A3819,
    "ebnn_layout_params_t": 0xAB4CCA4D,
    "ebnn_add_s8_params_t": 0x50A6CFE7,
    "ebnn_pool_params_t": 0xC6EFB886,
    "ebnn_softmax_s8_params_t": 0xBE598BD2,
    "ebnn_bconv_neon_params_t": 0x9F2CBD08,
    "ebnn_bconv_s8_neon_params_t": 0x9E3026F7,
    "ebnn_conv_s8_neon_params_t": 0x5EF9D255,
    "ebnn_bconv_lanes_params_t": 0x599B436C,
    "ebnn_bconv_bits_params_t": 0x15862DF4,
    "ebnn_bdense_bits_params_t": 0x2691087F,
    "ebnn_bconv_s8_params_t": 0x9EBB61A3,
    "ebnn_bdense_s8_params_t": 0x7EA20B57,
    "ebnn_bconv_wide_params_t": 0xDCDEC534,
    "ebnn_bconv_dot_params_t": 0xD84B0E8C,
    "ebnn_bconv_s8_wide_params_t": 0x9E3026F7,
    "ebnn_conv_s8_wide_params_t": 0x17CBABCD,
}

needs_gcc = pytest.mark.skipif(programs.compiler() is None, reason="no C compiler for this machine")


def _graph(seed: int, steps: int = 5, name: str = "random") -> Graph:
    return lower(random_model(np.random.default_rng([9, seed]), steps, name, head=True))


def _hostile() -> Graph:
    """A model with hostile layer names, tensor names and labels."""
    graph = _graph(2, 8, "hostile")
    names = [f"{HOSTILE[i % len(HOSTILE)]}{i}" for i in range(len(graph.ops))]
    ops = [dataclasses.replace(op, name=name) for op, name in zip(graph.ops, names, strict=True)]
    renamed = dict(zip((op.output for op in graph.ops), names, strict=True))
    ops = [
        dataclasses.replace(
            op,
            inputs=tuple(renamed.get(n, n) for n in op.inputs),
            outputs=tuple(renamed.get(n, n) for n in op.outputs),
        )
        for op in ops
    ]
    types = {renamed.get(n, n): t for n, t in graph.tensors.items()}
    return dataclasses.replace(
        graph, ops=tuple(ops), tensors=types, output=renamed[graph.output], meta={"labels": HOSTILE}
    )


def _files(planned: Plan, folder: Path) -> dict[str, bytes]:
    folder.mkdir(parents=True)
    emit(planned, folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _compile(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[:3000]


@pytest.mark.parametrize("target", ["host", "cortex-m4", "cortex-m0", "cortex-m55"])
def test_same_model_same_bytes(target: str, tmp_path: Path) -> None:
    for seed in range(4):
        one = _files(plan(_graph(seed), targets.load(target)), tmp_path / f"{seed}a")
        two = _files(plan(_graph(seed), targets.load(target)), tmp_path / f"{seed}b")
        assert one == two
        built = set() if targets.load(target).board else {"Makefile", "runner.c"}
        assert set(one) == {"random.c", "random.h", "random.ebnn", "ebnn_model.h", "report.json"} | built


def test_same_bytes_in_another_process(tmp_path: Path) -> None:
    """Neither hash seeds nor the way through the file change anything."""
    graph = _graph(1)
    here = _files(plan(graph, targets.load("cortex-m4")), tmp_path / "here")
    save(graph, tmp_path / "m.ebnn")
    there = tmp_path / "there"
    there.mkdir()
    code = (
        "import sys; from pathlib import Path; from edgebnn import ir, targets; from edgebnn.emit import emit\n"
        "from edgebnn.plan import plan\n"
        "emit(plan(ir.load(Path(sys.argv[1])), targets.load('cortex-m4')), Path(sys.argv[2]))"
    )
    root = str(Path(__file__).resolve().parents[1])
    env = {**os.environ, "PYTHONHASHSEED": "77", "PYTHONPATH": root}
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "m.ebnn"), str(there)], check=True, env=env, timeout=120
    )
    assert {path.name: path.read_bytes() for path in there.iterdir()} == here


@needs_gcc
def test_hostile_names_stay_text(tmp_path: Path) -> None:
    """Every name and label arrives at the program as the bytes it had; nothing else does."""
    planned = plan(_hostile(), targets.load("host"))
    folder = programs.folder_of(planned, tmp_path)
    main = folder / "main.c"
    main.write_text(
        '#include <stdio.h>\n#include "ebnn_model.h"\n'
        "int main(void) {\n    const ebnn_model_t *m = &EBNN_MODEL;\n"
        "    for (uint32_t i = 0; i < m->n_labels; i++) { fputs(m->labels[i], stdout); putchar(1); }\n"
        "    for (uint32_t i = 0; i < m->n_ops; i++) { fputs(m->info[i].name, stdout); putchar(1); }\n"
        "    return 0;\n}\n"
    )
    kernels = [str(kernels_dir() / s) for s in json.loads((folder / "report.json").read_text())["sources"]]
    program = folder / "program"
    strict = [
        "gcc",
        "-std=c99",
        "-trigraphs",
        *WARNINGS,
        "-Wtrigraphs",
        *INCLUDE,
        "-c",
        str(folder / "hostile.c"),
    ]
    _compile([*strict, "-o", str(folder / "hostile.o")])
    _compile(["gcc", "-O0", *INCLUDE, "-o", str(program), str(main), str(folder / "hostile.o"), *kernels])
    out = subprocess.run([str(program)], capture_output=True, check=True, timeout=60).stdout.split(b"\1")[:-1]
    texts = [*HOSTILE, *(op.name for op in planned.graph.ops)]
    assert out == [t.encode(errors="replace").split(b"\0")[0] for t in texts]


def test_hostile_names_leave_the_c_ascii_and_whole(tmp_path: Path) -> None:
    files = _files(plan(_hostile(), targets.load("cortex-m4")), tmp_path / "out")
    for name in ("hostile.c", "hostile.h", "ebnn_model.h"):
        text = files[name].decode("ascii")
        assert "??" not in text and "\r" not in text and "\t" not in text
        assert not re.search(r"\\$", text, re.MULTILINE)
        # strings and comments, whichever begins first, as a compiler reads them
        code = re.sub(r'"[^"\n]*"|/\*.*?\*/', "", text, flags=re.DOTALL)
        assert "injected" not in code and "system" not in code
    save(_hostile(), tmp_path / "h.ebnn")
    assert dumps(load(tmp_path / "h.ebnn")) == (tmp_path / "h.ebnn").read_bytes()


@pytest.mark.parametrize("text", HOSTILE)
def test_c_string_has_no_quotes_inside(text: str) -> None:
    literal = c_string(text)
    assert re.fullmatch(r'"([ !#->@-\[\]-~]|\\[0-7]{3})*"', literal)


@pytest.mark.parametrize(
    "name", ["a b", "1a", "", "é", "x" * 64, "string", "ebnn", "ebnn_kernels", "a.b", "../a"]
)
def test_model_names_that_c_cannot_have(name: str) -> None:
    with pytest.raises(ModelError, match="model name"):
        plan(dataclasses.replace(_graph(0, 2), name=name), targets.load("host"))


@pytest.mark.parametrize("target", ["cortex-m0", "cortex-m4", "cortex-m55"])
def test_strict_c99_for_the_target(target: str, tmp_path: Path) -> None:
    chosen = targets.load(target)
    if shutil.which(chosen.compiler) is None:
        pytest.skip(f"needs {chosen.compiler}")
    files = []
    for seed, optimize in ((3, "speed"), (4, "size"), (5, "speed")):
        planned = plan(_graph(seed, 7, f"m{seed}"), chosen, optimize)
        files.append(str(programs.folder_of(planned, tmp_path) / f"m{seed}.c"))
    command = [chosen.compiler, *chosen.cflags, "-std=c99", *WARNINGS, "-fsyntax-only", *INCLUDE]
    _compile([*command, *files])
    _compile([*command, "-DEBNN_NO_INFO", *files])


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
@pytest.mark.parametrize("standard", ["c++98", "c++17"])
def test_header_in_cpp(standard: str, tmp_path: Path) -> None:
    folder = programs.folder_of(plan(_graph(1), targets.load("cortex-m4")), tmp_path)
    source = tmp_path / "use.cpp"
    source.write_text(
        '#include "ebnn_model.h"\n#include "ebnn_model.h"\n'
        "static unsigned char arena[EBNN_MODEL_ARENA_SIZE];\n"
        "int zero() { return 1 -RANDOM_INPUT_ZERO_POINT -RANDOM_OUTPUT_ZERO_POINT; }\n"
        "float scale() { return RANDOM_INPUT_SCALE * RANDOM_OUTPUT_SCALE; }\n"
        "int use() { return static_cast<int>(ebnn_run(&EBNN_MODEL, arena, sizeof arena)); }\n"
    )
    warnings = [w for w in WARNINGS if standard != "c++98" or w != "-pedantic"]  # uint64 needs C++11
    _compile(
        ["g++", f"-std={standard}", *warnings, "-fsyntax-only", *INCLUDE, "-I", str(folder), str(source)]
    )


@needs_gcc
def test_a_model_of_another_abi_does_not_compile(tmp_path: Path) -> None:
    folder = programs.folder_of(plan(_graph(1), targets.load("host")), tmp_path)
    source = folder / "random.c"
    source.write_text(re.sub(r"EBNN_ABI != \d+", "EBNN_ABI != 99", source.read_text()))
    command = ["gcc", "-fsyntax-only", *INCLUDE, str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0 and "convert the model again" in done.stderr


def test_changed_structs_have_another_abi() -> None:
    """A struct that is not what it was in the last release needs the next EBNN_ABI (SPEC.md); new ones do not."""
    found = re.findall(r"typedef struct (?:\w+ )?\{(.*?)\} (\w+);", cdef(kernels_dir()), re.DOTALL)
    structs = {name: zlib.crc32(" ".join(fields.split()).encode()) for fields, name in found}
    assert len(structs) >= len(RELEASED)
    changed = [name for name, crc in RELEASED.items() if structs.get(name) != crc]
    assert abi() == RELEASED_ABI + bool(changed), (
        f"changed since EBNN_ABI {RELEASED_ABI}: {', '.join(changed)}"
    )


def test_report_describes_the_plan(tmp_path: Path) -> None:
    for seed in range(6):
        planned = plan(_graph(seed), targets.load("cortex-m4"))
        files = _files(planned, tmp_path / str(seed))
        report = json.loads(files["report.json"])
        layers = report["layers"]
        assert [layer["name"] for layer in layers] == [op.name for op in planned.graph.ops]
        flash = report["flash"]
        assert flash["weights"] == sum(layer["weight_bytes"] for layer in layers)
        assert flash["constants"] == sum(layer["constant_bytes"] for layer in layers)
        assert flash["total"] == flash["weights"] + flash["constants"]
        assert all(layer["weight_bytes"] >= 0 and layer["constant_bytes"] >= 0 for layer in layers)
        assert report["arena"] == planned.arena
        assert report["crc"] == zlib.crc32(files["random.ebnn"]) == planned.crc
        assert set(report["kernels"]) == {step.kernel for step in planned.steps}
        assert all((kernels_dir() / source).is_file() for source in report["sources"])
        text = files["random.c"].decode()
        assert f".arena_size = {planned.arena}u" in text and f".crc = {planned.crc}u" in text
        assert f"#define RANDOM_ARENA_SIZE {planned.arena}u" in files["random.h"].decode()


@needs_gcc
def test_sources_of_the_report_are_enough(tmp_path: Path) -> None:
    """The listed files alone link, for the target whose kernels compile here."""
    for seed, target in ((6, "host"), (7, "cortex-m4")):
        planned = plan(_graph(seed, 6, f"m{seed}"), targets.load(target))
        program = programs.Program([planned], _new(tmp_path / str(seed)))
        assert program.path.is_file()


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder
