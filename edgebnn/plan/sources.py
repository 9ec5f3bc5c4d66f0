"""Which C files of cmsis_kernels/ a set of kernels needs: found by what the files define and include."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from pathlib import Path

from edgebnn import csrc
from edgebnn.errors import ModelError

RUN_LOOP = "src/ebnn_run.c"
_DEFINITION = re.compile(r"^(?!static)[A-Za-z_][\w \*]*?\b(ebnn_\w+)\s*\([^;{]*\)\s*\{", re.MULTILINE)
_NAME = re.compile(r"\b(ebnn_\w+)\b")
_PROTOTYPE = re.compile(r"^[A-Za-z_][\w \*]*\b\w+\s*\([^;{}]*\)\s*;", re.MULTILINE)
_INCLUDE = re.compile(r'^#include "([^"]+)"', re.MULTILINE)


def _text(path: Path) -> str:
    """A C file with the project's own headers inlined once (headers may call functions of other files)."""
    seen: set[Path] = set()

    def read(file: Path) -> str:
        if file in seen or not file.is_file():
            return ""
        seen.add(file)
        text = file.read_text()
        roots = (file.parent, csrc.kernels_dir() / "include", csrc.kernels_dir() / "src" / "core")
        inlined = [
            read(root / name) for name in _INCLUDE.findall(text) if name != "../kernels.def" for root in roots
        ]
        return "\n".join([*inlined, text])

    return read(path)


@functools.cache
def _index() -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """(files that define each function, functions each file mentions)."""
    root = csrc.kernels_dir()
    defines: dict[str, set[str]] = {}
    mentions: dict[str, set[str]] = {}
    for path in sorted((root / "src").rglob("*.c")):
        name = path.relative_to(root).as_posix()
        text = _text(path)
        for function in _DEFINITION.findall(text):
            defines.setdefault(function, set()).add(name)
        mentions[name] = set(_NAME.findall(_PROTOTYPE.sub("", text)))
    return defines, mentions


def sources(kernel_symbols: Iterable[str]) -> list[str]:
    """Files relative to cmsis_kernels/, the run loop first, the rest sorted. Raises ModelError for a kernel that no
    file defines."""
    defines, mentions = _index()
    needed: set[str] = set()
    todo = list(kernel_symbols)
    for symbol in todo:
        if symbol not in defines:
            raise ModelError(
                f"kernel {symbol}: no C file defines it", "the installation of edgebnn is incomplete"
            )
    while todo:
        for file in sorted(defines.get(todo.pop(), ())):
            if file not in needed and file != RUN_LOOP:
                needed.add(file)
                todo += sorted(mentions[file])
    return [RUN_LOOP, *sorted(needed)]
