"""Boards the firmware is built for. A board is data, ``firmware/boards/<name>/board.toml``."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from edgebnn.csrc import firmware_dir
from edgebnn.errors import UsageError, did_you_mean

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class Emulator:
    """How QEMU runs a board. One instruction takes ``2 ** icount_shift`` ns of its virtual time."""

    machine: str
    icount_shift: int


@dataclass(frozen=True)
class Board:
    """A board, from its ``board.toml``. Sizes are in bytes."""

    name: str
    title: str
    target: str  # the target of ``edgebnn convert`` that matches its processor
    status: str  # how far the port has been tried
    clock_hz: int
    flash_size: int
    ram_size: int
    uart: str  # kind of its serial port
    baud: int
    emulator: Emulator | None


def _bytes(size: str) -> int:
    """'16K' -> 16384, the notation of linker scripts."""
    factor = {"K": 1024, "M": 1024 * 1024}.get(size[-1:].upper())
    return int(size[:-1]) * factor if factor else int(size, 0)


def names() -> list[str]:
    """Names of all boards, sorted."""
    return sorted(path.parent.name for path in (firmware_dir() / "boards").glob("*/board.toml"))


def load(name: str) -> Board:
    """Reads the board ``name``. Raises UsageError, with the nearest name as the hint, where there is none."""
    known = names()
    if name not in known:
        hint = did_you_mean(name.lower().replace("_", "-"), known, "known boards")
        raise UsageError(f"unknown board '{name}'", hint)
    text = (firmware_dir() / "boards" / name / "board.toml").read_text(encoding="utf-8")
    data: dict[str, Any] = tomllib.loads(text)
    emulator = data.get("emulator")
    return Board(
        name=name,
        title=data["title"],
        target=data["target"],
        status=data["status"],
        clock_hz=data["clock_hz"],
        flash_size=_bytes(data["memory"]["flash_size"]),
        ram_size=_bytes(data["memory"]["ram_size"]),
        uart=data["uart"]["kind"],
        baud=data["uart"]["baud"],
        emulator=Emulator(emulator["machine"], emulator["icount_shift"]) if emulator else None,
    )
