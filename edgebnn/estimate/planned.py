"""Runs a plan on the emulated CPU without emitting or compiling it: one image of all the target's kernels, into
whose RAM the plan's descriptors and parameters are written.

Counting a plan takes a fraction of a second this way, which is what ``edgebnn search``, ``explain`` and
``advise`` need. The kernels are those ``edgebnn estimate`` counts, compiled alike.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgebnn import csrc, targets
from edgebnn.device.profile import sample_input
from edgebnn.errors import ToolchainError, UsageError
from edgebnn.estimate import cost, image
from edgebnn.estimate.layout import Arm32
from edgebnn.estimate.machine import CPUS, Machine, Trace
from edgebnn.ir import storage
from edgebnn.plan import Plan
from edgebnn.plan.geometry import DTYPE_CODES, LAYOUT_CODES
from edgebnn.plan.kernels import kernels
from edgebnn.plan.sources import sources

_NONE = 0xFFFFFFFF
_ROOTS = ("ebnn_run", "ebnn_run_op", "ebnn_check")


def kernel_image(cpu: str, optimization: str = "2") -> Path:
    """The ELF of run loop and every kernel that ``cpu`` runs, from the cache if unchanged.

    Raises UsageError for a target without an emulated core, ToolchainError without a compiler.
    """
    if cpu not in CPUS:
        targets.load(cpu)  # raises, with the nearest name
        raise UsageError(
            f"{cpu} cannot be counted here: its emulator has no such core", "choose one of " + ", ".join(CPUS)
        )
    isa = targets.load(cpu).isa
    symbols = [kernel.symbol for kernel in kernels().values() if kernel.isa in isa]
    root = csrc.kernels_dir()
    return image.link(
        [root / name for name in sources(symbols)],
        cpu,
        [root / "include", root / "src"],
        (f"-O{optimization}", "-fno-common"),
        (*_ROOTS, *symbols),
    )


@functools.cache
def _machine(cpu: str, optimization: str) -> tuple[Machine, int]:
    machine = Machine(kernel_image(cpu, optimization), cpu)
    return machine, machine.mark()


@functools.cache
def _layout() -> Arm32:
    return Arm32()


@dataclass(frozen=True)
class PlanCost:
    """One inference of a plan: exact instructions; estimated cycles where the CPU has a table (None where not).

    ``layers``: (instructions, nominal cycles or None) by step of the plan.
    """

    instructions: int
    cycles: cost.Cycles | None
    layers: tuple[tuple[int, int | None], ...]


class PlannedMachine:
    """A plan in the RAM of an emulated CPU. Machines are shared: making another one of the same CPU ends this one.

    Raises UsageError for a plan of a CPU that is not emulated, ToolchainError without compiler or unicorn.
    """

    def __init__(self, plan: Plan, optimization: str = "2") -> None:
        self.plan = plan
        self.machine, level = _machine(plan.target.name, optimization)
        self.machine.release(level)
        self.arena = self.machine.alloc(max(plan.arena, 1), 16)
        self.model = self._place()

    def _place(self) -> int:
        plan, machine, layout = self.plan, self.machine, _layout()
        ops = b""
        for step, scratch in zip(plan.steps, plan.scratch_offsets, strict=True):
            inputs = [plan.offsets[name] for name in step.op.inputs]
            outputs = [plan.offsets[name] for name in step.op.outputs]
            values: dict[str, Any] = {
                "kernel": machine.address(step.kernel),
                "params": machine.put(layout.pack(step.struct, step.params, machine.put)),
                "in": [*inputs, _NONE][:2],
                "out": outputs[0],
                "out2": outputs[1] if len(outputs) > 1 else _NONE,
                "scratch": scratch if scratch >= 0 else _NONE,
            }
            ops += layout.pack("ebnn_op_t", values, machine.put)
        header = {
            "abi": csrc.abi(),
            "crc": plan.crc,
            "ops": machine.put(ops),
            "n_ops": len(plan.steps),
            "arena_size": plan.arena,
            "input": self._tensor(plan.graph.input),
            "output": self._tensor(plan.graph.output),
        }
        return machine.put(layout.pack("ebnn_model_t", header, machine.put))

    def _tensor(self, name: str) -> dict[str, int]:
        tensor = self.plan.graph.tensors[name]
        h, w, c = tensor.shape
        return {
            "offset": self.plan.offsets[name],
            "size": tensor.nbytes,
            "h": h,
            "w": w,
            "c": c,
            "dtype": DTYPE_CODES[tensor.dtype],
            "layout": LAYOUT_CODES[tensor.layout],
            "zero_point": tensor.zero_point,
        }

    def _load(self, x: np.ndarray) -> None:
        source = self.plan.graph.tensors[self.plan.graph.input]
        if np.size(x) != source.elements:
            raise UsageError(f"input has {np.size(x)} values, the model takes {source.shape}")
        data = storage.to_bytes(np.asarray(x), source)
        self.machine.write(self.arena + self.plan.offsets[self.plan.graph.input], data)

    def _call(self, function: str, *args: int) -> Trace:
        trace = self.machine.call(function, *args)
        if trace.status != 0:
            raise ToolchainError(f"{function} returned status {trace.status}", "report this as a bug")
        return trace

    def run(self, x: np.ndarray) -> np.ndarray:
        """Output codes (H, W, C) int64 for one input of codes, any shape of the right size."""
        self._load(x)
        self._call("ebnn_run", self.model, self.arena, self.plan.arena)
        output = self.plan.graph.output
        tensor = self.plan.graph.tensors[output]
        return storage.from_bytes(
            self.machine.read(self.arena + self.plan.offsets[output], tensor.nbytes), tensor
        )

    def count(self, x: np.ndarray) -> PlanCost:
        """What one inference of input ``x`` executes, in all and by layer."""
        self._load(x)
        layers = []
        for i in range(len(self.plan.steps)):
            trace = self._call("ebnn_run_op", self.model, self.arena, i)
            layers.append((trace.instructions, trace.cycles.nominal if trace.cycles else None))
        self._load(x)
        whole = self._call("ebnn_run", self.model, self.arena, self.plan.arena)
        return PlanCost(whole.instructions, whole.cycles, tuple(layers))


def plan_cost(plan: Plan, optimization: str = "2") -> PlanCost:
    """Instructions and estimated cycles of one inference of noise, as ``edgebnn estimate`` counts them."""
    source = plan.graph.tensors[plan.graph.input]
    noise = np.frombuffer(sample_input(source.elements), np.int8)
    return PlannedMachine(plan, optimization).count(noise)
