"""Targets: what a plan and a compiler must know of a processor. A target is a data file, ``<name>.toml``."""

from __future__ import annotations

import difflib
import sys
from dataclasses import dataclass
from pathlib import Path

from edgebnn.errors import UsageError
from edgebnn.targets import cpu

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Target:
    """A processor a model can be planned for."""

    name: str
    title: str
    isa: tuple[str, ...]  # instruction sets of kernels.def, most wanted first
    word_bits: int  # width of a general-purpose register
    compiler: str  # C compiler, a name on PATH
    cflags: tuple[str, ...]  # options that select the processor
    hosted: bool  # an operating system with files: the emitted project gets a Makefile and a runner
    board: str | None  # default board of ``edgebnn build``, None where no firmware exists


def names() -> list[str]:
    """Names of all targets, sorted."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def load(name: str) -> Target:
    """Reads the target ``name``. UsageError, with the nearest name as the hint, where there is none."""
    known = names()
    if name not in known:
        near = difflib.get_close_matches(name.lower().replace("_", "-"), known, n=1)
        hint = f"did you mean {near[0]}?" if near else "known targets: " + ", ".join(known)
        raise UsageError(f"unknown target '{name}'", hint)
    with (_FOLDER / f"{name}.toml").open("rb") as file:
        data = tomllib.load(file)
    return Target(
        name=name,
        title=data["title"],
        isa=cpu.best_first(data["isa"]) if data.get("native") else tuple(data["isa"]),
        word_bits=data["word_bits"],
        compiler=data["compiler"],
        cflags=tuple(data["cflags"]),
        hosted=data.get("hosted", False),
        board=data.get("board"),
    )
