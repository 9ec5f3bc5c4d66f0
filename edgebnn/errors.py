"""Typed errors of edgebnn: each has a one-line message, a hint and the exit code of the command line.

Exit codes: 0 ok, 1 mismatch, 2 usage, 3 model, 4 toolchain, 5 device.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class EdgebnnError(Exception):
    """Base of every error a user can cause. ``str(e)`` is one line; ``hint`` says what to do."""

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class MismatchError(EdgebnnError):
    """Two runs that must give the same bytes did not."""

    exit_code = 1


class UsageError(EdgebnnError):
    """A wrong argument, or an input file that is missing or unreadable."""

    exit_code = 2


class ModelError(EdgebnnError):
    """A model that is damaged, unsupported or does not fit."""

    exit_code = 3


class ToolchainError(EdgebnnError):
    """A compiler, emulator or optional package is missing or failed."""

    exit_code = 4


class DeviceError(EdgebnnError):
    """A port or device is missing, silent or answers wrongly."""

    exit_code = 5


def did_you_mean(name: str, known: Iterable[str], what: str = "known") -> str:
    """The hint for a ``name`` that is none of ``known``: the nearest of them, else all of them after ``what``."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"{what}: {', '.join(known)}"
