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
from edgebnn.plan import plan

BOARD, TARGET = "mps3-an547", "cortex-m55"


def measure(graph: Graph) -> list[Measurement]:
    """The layer as planned with MVE kernels for speed and for size, built at -O3. Outputs are checked by the tests."""
    found: dict[tuple[str, str], Measurement] = {}
    for optimize in ("speed", "size"):
        made = plan(graph, targets.load(TARGET), optimize, only="__mve")
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            emit(made, folder)
            image = build(folder, BOARD, kernel_opt="3")
            with Qemu(image.elf, BOARD) as emulator, emulator.connect() as device:
                device.load(sample_input(device.info().input_bytes))
                counts = device.layers(1).counts[0]
        layer = graph.ops[0].name
        change = sum(n for step, n in zip(made.steps, counts, strict=True) if step.op.name != layer)
        for step, instructions in zip(made.steps, counts, strict=True):
            if step.op.name == layer:
                measured = Measurement(
                    step.kernel, step.variant, instructions, None, step.flash, step.scratch, 0, change, {}
                )
                found.setdefault((step.kernel, step.variant), measured)
    return list(found.values())
