"""Results of the rows: the best kernel in RAM and flash form, the goals beside it, as Markdown and JSON."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.cortex_m import measure, mve
from benchmarks.cortex_m.measure import Measurement
from benchmarks.cortex_m.rows import Goal, Row
from edgebnn.estimate import cost
from edgebnn.ir import Graph
from edgebnn.ir.ops import REGISTRY

INTRO = f"""\
# Cortex-M kernels

Written by `make bench-cortex-m` (gcc -O3). Instructions are exact. Cycles are an {cost.LABEL}
({cost.TABLES["cortex-m4"].source}).
Every output was compared with the NumPy reference.

- A layer is measured whole: im2col, weight lists, thresholds and packed output, on tensors in the kernel's own storage
  order, as between two layers of a network. "order" is what changing the input from NHWC and the output back to NHWC
  would cost in addition, with the portable kernel.
- RAM: weights stored at 1 bit each (or 8), lists built at run time. Flash: lists stored in flash.
- Layers are 25x5 pixels unless the row says otherwise, padded with exact zeros.
- CMSIS-NN: its int8 kernel for the shape (commit 99f736a6, gcc 12.2 -O3), counted the same way; these are figures, its
  code is not part of this repository.
- The epilogue row is of the fastest block; it counts all functions but those that only make accumulators (planes,
  lists, sums over weight classes).
- The M55 row counts instructions in QEMU.
"""


def _macs(graph: Graph) -> int:
    op = graph.ops[0]
    return REGISTRY[op.type].macs(op, graph.tensors[op.output].shape)


@dataclass(frozen=True)
class Result:
    """A measured row: the best measurement with packed weights, with stored lists, and of the portable kernels."""

    row: Row
    graph: Graph
    ram: Measurement | None
    flash: Measurement | None
    portable: Measurement | None

    def figure(self, m: Measurement) -> float:
        """Instructions or nominal cycles that count for the row."""
        if self.row.without:
            return sum(n for name, n in m.functions.items() if not re.fullmatch(self.row.without, name))
        return m.cycles.nominal if m.cycles else m.instructions

    def value(self, m: Measurement) -> float:
        """The measurement in the row's unit."""
        figure = self.figure(m)
        if self.row.unit == "cycles/MAC":
            return figure / _macs(self.graph)
        if self.row.unit == "MAC/cycle":
            return _macs(self.graph) / figure
        if self.row.unit == "cycles/element":
            return figure / self.graph.tensors[self.graph.ops[0].output].elements
        return figure

    def reaches(self, m: Measurement | None, goal: float | None) -> bool | None:
        """Whether a goal is met; None without a goal."""
        if goal is None:
            return None
        if m is None:
            return False
        return self.value(m) >= goal if self.row.more_is_better else self.value(m) <= goal

    def forms(self) -> list[tuple[str, Measurement | None, float | None, float | None]]:
        """(form, measurement, reach, aim) of RAM and flash."""
        reach, aim = self.row.reach, self.row.aim
        return [("ram", self.ram, reach.ram, aim.ram), ("flash", self.flash, reach.flash, aim.flash)]

    def met(self) -> bool:
        """Whether every goal to reach is met."""
        if self.row.cpu != "cortex-m4":  # one goal for whichever form is better
            return any(self.reaches(m, reach) for _, m, reach, _ in self.forms())
        return all(self.reaches(m, reach) is not False for _, m, reach, _ in self.forms())

    def as_dict(self) -> dict[str, Any]:
        """The row in results.json."""
        out: dict[str, Any] = {}
        for form, m, reach, aim in self.forms():
            if m is None:
                continue
            out[form] = {
                "cycles": self.figure(m) if m.cycles else None,
                "instructions": m.instructions,
                "kernel": m.kernel,
                "flash_bytes": m.flash,
                "scratch_bytes": m.scratch,
                "variant": m.variant,
                "bounds": m.cycles.as_dict() if m.cycles else None,
                "stack_bytes": m.stack,
                "layout_change": m.layout_change,
                "value": round(self.value(m), 4),
                "unit": self.row.unit,
                "reach": reach,
                "aim": aim,
                "reached": self.reaches(m, reach),
                "aimed": self.reaches(m, aim),
            }
        return out


