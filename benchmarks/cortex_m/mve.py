"""Measures a layer on the Cortex-M55 in QEMU: instructions only, by the product's firmware and timer."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.cortex_m.measure import Measurement
from edgebnn import targets
from edgebnn.device.build import build
from edgebnn.device.profile import sample_input
from edgebnn.device.qemu import Qemu
from edgebnn.emit import emit
from edgebnn.ir import Graph
from edgebnn.plan import Plan, plan

BOARD, TARGET = "mps3-an547", "cortex-m55"


def measure(graph: Graph) -> list[Measurement]:
    """The layer with MVE kernels, and as the planner has it where it has no such kernel or prefers another, for speed
    and for size, built at -O3. Outputs are checked by the tests."""
    layer = graph.ops[0].name
    found: dict[tuple[str, str], Measurement] = {}
    for only in ("__mve", None):
        for optimize in ("speed", "size"):
            made = plan(graph, targets.load(TARGET), optimize, only=only)
            step = next(step for step in made.steps if step.op.name == layer)
            key = (step.kernel, step.variant)
            if key in found or (only and only not in step.kernel):
                continue
            counts = _instructions(made)
            mine = made.steps.index(step)
            found[key] = Measurement(
                *key, counts[mine], None, step.flash, step.scratch, 0, sum(counts) - counts[mine], {}
            )
    return list(found.values())


def _instructions(made: Plan) -> list[int]:
    """Instructions of each step of a plan."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        emit(made, folder)
        image = build(folder, BOARD, kernel_opt="3")
        with Qemu(image.elf, BOARD) as emulator, emulator.connect() as device:
            device.load(sample_input(device.info().input_bytes))
            return [int(n) for n in device.layers(1).counts[0]]
