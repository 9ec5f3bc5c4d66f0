"""The kernel list: kernels.def as data."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from edgebnn import csrc

_LINE = re.compile(r"^EBNN_KERNEL\((\w+), *(\w+), *(\w+), *(\w+)\)", re.MULTILINE)


@dataclass(frozen=True)
class Kernel:
    """One line of kernels.def."""

    symbol: str
    op: str
    isa: str
    struct: str


@functools.cache
def kernels() -> dict[str, Kernel]:
    """All kernels by symbol."""
    text = (csrc.kernels_dir() / "kernels.def").read_text()
    return {m[0]: Kernel(*m) for m in _LINE.findall(text)}
