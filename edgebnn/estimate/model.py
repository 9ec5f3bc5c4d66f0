"""Counts one inference of a converted model: instructions per layer, estimated cycles, code size, stack."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgebnn import csrc, targets
from edgebnn.device import model_folder
from edgebnn.device.elf import flash_by_part
from edgebnn.device.profile import sample_input
from edgebnn.errors import ModelError, ToolchainError, UsageError
from edgebnn.estimate import cost, image, stack
from edgebnn.estimate.layout import Arm32
from edgebnn.estimate.machine import CPUS, Machine, Trace

_ROOTS = ("ebnn_run", "ebnn_run_op", "ebnn_check")


@dataclass(frozen=True)
class LayerEstimate:
    """One layer: its kernel call through ``ebnn_run_op``. ``stack``: measured bytes."""

    name: str
    op: str
    kernel: str
    macs: int
    instructions: int
    cycles: cost.Cycles | None
    stack: int


@dataclass(frozen=True)
class Estimate:
    """One inference on one CPU.

    ``instructions`` and ``cycles`` are those of a whole ``ebnn_run``: the layers plus the run loop.
    ``kernel_code``: bytes by function of everything linked. ``code``: bytes of run loop, kernels, their
    constants and library functions; ``model_flash``: the model's bytes. ``stack``: measured high-water
    mark of ``ebnn_run``; ``stack_bound``: the compiler's frame sizes along the longest call chain.
    """

    model: str
    cpu: str
    optimization: str
    source: str | None
    instructions: int
    cycles: cost.Cycles | None
    layers: tuple[LayerEstimate, ...]
    kernel_code: dict[str, int]
    code: int
    model_flash: int
    stack: int
    stack_bound: int

    def as_dict(self, clock: float | None = None) -> dict[str, Any]:
        """Plain values, as ``--json`` prints them; ``clock`` in Hz adds estimated milliseconds."""

        def cycles(value: cost.Cycles | None) -> dict[str, int] | None:
            return value.as_dict() if value else None

        document: dict[str, Any] = {
            "model": self.model,
            "cpu": self.cpu,
            "emulator": "unicorn " + CPUS[self.cpu].removeprefix("UC_CPU_ARM_").lower().replace("_", "-"),
            "optimization": self.optimization,
            "note": cost.LABEL
            if self.cycles
            else "instructions are exact; no published cycle table for this CPU",
            "source": self.source,
            "instructions": self.instructions,
            "cycles": cycles(self.cycles),
            "layers": [
                {
                    "name": layer.name,
                    "op": layer.op,
                    "kernel": layer.kernel,
                    "macs": layer.macs,
                    "instructions": layer.instructions,
                    "cycles": cycles(layer.cycles),
                    "stack": layer.stack,
                }
                for layer in self.layers
            ],
            "code": {"total": self.code, "functions": self.kernel_code, "model": self.model_flash},
            "stack": {"measured": self.stack, "bound": self.stack_bound},
        }
        if clock and self.cycles:
            document["clock_hz"] = clock
            document["estimated_ms"] = {k: 1e3 * v / clock for k, v in self.cycles.as_dict().items()}
        return document


def _check_cpu(model: model_folder.ModelFolder, cpu: str) -> None:
    if cpu not in targets.names():
        targets.load(cpu)  # raises, with the nearest name
    if cpu not in CPUS:
        raise UsageError(
            f"{cpu} cannot be counted here: its emulator has no such core", "choose one of " + ", ".join(CPUS)
        )
    isa = targets.load(cpu).isa
    for kernel in model.report.get("kernels", ()):
        suffix = str(kernel).rpartition("__")[2]
        if suffix not in isa:
            raise UsageError(
                f"{model.path}: converted for {model.target}, and {cpu} cannot run {kernel}",
                f"convert with '--target {cpu}'",
            )


def link(folder: Path, cpu: str, optimization: str = "2") -> Path:
    """The ELF of the model in ``folder`` with run loop and kernels for ``cpu``, from the cache if unchanged.

    Raises UsageError, ModelError, ToolchainError.
    """
    model = model_folder.read(folder)
    _check_cpu(model, cpu)
    root = csrc.kernels_dir()
    names = dict.fromkeys(["src/ebnn_run.c", *model.report["sources"]])
    sources = [root / name for name in names]
    for source in sources:
        if not source.is_file():
            raise ModelError(
                f"{folder}/report.json: source {source.name} is not part of the kernels", "convert again"
            )
    return image.link(
        [*sources, folder / f"{model.name}.c"],
        cpu,
        [folder, root / "include", root / "src"],
        (f"-O{optimization}", "-fno-common"),
        (*_ROOTS, f"{model.name}_model"),
        stack_usage=True,
    )


class ModelMachine:
    """A linked model on the emulated CPU, with an arena; runs layer by layer or whole."""

    def __init__(self, elf: Path, name: str, cpu: str) -> None:
        self.machine = Machine(elf, cpu)
        self.model = self.machine.address(f"{name}_model")
        self._layout = Arm32()
        header = self._layout.unpack(
            "ebnn_model_t", self.machine.read(self.model, self._layout.size("ebnn_model_t"))
        )
        self.n_ops = int(header["n_ops"])
        self.arena_size = int(header["arena_size"])
        self.input, self.output = header["input"], header["output"]
        self.arena = self.machine.alloc(self.arena_size, 16)

    def load(self, data: bytes) -> None:
        """Puts the input in its place. Raises UsageError for a wrong size."""
        if len(data) != self.input["size"]:
            raise UsageError(f"the input has {len(data)} bytes, the model takes {self.input['size']}")
        self.machine.write(self.arena + self.input["offset"], data)

    def _call(self, function: str, *args: int) -> Trace:
        trace = self.machine.call(function, *args)
        if trace.status != 0:
            raise ToolchainError(
                f"estimate: {function} returned status {trace.status}", "report this as a bug"
            )
        return trace

    def run(self) -> Trace:
        """A whole inference."""
        return self._call("ebnn_run", self.model, self.arena, self.arena_size)

    def run_op(self, index: int) -> Trace:
        """One layer; the ones before must have run."""
        return self._call("ebnn_run_op", self.model, self.arena, index)

    def result(self) -> bytes:
        """The stored output."""
        return self.machine.read(self.arena + self.output["offset"], self.output["size"])


def _functions(machine: Machine) -> dict[str, int]:
    """Code bytes by function: everything that is linked, largest first."""
    sizes = {s.name: s.size for s in machine.symbols.values() if s.function and s.size}
    return dict(sorted(sizes.items(), key=lambda item: (-item[1], item[0])))


def estimate(
    folder: Path, cpu: str | None = None, optimization: str = "2", data: bytes | None = None
) -> Estimate:
    """Runs one inference of the model in ``folder`` on ``cpu`` (default: the target it was converted for).

    ``optimization``: gcc level of the code ("2" is what ``edgebnn build`` uses). ``data``: the stored input
    (default: the noise that ``edgebnn profile`` uses). Raises UsageError, ModelError, ToolchainError.
    """
    model = model_folder.read(folder)
    cpu = cpu or model.target or "cortex-m4"
    if not re.fullmatch(r"[0123s]", optimization):
        raise UsageError(f"no optimisation level {optimization}", "choose 0, 1, 2, 3 or s")
    elf = link(folder, cpu, optimization)
    runner = ModelMachine(elf, model.name, cpu)
    described: Sequence[dict[str, Any]] = model.report.get("layers", ())
    if len(described) != runner.n_ops:
        raise ModelError(
            f"{folder}/report.json: {len(described)} layers, but the model has {runner.n_ops}",
            "convert again",
        )
    data = data if data is not None else sample_input(runner.input["size"])
    runner.load(data)
    layers = []
    for i, layer in enumerate(described):
        trace = runner.run_op(i)
        layers.append(
            LayerEstimate(
                layer["name"],
                layer["op"],
                layer["kernel"],
                layer["macs"],
                trace.instructions,
                trace.cycles,
                trace.stack,
            )
        )
    runner.load(data)
    whole = runner.run()
    parts = flash_by_part((elf.parent / "image.map").read_text(encoding="utf-8"))
    table = cost.TABLES.get(cpu)
    return Estimate(
        model=model.name,
        cpu=cpu,
        optimization=f"-O{optimization}",
        source=table.source if table else None,
        instructions=whole.instructions,
        cycles=whole.cycles,
        layers=tuple(layers),
        kernel_code=_functions(runner.machine),
        code=parts.get("runtime", 0) + parts.get("library", 0),
        model_flash=parts.get("model", 0),
        stack=whole.stack,
        stack_bound=stack.worst_case(
            runner.machine, {layer.kernel for layer in layers}, stack.frames(elf.parent)
        ),
    )
