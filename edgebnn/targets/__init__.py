"""Targets: what a plan and a compiler must know of a processor. A target is a data file, ``<name>.toml``."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgebnn.errors import UsageError, did_you_mean
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
    compiler: str  # C compiler, a name on PATH
    cflags: tuple[str, ...]  # options that select the processor
    hosted: bool  # an operating system with files: the emitted project gets a Makefile and a runner
    board: str | None  # default board of ``edgebnn build``, None where no firmware exists


def names() -> list[str]:
    """Names of all targets, sorted."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def native() -> list[str]:
    """Instruction sets of the target "host", most wanted first, whether this processor has them or not."""
    return list(_read("host")["isa"])


def _read(name: str) -> dict[str, Any]:
    with (_FOLDER / f"{name}.toml").open("rb") as file:
        return tomllib.load(file)


def load(name: str, isa: str | None = None) -> Target:
    """Reads the target ``name``. ``isa``: the best instruction set to use of a native target, instead of EDGEBNN_ISA.
    UsageError, with the nearest name as the hint, where there is no such target or instruction set."""
    known = names()
    if name not in known:
        hint = did_you_mean(name.lower().replace("_", "-"), known, "known targets")
        raise UsageError(f"unknown target '{name}'", hint)
    data = _read(name)
    return Target(
        name=name,
        title=data["title"],
        isa=cpu.best_first(data["isa"], isa) if data.get("native") else tuple(data["isa"]),
        compiler=data["compiler"],
        cflags=tuple(data["cflags"]),
        hosted=data.get("hosted", False),
        board=data.get("board"),
    )
