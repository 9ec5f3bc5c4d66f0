"""The files of a search: results.json, results.md, pareto.svg and best.json."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from edgebnn.report import plots
from edgebnn.search.space import describe
from edgebnn.search.study import Result, Settings, pareto

HEADER = ("candidate", "accuracy", "flash", "RAM", "cycles")


def rows(found: list[Result]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Header and cells of a table of trained candidates."""
    lines: list[tuple[str, ...]] = [
        (
            describe(r.arch),
            f"{100 * (r.accuracy or 0):.2f} %",
            f"{r.cost.flash:,}",
            f"{r.cost.ram:,}",
            f"{r.cost.cycles:,}",
        )
        for r in found
    ]
    return HEADER, lines


def write(found: list[Result], settings: Settings, folder: Path) -> dict[str, Any]:
    """Writes the files, each whole or not at all; returns what results.json holds."""
    front = pareto(found)
    source = found[0].cost.source if found else "estimate"
    trained = [r for r in found if r.accuracy is not None]
    points = [
        plots.Point(f"#{r.number}", r.accuracy or 0.0, r.cost.flash, r.cost.cycles, r in front)
        for r in trained
    ]
    best = max(trained, key=lambda r: (r.accuracy or 0.0, -r.cost.flash), default=None)
    document = {
        "task": settings.task,
        "target": settings.target,
        "budget": settings.budget.to_dict(),
        "epochs": settings.epochs,
        "cycles": "estimate" if source == "estimate" else "planner's figures",
        "candidates": len(found),
        "trained": len(trained),
        "refused": sum(r.state == "refused" for r in found),
        "best": _plain(best) if best else None,
        "pareto": [_plain(r) for r in front],
        "results": [_plain(r) for r in found],
    }
    plots.pareto(points, folder / "pareto.svg", f"{source}d cycles" if source == "estimate" else "cycles")
    _put(folder / "results.json", json.dumps(document, indent=1))
    _put(folder / "results.md", _markdown(front, settings, document))
    if best:
        _put(folder / "best.json", json.dumps(best.arch, indent=1))
    return document


def _plain(result: Result) -> dict[str, Any]:
    return {
        "number": result.number,
        "state": result.state,
        "accuracy": result.accuracy,
        **result.cost.to_dict(),
        "misses": list(result.misses),
        "description": describe(result.arch),
        "arch": result.arch,
    }


def _markdown(front: list[Result], settings: Settings, document: dict[str, Any]) -> str:
    limits = ", ".join(f"{key} {value:,}" for key, value in settings.budget.to_dict().items() if value)
    lines = [
        f"# Search: {settings.task} on {settings.target}",
        "",
        f"{document['candidates']} candidates planned, {document['refused']} refused before training,"
        f" {document['trained']} trained for {settings.epochs} epochs. Budget: {limits or 'none'}. Bytes are"
        f" weights and constants, RAM is the arena, cycles are {document['cycles']}.",
        "",
        "Candidates that no other one beats in accuracy, flash and cycles at once (W weight bits, t ternary, A"
        " activation bits, - no shortcut):",
        "",
        "| " + " | ".join(("#", *HEADER)) + " |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    _, cells = rows(front)
    lines += [f"| {r.number} | " + " | ".join(line) + " |" for r, line in zip(front, cells, strict=True)]
    return "\n".join([*lines, ""])


def _put(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    part.write_text(text + ("" if text.endswith("\n") else "\n"), encoding="utf-8")
    part.replace(path)
