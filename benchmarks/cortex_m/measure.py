"""Measures one layer: every kernel that the planner proposes for it runs in the emulator and is checked."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgebnn import csrc, targets
from edgebnn.errors import MismatchError
from edgebnn.estimate.bench import Bench, Result
from edgebnn.estimate.cost import Cycles
from edgebnn.ir import Graph, Op, TensorType
from edgebnn.ir.ops import REGISTRY
from edgebnn.ir.storage import to_bytes
from edgebnn.plan import Choice, Context
from edgebnn.plan.candidates import CANDIDATES
from edgebnn.plan.fuse import fuse_quantize
from edgebnn.plan.kernels import kernels
from edgebnn.plan.portable import layout_choice
from edgebnn.plan.sources import sources

FLAGS = ("-O3",)


@dataclass(frozen=True)
class Measurement:
    """A layer (or a chain of ops) with one choice of kernels. ``cycles`` is None where only instructions are known.
    ``layout_change``: cycles of bringing an NHWC input into the kernel's storage order and its output back, which
    neighbours in the same order do not need. ``functions``: nominal cycles by function."""

    kernel: str
    variant: str
    instructions: int
    cycles: Cycles | None
    flash: int
    scratch: int
    stack: int
    layout_change: int
    functions: dict[str, int]

    @property
    def lists_in_flash(self) -> bool:
        """Whether the weights are stored as lists, not at one bit each."""
        return "flash" in self.variant


@functools.cache
def bench(cpu: str) -> Bench:
    """The image with all kernels that the CPU can run."""
    root = csrc.kernels_dir()
    isa = targets.load(cpu).isa
    files = sources(k.symbol for k in kernels().values() if k.isa in isa)
    return Bench([root / f for f in files], cpu, FLAGS, [root / "include", root / "src"])


def choices(graph: Graph, op: Op, cpu: str) -> list[Choice]:
    """What the planner's candidates propose for ``op``, each kernel and variant once."""
    target = targets.load(cpu)
    found: dict[tuple[Any, ...], Choice] = {}
    for optimize in ("speed", "size"):
        context = Context(
            op,
            tuple(graph.tensors[n] for n in op.inputs),
            tuple(graph.tensors[n] for n in op.outputs),
            target,
            optimize,
        )
        for candidate in CANDIDATES:
            if candidate.isa not in target.isa or op.type not in candidate.op_types:
                continue
            proposed = candidate.propose(context)
            for choice in [] if isinstance(proposed, str) else proposed:
                if choice.kernel in kernels():
                    key = (
                        choice.kernel,
                        choice.variant,
                        choice.in_layouts,
                        choice.out_layouts,
                        choice.scratch,
                    )
                    found.setdefault(key, choice)
    return list(found.values())


def _call(cpu: str, choice: Choice, ins: Sequence[bytes], outs: Sequence[bytes], layer: str) -> Result:
    """Runs a choice and compares its outputs. Raises MismatchError."""
    b = bench(cpu)
    level = b.machine.mark()
    try:
        params = b.params(kernels()[choice.kernel].struct, **choice.pack())
        inputs = [b.buffer(data) for data in ins]
        places = [b.buffer(len(data)) for data in outs]
        scratch = b.buffer(choice.scratch) if choice.scratch else 0
        second = places[1] if len(places) > 1 else 0
        result = b.kernel(choice.kernel, params, inputs, places[0], second, scratch)
        if result.trace.status:
            raise MismatchError(f"{layer}: {choice.kernel} returned status {result.trace.status}")
        for at, data in zip(places, outs, strict=True):
            if b.read(at, len(data)) != data:
                raise MismatchError(f"{layer}: {choice.kernel} ({choice.variant}) differs from the reference")
        return result
    finally:
        b.forget(level)


def _stored(
    values: dict[str, np.ndarray], graph: Graph, names: Sequence[str], orders: Sequence[str]
) -> list[bytes]:
    return [to_bytes(values[n], graph.tensors[n].with_layout(o)) for n, o in zip(names, orders, strict=True)]


