"""The ways to execute a converted model that ``edgebnn verify`` compares.

Each is a function (folder, plan, inputs) -> one dict an input: the stored bytes (SPEC.md section 3) of every
layer's outputs, by layer name. ``inputs`` is int8 [N, H, W, C].
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from edgebnn.csrc import kernels_dir
from edgebnn.errors import ToolchainError, UsageError
from edgebnn.ir import Graph, storage
from edgebnn.ir import reference as numpy_reference
from edgebnn.plan import Plan
from edgebnn.plan import report as plan_report

#: by layer name, of a second output with ":2" behind it (docs/protocol.md, dump)
Layers = dict[str, bytes]
Execution = Callable[[Path, Plan, np.ndarray], Iterator[Layers]]


def _outputs(graph: Graph) -> list[tuple[str, str]]:
    """(name of Layers, tensor) of every output of every op."""
    return [(op.name + ":2" * i, name) for op in graph.ops for i, name in enumerate(op.outputs)]


def reference(folder: Path, plan: Plan, inputs: np.ndarray) -> Iterator[Layers]:
    """NumPy, the exact integer semantics."""
    graph = plan.graph
    for x in inputs:
        values = numpy_reference.run(graph, x)
        yield {key: storage.to_bytes(values[name], graph.tensors[name]) for key, name in _outputs(graph)}


def host(folder: Path, plan: Plan, inputs: np.ndarray) -> Iterator[Layers]:
    """The run loop and the plan's own kernels in this process."""
    from edgebnn.host import Runtime

    runtime = Runtime(plan)
    for x in inputs:
        tensors = runtime.layers(x)
        yield {key: tensors[name] for key, name in _outputs(plan.graph)}


def compiler() -> str:
    """The host's C compiler: $CC, gcc or cc. Raises ToolchainError where there is none."""
    for name in (os.environ.get("CC"), "gcc", "cc"):
        if name and shutil.which(name):
            return name
    raise ToolchainError("no C compiler for this machine", "install gcc, or set CC")


def c(folder: Path, plan: Plan, inputs: np.ndarray) -> Iterator[Layers]:
    """The emitted C, compiled for this machine. Raises ToolchainError where it does not compile or fails."""
    from edgebnn.host.runtime import kernel_table

    graph = plan.graph
    kernels = kernels_dir()
    for step in plan.steps:
        if step.kernel not in kernel_table():
            raise ToolchainError(
                f"kernel {step.kernel} does not compile for this machine", "use the emulator"
            )
    with tempfile.TemporaryDirectory(prefix="edgebnn-") as scratch:
        program = Path(scratch) / "runner"
        files = [
            Path(__file__).with_name("runner.c"),
            folder / f"{graph.name}.c",
            *(kernels / name for name in plan_report(plan)["sources"]),
        ]
        flags = [
            "-O2",
            "-std=c99",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-I",
            str(kernels / "include"),
            "-I",
            str(folder),
        ]
        _execute([compiler(), *flags, "-o", str(program), *map(str, files)], "the emitted C does not compile")
        source = graph.tensors[graph.input]
        data = b"".join(storage.to_bytes(x, source) for x in inputs)
        output = _execute([str(program)], "the compiled model failed", data)
    sizes = [(key, graph.tensors[name].nbytes) for key, name in _outputs(graph)]
    if len(output) != len(inputs) * sum(size for _, size in sizes):
        raise ToolchainError(
            f"{folder}: the emitted C has other layers than {graph.name}.ebnn", "convert the model again"
        )
    offset = 0
    for _ in inputs:
        layers = {}
        for name, size in sizes:
            layers[name] = output[offset : offset + size]
            offset += size
        yield layers


def _execute(command: list[str], failure: str, data: bytes = b"") -> bytes:
    try:
        done = subprocess.run(command, input=data, capture_output=True, check=False, timeout=600)
    except subprocess.TimeoutExpired as error:
        raise ToolchainError(f"{failure}: no end after {error.timeout:.0f} s") from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        cause = next((line for line in lines if "error" in line), f"status {done.returncode}")
        raise ToolchainError(f"{failure}: {cause}", "convert the model again")
    return done.stdout


def emulator(folder: Path, plan: Plan, inputs: np.ndarray) -> Iterator[Layers]:
    """The firmware on the target's default board in QEMU, read back over its serial port."""
    from edgebnn.device.build import build
    from edgebnn.device.qemu import Qemu
    from edgebnn.device.verify import run_on_device

    graph = plan.graph
    board = plan.target.board
    if board is None:
        raise UsageError(f"{folder}: target {plan.target.name} has no emulated board", "leave out 'emulator'")
    image = build(folder, board)
    with Qemu(image.elf, board) as machine, machine.connect() as device:
        for x in inputs:
            (tensors,) = run_on_device(device, [storage.to_bytes(x, graph.tensors[graph.input])])
            yield {key: tensors[key].data for key, _ in _outputs(graph)}


EXECUTIONS: dict[str, Execution] = {"reference": reference, "host": host, "c": c, "emulator": emulator}
