"""Compares several executions of a converted model, layer by layer and byte by byte."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgebnn import ir, targets
from edgebnn.errors import ModelError
from edgebnn.plan import Plan, plan
from edgebnn.report.executions import EXECUTIONS, Layers


@dataclass(frozen=True)
class Difference:
    """The first layer where an execution's bytes differ from those of the first execution."""

    execution: str
    against: str
    input: int  # index of the input
    layer: str
    op: str
    kernel: str
    byte: int  # first byte of the stored tensor that differs
    count: int  # how many bytes differ


@dataclass(frozen=True)
class Comparison:
    """What was compared, and the first difference found (None: all identical)."""

    executions: tuple[str, ...]
    inputs: int
    layers: int
    difference: Difference | None


def load_plan(folder: Path, report: dict[str, Any]) -> Plan:
    """The plan that the folder's C was emitted from, made again. ModelError: the folder is inconsistent."""
    path = folder / f"{report['name']}.ebnn"
    if not path.is_file():
        raise ModelError(f"{path}: missing", "convert the model again")
    target = targets.load(report["target"])
    planned = plan(ir.load(path), target, optimize=report["optimize"], ram=report.get("ram_budget"))
    if planned.crc != report["crc"]:
        raise ModelError(f"{path}: not the model of the folder's report.json", "convert the model again")
    if [layer["kernel"] for layer in report["layers"]] != [step.kernel for step in planned.steps]:
        raise ModelError(f"{folder}: converted by another version of edgebnn", "convert the model again")
    return planned


def first_difference(planned: Plan, expected: Layers, got: Layers) -> tuple[int, int, int] | None:
    """(step, first differing byte, differing bytes) of the first layer that differs, None where none does."""
    keys = [(i, step.op.name + suffix) for i, step in enumerate(planned.steps) for suffix in ("", ":2")]
    for i, key in keys:
        if key not in expected:
            continue
        one = np.frombuffer(expected[key], np.uint8)
        two = np.frombuffer(got[key], np.uint8)
        if one.size != two.size:
            return i, min(one.size, two.size), abs(one.size - two.size)
        unequal = np.flatnonzero(one != two)
        if unequal.size:
            return i, int(unequal[0]), int(unequal.size)
    return None


def compare(
    folder: Path,
    planned: Plan,
    executions: Sequence[str],
    inputs: np.ndarray,
    progress: Callable[[str, int], None] = lambda execution, done: None,
) -> Comparison:
    """Runs ``inputs`` (int8 [N, H, W, C]) on every execution and compares all with the first.

    ``progress(execution, inputs done)`` is called after each input. Raises what the executions raise.
    """
    first = executions[0]
    expected: list[Layers] = []
    difference = None
    for name in executions:
        for index, layers in enumerate(EXECUTIONS[name](folder, planned, inputs)):
            progress(name, index + 1)
            if name == first:
                expected.append(layers)
                continue
            found = first_difference(planned, expected[index], layers)
            if found:
                step = planned.steps[found[0]]
                difference = Difference(
                    name, first, index, step.op.name, step.op.type, step.kernel, found[1], found[2]
                )
                break
        if difference:
            break
    return Comparison(tuple(executions), len(inputs), len(planned.steps), difference)