def _layout_change(cpu: str, tensor: TensorType, values: np.ndarray, source: str, out: str) -> int:
    """Estimated cycles of a change of the storage order."""
    if source == out:
        return 0
    choice = layout_choice(tensor.with_layout(source), out)
    data = [to_bytes(values, tensor.with_layout(order)) for order in (source, out)]
    cycles = _call(cpu, choice, data[:1], data[1:], "layout").trace.cycles
    return cycles.nominal if cycles else 0


def _values(graph: Graph, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Random inputs and the reference's values of every tensor."""
    written = {n for op in graph.ops for n in op.outputs}
    values: dict[str, np.ndarray] = {}
    for name in dict.fromkeys(n for op in graph.ops for n in op.inputs if n not in written):
        t = graph.tensors[name]
        if t.dtype == "b1":
            values[name] = 1 - 2 * rng.integers(0, 2, t.shape)
        elif t.is_bits:
            values[name] = rng.integers(0, 2 ** int(t.dtype[1]), t.shape)
        else:
            values[name] = rng.integers(-128, 128, t.shape)
    for op in graph.ops:
        reference = REGISTRY[op.type].reference
        assert reference is not None
        ins, outs = ([graph.tensors[n] for n in names] for names in (op.inputs, op.outputs))
        results = reference(op, [values[n] for n in op.inputs], ins, outs)
        values.update(zip(op.outputs, results, strict=True))
    return values


def _one(graph: Graph, op: Op, choice: Choice, values: dict[str, np.ndarray], cpu: str) -> Measurement:
    ins = _stored(values, graph, op.inputs, choice.in_layouts)
    outs = _stored(values, graph, op.outputs, choice.out_layouts)
    result = _call(cpu, choice, ins, outs, op.name)
    change = sum(
        _layout_change(cpu, graph.tensors[n], values[n], *pair)
        for n, pair in [
            (op.inputs[0], ("nhwc", choice.in_layouts[0])),
            (op.outputs[0], (choice.out_layouts[0], "nhwc")),
        ]
    )
    return Measurement(
        choice.kernel,
        choice.variant,
        result.trace.instructions,
        result.trace.cycles,
        choice.flash,
        choice.scratch,
        result.trace.stack,
        change,
        {name: cycles.nominal for name, (_, cycles) in result.profile.items()},
    )


def _join(parts: Sequence[Measurement]) -> Measurement:
    """A chain as one measurement."""
    functions: dict[str, int] = {}
    for part in parts:
        for name, cycles in part.functions.items():
            functions[name] = functions.get(name, 0) + cycles
    total = Cycles()
    for part in parts:
        total += part.cycles or Cycles()
    return Measurement(
        " + ".join(p.kernel for p in parts),
        ", ".join(p.variant for p in parts if p.variant),
        sum(p.instructions for p in parts),
        total,
        sum(p.flash for p in parts),
        max(p.scratch for p in parts),
        max(p.stack for p in parts),
        0,
        functions,
    )


def measure(graph: Graph, cpu: str, seed: int = 5) -> list[Measurement]:
    """Every choice for a graph of one op, or of a convolution and a quantiser (fused, and one after the other).

    Raises MismatchError when a kernel's output differs from the reference.
    """
    values = _values(graph, np.random.default_rng(seed))
    if len(graph.ops) == 1:
        return [
            _one(graph, graph.ops[0], choice, values, cpu) for choice in choices(graph, graph.ops[0], cpu)
        ]
    first, second = graph.ops
    found = []
    firsts = [(c, _one(graph, first, c, values, cpu)) for c in choices(graph, first, cpu)]
    seconds = [(c, _one(graph, second, c, values, cpu)) for c in choices(graph, second, cpu)]
    for a, ma in firsts:
        found += [_join([ma, mb]) for b, mb in seconds if a.out_layouts == b.in_layouts]
    fused = fuse_quantize(graph, lambda g, op: True)
    if len(fused.ops) == 1:
        op = fused.ops[0]
        found += [_one(fused, op, choice, values, cpu) for choice in choices(fused, op, cpu)]
    return found


def seed_of(name: str) -> int:
    """The seed of a row: the same weights every time."""
    return zlib.crc32(name.encode())