def document(results: Sequence[Result]) -> dict[str, Any]:
    """results.json: each row by its name, and each pair of rows by the pair's name with a list of values a field."""
    out: dict[str, Any] = {result.row.name: result.as_dict() for result in results}
    for group in dict.fromkeys(result.row.group for result in results if result.row.group):
        parts = [result.as_dict() for result in results if result.row.group == group]
        out[str(group)] = {
            form: {key: [part[form][key] for part in parts] for key in parts[0][form]}
            for form in ("ram", "flash")
            if all(form in part for part in parts)
        }
    return out


def measure_row(row: Row) -> Result:
    """Measures a row. Raises MismatchError when a kernel differs from the reference."""
    graph = row.graph(np.random.default_rng(measure.seed_of(row.name)))
    every = mve.measure(graph) if row.cpu == mve.TARGET else measure.measure(graph, row.cpu)

    def best(found: Sequence[Measurement]) -> Measurement | None:
        return min(found, key=lambda m: m.cycles.nominal if m.cycles else m.instructions, default=None)

    portable = [m for m in every if all(name.endswith("__portable") for name in m.kernel.split(" + "))]
    return Result(
        row,
        graph,
        best([m for m in every if not m.lists_in_flash]),
        best([m for m in every if m.lists_in_flash]),
        best(portable),
    )


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    if unit in ("cycles", "instructions"):
        return (
            f"{value / 1e6:.2f} M"
            if value >= 1e6
            else f"{value / 1e3:.1f} k"
            if value >= 1e4
            else f"{value:,.0f}"
        )
    return f"{value:.2f}"


def _goal(goal: Goal, unit: str) -> str:
    both = [_number(g, unit) for g in (goal.ram, goal.flash)]
    return both[0] if goal.flash is None or goal.ram == goal.flash else " / ".join(both)


def _mark(result: Result, m: Measurement | None, reach: float | None, aim: float | None) -> str:
    if m is None:  # one goal serves both forms of the other cores
        return "-" if reach is None or result.row.cpu != "cortex-m4" else "**missing**"
    text = _number(result.value(m), result.row.unit)
    if reach is None:
        return text
    met = "aim met" if result.reaches(m, aim) else "reach met" if result.reaches(m, reach) else "**missed**"
    return f"{text} ({met})"


def markdown(results: Sequence[Result]) -> str:
    """results.md."""
    lines = [INTRO]
    lines += [
        "| layer | unit | CMSIS-NN int8 | RAM | flash | reach | aim | portable C |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for result in results:
        row = result.row
        ram, flash = (_mark(result, m, reach, aim) for _, m, reach, aim in result.forms())
        cmsis = (
            row.cmsis if row.unit != "cycles/MAC" or row.cmsis is None else row.cmsis / _macs(result.graph)
        )
        portable = _number(result.value(result.portable), row.unit) if result.portable else "-"
        cells = [row.name, row.unit, _number(cmsis, row.unit), ram, flash, _goal(row.reach, row.unit)]
        lines.append("| " + " | ".join([*cells, _goal(row.aim, row.unit), portable]) + " |")
    lines += [
        "",
        "| layer | form | kernel | variant | instructions | cycles low / nominal / high"
        " | flash B | scratch B | stack B | order |",
        "|---|---|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for result in results:
        for form, m, _, _ in result.forms():
            if m is None:
                continue
            bounds = f"{m.cycles.low:,} / {m.cycles.nominal:,} / {m.cycles.high:,}" if m.cycles else "-"
            kernel = m.kernel.replace("ebnn_", "")
            numbers = [f"{m.instructions:,}", bounds, f"{m.flash:,}", f"{m.scratch:,}", f"{m.stack:,}"]
            cells = [result.row.name, form, kernel, m.variant or "-", *numbers, f"{m.layout_change:,}"]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
