"""Emitted models as one host program: many models, one compiler call, every layer's output back."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgebnn.csrc import kernels_dir
from edgebnn.emit import emit
from edgebnn.ir import storage
from edgebnn.plan import Plan, report

STRICT = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion"]
MAIN = """#include <stdio.h>
#include <stdlib.h>
{includes}
static const ebnn_model_t *const models[] = {{{models}}};
static uint8_t arena[{arena}] __attribute__((aligned(16)));
/* Arguments: a model's number. Standard input: inputs; standard output: the output of every step. */
int main(int count, char **words) {{
    const ebnn_model_t *m = models[count > 1 ? atoi(words[1]) : 0];
    if (ebnn_check(m, arena, m->arena_size) != EBNN_OK) {{
        return 1;
    }}
    while (fread(arena + m->input.offset, 1, m->input.size, stdin) == m->input.size) {{
        for (uint32_t i = 0; i < m->n_ops; i++) {{
            if (ebnn_run_op(m, arena, i) != EBNN_OK) {{
                return 2;
            }}
            fwrite(arena + m->info[i].out.offset, 1, m->info[i].out.size, stdout);
        }}
    }}
    return fflush(stdout) == 0 ? 0 : 3;
}}
"""


def compiler() -> str | None:
    """The host's C compiler, None where there is none."""
    return shutil.which("gcc") or shutil.which("cc")


def folder_of(plan: Plan, parent: Path) -> Path:
    """The emitted project of a plan."""
    folder = parent / plan.graph.name
    folder.mkdir()
    emit(plan, folder)
    return folder


def _run(*command: str, data: bytes = b"") -> bytes:
    done = subprocess.run(command, input=data, capture_output=True, check=False, timeout=300)
    assert done.returncode == 0, f"{command[0]}: status {done.returncode}: {done.stderr.decode()[:3000]}"
    return done.stdout


class Program:
    """Plans with different names, emitted and compiled together."""

    def __init__(self, plans: Sequence[Plan], folder: Path) -> None:
        cc = compiler()
        assert cc is not None
        self.plans = list(plans)
        folders = [folder_of(plan, folder) for plan in plans]
        names = [plan.graph.name for plan in plans]
        main = folder / "main.c"
        main.write_text(
            MAIN.format(
                includes="\n".join(f'#include "{n}/{n}.h"' for n in names),
                models=", ".join(f"&{n}_model" for n in names),
                arena=max(plan.arena for plan in plans) + 16,
            )
        )
        root = kernels_dir()
        sources = sorted({root / s for plan in plans for s in report(plan)["sources"]})
        models = [f / f"{n}.c" for f, n in zip(folders, names, strict=True)]
        include = ["-I", str(root / "include"), "-I", str(root / "src" / "core")]
        self.path = folder / "program"
        # models and kernels apart: their warnings differ
        objects = []
        for stem, flags, files in (
            ("model", [*STRICT, "-O0"], [*models, main]),
            ("kernel", ["-std=gnu99", "-O1"], sources),
        ):
            for i, file in enumerate(files):
                objects.append(folder / f"{stem}{i}.o")
                _run(cc, *flags, *include, "-c", str(file), "-o", str(objects[-1]))
        _run(cc, "-o", str(self.path), *map(str, objects))

    def layers(self, index: int, inputs: Sequence[np.ndarray]) -> list[dict[str, bytes]]:
        """Stored output of every layer of plan ``index``, by layer name, for each input."""
        graph = self.plans[index].graph
        data = b"".join(storage.to_bytes(x, graph.tensors[graph.input]) for x in inputs)
        out = _run(str(self.path), str(index), data=data)
        results, at = [], 0
        for _ in inputs:
            layers = {}
            for op in graph.ops:
                size = graph.tensors[op.output].nbytes
                layers[op.name] = out[at : at + size]
                at += size
            results.append(layers)
        assert at == len(out)
        return results
