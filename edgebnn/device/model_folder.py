"""What devices need of a converted model's folder."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgebnn.errors import ModelError, UsageError


@dataclass(frozen=True)
class ModelFolder:
    """A folder that ``edgebnn convert`` wrote."""

    path: Path
    name: str
    report: dict[str, Any]  # report.json

    @property
    def target(self) -> str | None:
        """Name of the target it was converted for."""
        return self.report.get("target")

    def crc(self) -> int | None:
        """CRC-32 of the ``.ebnn`` file, which the emitted model carries; None where the file is missing."""
        try:
            return zlib.crc32((self.path / f"{self.name}.ebnn").read_bytes())
        except OSError:
            return None


def read(folder: Path) -> ModelFolder:
    """Reads ``folder``. UsageError: it is none, or holds no model; ModelError: its report is damaged."""
    if not folder.exists():
        raise UsageError(f"{folder}: no such folder", "give the output folder of 'edgebnn convert'")
    path = folder / "report.json"
    if not path.is_file():
        raise UsageError(f"{folder}: holds no report.json", "give the output folder of 'edgebnn convert'")
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        name, sources = report["name"], report["sources"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: damaged", "convert the model again") from error
    if not isinstance(name, str) or not name.isidentifier() or not isinstance(sources, list):
        raise ModelError(f"{path}: damaged, 'name' or 'sources' is wrong", "convert the model again")
    for needed in (f"{name}.c", "ebnn_model.h"):
        if not (folder / needed).is_file():
            raise ModelError(f"{folder / needed}: missing", "convert the model again")
    return ModelFolder(folder, name, report)
