"""Writes a plan as a C project: <name>.c, <name>.h, ebnn_model.h, <name>.ebnn and report.json; for a target with an
operating system also a Makefile and runner.c."""

from __future__ import annotations

import json
from pathlib import Path

from edgebnn.emit.source import header_text, makefile_text, model_header_text, runner_text, source_text
from edgebnn.ir.file import dumps
from edgebnn.plan import Plan, report

__all__ = ["emit"]


def emit(plan: Plan, folder: Path) -> None:
    """Writes the files of ``plan`` into the existing ``folder``. Equal plans give equal bytes.

    Raises OSError when a file cannot be written.
    """
    name = plan.graph.name
    files = {
        f"{name}.c": source_text(plan).encode(),
        f"{name}.h": header_text(plan).encode(),
        "ebnn_model.h": model_header_text(plan).encode(),
        f"{name}.ebnn": dumps(plan.source),
        "report.json": (json.dumps(report(plan), indent=1, sort_keys=True) + "\n").encode(),
    }
    if plan.target.hosted:
        files |= {"Makefile": makefile_text(plan).encode(), "runner.c": runner_text().encode()}
    for file, data in files.items():
        (folder / file).write_bytes(data)
