"""Plans: for one target, the kernel of every op and the arena offset of every tensor."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable

from edgebnn.errors import ModelError
from edgebnn.ir import Graph, Op, TensorType, verify
from edgebnn.ir.file import dumps
from edgebnn.plan.arena import Buffer, plan_arena
from edgebnn.plan.candidates import CANDIDATES
from edgebnn.plan.cost_report import report
from edgebnn.plan.fuse import fuse_quantize
from edgebnn.plan.geometry import params_bytes
from edgebnn.plan.kernels import kernels
from edgebnn.plan.select import describe, select
from edgebnn.plan.types import Candidate, Choice, Context, Params, Plan, Step
from edgebnn.plan.wide import conversion
from edgebnn.targets import Target

__all__ = ["Candidate", "Choice", "Context", "Params", "Plan", "Step", "plan", "report"]


#: estimated cycles below which an op is not divided: threads take microseconds to start on it
LEAST_DIVIDED = 30_000.0

#: keeps or drops a choice: (op name, choice) -> keep
Filter = Callable[[str, Choice], bool]


class Proposals:
    """The choices for ops of one graph and its fused forms, each asked for once: candidates pack weights to find costs.

    Calling it with (graph, op) gives the choices and the reasons of the candidates that have none.
    """

    def __init__(self, target: Target, optimize: str) -> None:
        self._target, self._optimize = target, optimize
        # the op is kept too, so that its id is not given to another one
        self._known: dict[tuple[object, ...], tuple[Op, tuple[list[Choice], list[str]]]] = {}

    def __call__(self, graph: Graph, op: Op) -> tuple[list[Choice], list[str]]:
        inputs = tuple(graph.tensors[n] for n in op.inputs)
        outputs = tuple(graph.tensors[n] for n in op.outputs)
        key = (id(op), inputs, outputs)
        if key not in self._known:
            self._known[key] = (op, _propose(op, inputs, outputs, self._target, self._optimize))
        return self._known[key][1]

    def least(self, graph: Graph, op: Op) -> float:
        """The cost of the cheapest choice."""
        return min((choice.cost for choice in self(graph, op)[0]), default=math.inf)


def _propose(
    op: Op,
    inputs: tuple[TensorType, ...],
    outputs: tuple[TensorType, ...],
    target: Target,
    optimize: str,
) -> tuple[list[Choice], list[str]]:
    context = Context(op, inputs, outputs, target, optimize)
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
                choices += [c for c in proposed if c.kernel in kernels()]
    return choices, rejected


def _plan_graph(
    source: Graph,
    graph: Graph,
    target: Target,
    optimize: str,
    keep: Filter,
    threads: int,
    propose: Proposals,
) -> tuple[float, Plan]:
    """(cost, plan) of ``graph`` as it is."""
    options: list[list[Choice]] = []
    reasons: list[list[str]] = []
    for op in graph.ops:
        choices, rejected = propose(graph, op)
        if not choices:
            why = "; ".join(rejected) or "no kernel of this target takes it"
            raise ModelError(f"{graph.name}: layer {op.name!r} ({op.type}): {why}", f"target {target.name}")
        options.append([c for c in choices if keep(op.name, c)] or [min(choices, key=lambda c: c.scratch)])
        reasons.append(rejected)
    selection = select(graph, options, optimize, conversion(target))
    by_name = {op.name: (o, r) for op, o, r in zip(graph.ops, options, reasons, strict=True)}
    steps = []
    for op, choice in zip(selection.graph.ops, selection.choices, strict=True):
        others, rejected = by_name.get(op.name, ([choice], []))
        steps.append(
            Step(
                op=op,
                kernel=choice.kernel,
                struct=kernels()[choice.kernel].struct,
                params=choice.pack(),
                scratch=choice.scratch,
                cost=choice.cost,
                flash=choice.flash,
                variant=choice.variant,
                rejected=tuple(rejected),
                alternatives=tuple(describe(c) for c in others if c is not choice),
                parts=min(threads, choice.parts) if choice.cost >= LEAST_DIVIDED else 1,
                over_residual=choice.over_residual,
            )
        )
    offsets, scratch_offsets, arena = _allocate(selection.graph, steps)
    crc = zlib.crc32(dumps(source))
    plan_ = Plan(
        source,
        selection.graph,
        target,
        tuple(steps),
        offsets,
        scratch_offsets,
        arena,
        crc,
        optimize,
        threads=threads,
    )
    return selection.cost, plan_


def _best(graph: Graph, target: Target, optimize: str, keep: Filter, threads: int) -> Plan:
    """The cheapest of the plans without fused quantisers, with all that a kernel takes, and with those that make their
    layer cheaper by itself."""

    propose = Proposals(target, optimize)

    def pays(candidate: Graph, op: Op) -> bool:
        conv = next(o for o in graph.ops if o.name == op.name)
        quantize = graph.producer(op.outputs[1])
        assert quantize is not None
        return propose.least(candidate, op) < propose.least(graph, conv) + propose.least(graph, quantize)

    def takes(candidate: Graph, op: Op) -> bool:
        return bool(propose(candidate, op)[0])

    cost, plain = _plan_graph(graph, graph, target, optimize, keep, threads, propose)
    fused_graph = fuse_quantize(graph, takes)
    if fused_graph is graph:
        return plain
    plans = [(cost, plain), _plan_graph(graph, fused_graph, target, optimize, keep, threads, propose)]
    partly = fuse_quantize(graph, pays) if target.hosted else graph  # measured on hosts only
    if partly is not graph and len(partly.ops) != len(fused_graph.ops):
        plans.append(_plan_graph(graph, partly, target, optimize, keep, threads, propose))
    return min(plans, key=lambda found: found[0])[1]


def _under(scratch: int, keep: Filter) -> Filter:
    """``keep``, and only choices with less scratch than this many bytes."""
    return lambda name, choice: keep(name, choice) and choice.scratch < scratch


def flash_bytes(plan_: Plan) -> int:
    """Bytes of weights and constants."""
    return sum(params_bytes(step.params) for step in plan_.steps)


def plan(
    graph: Graph,
    target: Target,
    optimize: str = "speed",
    only: str | None = None,
    flash: int | None = None,
    ram: int | None = None,
    threads: int = 1,
) -> Plan:
    """Plans an integer graph for ``target``. ``optimize``: "speed" or "size". ``only``: take choices of kernels whose
    symbol contains this text where there are any (tests and benchmarks). ``flash``, ``ram``: budgets in bytes for
    weights with constants, and for the arena; a plan over budget gives way to a smaller one. ``threads``: into how many
    parts the large ops are divided where their kernels can be; the results are the same for any number.

    Raises ModelError naming the layer that no kernel takes, or that needs most of a budget no plan meets.
    """
    verify(graph, integer=True)

    def keep_only(op_name: str, choice: Choice) -> bool:
        return only is None or only in choice.kernel

    plan_ = _best(graph, target, optimize, keep_only, threads)
    if flash is not None and flash_bytes(plan_) > flash:
        plan_ = _best(graph, target, optimize := "size", keep_only, threads)
    while ram is not None and plan_.arena > ram and any(step.scratch for step in plan_.steps):
        limit = max(step.scratch for step in plan_.steps)
        smaller = _best(graph, target, optimize, _under(limit, keep_only), threads)
        if smaller.arena >= plan_.arena:
            break
        plan_ = smaller
    _check_budget(plan_, "flash", flash_bytes(plan_), flash, [params_bytes(s.params) for s in plan_.steps])
    live = [
        s.all_scratch + sum(plan_.graph.tensors[n].nbytes for n in (*s.op.inputs, *s.op.outputs))
        for s in plan_.steps
    ]
    _check_budget(plan_, "RAM", plan_.arena, ram, live)
    return plan_


def _check_budget(plan_: Plan, what: str, needed: int, budget: int | None, by_layer: list[int]) -> None:
    if budget is None or needed <= budget:
        return
    most = max(range(len(by_layer)), key=by_layer.__getitem__)
    raise ModelError(
        f"{plan_.graph.name}: needs {needed} bytes of {what}, the budget is {budget};"
        f" layer {plan_.steps[most].op.name!r} needs most ({by_layer[most]} bytes)",
        "fewer channels there, or a larger stride before it, would help most",
    )


def _allocate(graph: Graph, steps: list[Step]) -> tuple[dict[str, int], tuple[int, ...], int]:
    """Arena offsets of tensors and scratch. The input lives from the start, the output to the end; an output that its
    kernel may store over a residual which nothing reads later takes the residual's place."""
    first = {graph.input: 0}
    last = {graph.input: 0}
    for i, step in enumerate(steps):
        for name in step.op.outputs:
            first[name] = last[name] = i
        for name in step.op.inputs:
            last[name] = i
    last[graph.output] = len(steps)
    place = {name: name for name in first}  # whose bytes a tensor has
    for i, step in enumerate(steps):
        residual, out = step.op.inputs[-1], step.op.outputs[0]
        same = step.over_residual and graph.tensors[residual].nbytes == graph.tensors[out].nbytes
        if (
            same
            and residual != graph.input
            and last[place[residual]] == i
            and step.op.inputs.count(residual) == 1
        ):
            place[out] = place[residual]
            last[place[out]] = last[out]
    buffers = [Buffer(n, graph.tensors[n].nbytes, first[n], last[n]) for n in first if place[n] == n]
    buffers += [Buffer(f"scratch {i}", s.all_scratch, i, i) for i, s in enumerate(steps) if s.scratch]
    offsets, arena = plan_arena(buffers)
    scratch = tuple(offsets.get(f"scratch {i}", -1) for i in range(len(steps)))
    return {n: offsets[place[n]] for n in first}, scratch, arena
