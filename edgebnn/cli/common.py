"""What the commands share: ``--json``, output on standard output, messages on standard error, model files."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from edgebnn.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

F = TypeVar("F", bound=Callable[..., Any])


def json_option(command: F) -> F:
    """Adds ``--json``: one JSON document on standard output and nothing else there."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(command)


def isa_option(command: F) -> F:
    """Adds ``--isa NAME``."""
    return click.option("--isa", metavar="NAME", help="Best instruction set to use; overrides EDGEBNN_ISA.")(
        command
    )


def threads_option(command: F) -> F:
    """Adds ``--threads N``."""
    option = click.option(
        "--threads",
        type=click.IntRange(1, 64),
        default=1,
        metavar="N",
        help="Threads; the result is the same for any number [1].",
    )
    return option(command)


def emit_json(document: dict[str, Any]) -> None:
    """Prints ``document``, plain JSON values only, on standard output."""
    click.echo(json.dumps(document, indent=2, allow_nan=False))


def console() -> Console:
    """A rich console on standard output, for tables: 120 columns wide where that is no terminal."""
    from rich.console import Console

    known = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(highlight=False, width=None if known else 120)


def stderr_console() -> Console:
    """A rich console on standard error, for progress and messages."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def say(message: str) -> None:
    """One plain message on standard error."""
    click.echo(message, err=True)


def model_file(path: Path) -> Path:
    """The ``.ebnn`` file meant by ``path``: the file itself, or the one in a converted model's folder."""
    if path.is_dir():
        from edgebnn.device import model_folder

        file = path / f"{model_folder.read(path).name}.ebnn"
        if not file.is_file():
            raise UsageError(f"{file}: no such file", "convert the model again")
        return file
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder", "give a .ebnn file or a converted model's folder")
    return path
