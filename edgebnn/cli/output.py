"""The output folder of ``edgebnn convert``: written beside its place and renamed, so whole or absent."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgebnn.errors import UsageError

_SHARED_FILES = ("ebnn_model.h", "report.json")


def generated_files(name: str) -> set[str]:
    """Names of the files that a conversion of the model ``name`` writes."""
    return {f"{name}.c", f"{name}.h", f"{name}.ebnn", *_SHARED_FILES}


def _previous(folder: Path) -> dict[str, Any] | None:
    """The report of the conversion that ``folder`` holds, or None where it holds none."""
    try:
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        name = report["name"]
        return dict(report) if name.isidentifier() and (folder / f"{name}.ebnn").is_file() else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def check(folder: Path) -> None:
    """Raises UsageError where ``folder`` may not be written: a file, or a folder that is in other use."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: is a file, not a folder", "choose another output folder with -o")
    if folder.is_dir() and any(folder.iterdir()) and _previous(folder) is None:
        raise UsageError(
            f"{folder}: not empty, and holds no earlier conversion", "choose another output folder with -o"
        )
    parent = folder.absolute().parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir():
        raise UsageError(f"{folder}: {parent} is a file", "choose another output folder with -o")


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Gives an empty folder to write; makes it ``folder`` when the block ends well, else removes it.

    The files of an earlier conversion are replaced; other things in its folder (say, firmware builds) stay.
    """
    check(folder)
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}.new-", dir=folder.parent))
    try:
        fresh.chmod(0o755)
        yield fresh
        if not folder.exists() or not any(folder.iterdir()):
            fresh.replace(folder)
            return
        report = _previous(folder)
        old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old-", dir=folder.parent))
        folder.replace(old)
        fresh.replace(folder)
        stale = generated_files(report["name"]) if report else set()
        for path in sorted(old.iterdir()):
            if path.name not in stale and not (folder / path.name).exists():
                path.replace(folder / path.name)
        shutil.rmtree(old)
    finally:
        if fresh.exists():
            shutil.rmtree(fresh)
