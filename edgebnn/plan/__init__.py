"""Plans: for one target, the kernel of every op and the arena offset of every tensor."""

from __future__ import annotations

import zlib

from edgebnn.errors import ModelError
from edgebnn.ir import Graph, verify
from edgebnn.ir.file import dumps
from edgebnn.plan.arena import Buffer, plan_arena
from edgebnn.plan.candidates import CANDIDATES
from edgebnn.plan.kernels import kernels
from edgebnn.plan.cost_report import report
from edgebnn.plan.select import describe, select
from edgebnn.plan.types import Candidate, Choice, Context, Params, Plan, Step
from edgebnn.targets import Target

__all__ = ["Candidate", "Choice", "Context", "Params", "Plan", "Step", "plan", "report"]


def _options(graph: Graph, target: Target, optimize: str) -> tuple[list[list[Choice]], list[list[str]]]:
    """The choices of every op, and the reasons of the candidates that have none."""
    known = kernels()
    options: list[list[Choice]] = []
    reasons: list[list[str]] = []
    for op in graph.ops:
        context = Context(
            op,
            tuple(graph.tensors[n] for n in op.inputs),
            tuple(graph.tensors[n] for n in op.outputs),
            target,
            optimize,
        )
        choices: list[Choice] = []
        rejected: list[str] = []
        for isa in target.isa:
            for candidate in CANDIDATES:
                if candidate.isa != isa or op.type not in candidate.op_types:
                    continue
                proposed = candidate.propose(context)
                if isinstance(proposed, str):
                    rejected.append(f"{candidate.name}: {proposed}")
                else:
                    choices += [c for c in proposed if c.kernel in known]
        if not choices:
            why = "; ".join(rejected) or "no kernel of this target takes it"
            raise ModelError(f"{graph.name}: layer {op.name!r} ({op.type}): {why}", f"target {target.name}")
        options.append(choices)
        reasons.append(rejected)
    return options, reasons


def plan(graph: Graph, target: Target, optimize: str = "speed", only: str | None = None) -> Plan:
    """Plans an integer graph for ``target``. ``optimize``: "speed" or "size". ``only``: take choices of kernels whose
    symbol contains this text where there are any (tests and benchmarks).

    Raises ModelError naming the layer that no kernel takes.
    """
    verify(graph, integer=True)
    options, reasons = _options(graph, target, optimize)
    if only:
        options = [[c for c in choices if only in c.kernel] or choices for choices in options]
    selection = select(graph, options, optimize)
    known = kernels()
    by_name = {op.name: (o, r) for op, o, r in zip(graph.ops, options, reasons, strict=True)}
    steps = []
    for op, choice in zip(selection.graph.ops, selection.choices, strict=True):
        others, rejected = by_name.get(op.name, ([choice], []))
        steps.append(
            Step(
                op=op,
                kernel=choice.kernel,
                struct=known[choice.kernel].struct,
                params=choice.pack(),
                scratch=choice.scratch,
                cost=choice.cost,
                flash=choice.flash,
                variant=choice.variant,
                rejected=tuple(rejected),
                alternatives=tuple(describe(c) for c in others if c is not choice),
            )
        )
    offsets, scratch_offsets, arena = _allocate(selection.graph, steps)
    crc = zlib.crc32(dumps(graph))
    return Plan(graph, selection.graph, target, tuple(steps), offsets, scratch_offsets, arena, crc, optimize)


def _allocate(graph: Graph, steps: list[Step]) -> tuple[dict[str, int], tuple[int, ...], int]:
    """Arena offsets of tensors and scratch. The input lives from the start, the output to the end."""
    first = {graph.input: 0}
    last = {graph.input: 0}
    for i, step in enumerate(steps):
        for name in step.op.outputs:
            first[name] = last[name] = i
        for name in step.op.inputs:
            last[name] = i
    last[graph.output] = len(steps)
    buffers = [Buffer(n, graph.tensors[n].nbytes, first[n], last[n]) for n in first]
    buffers += [Buffer(f"scratch {i}", s.scratch, i, i) for i, s in enumerate(steps) if s.scratch]
    offsets, arena = plan_arena(buffers)
    scratch = tuple(offsets.get(f"scratch {i}", -1) for i in range(len(steps)))
    return {n: offsets[n] for n in first}, scratch, arena
