"""Chooses a kernel for every op and a storage order for every tensor: the cheapest sum of kernel costs and
conversions, by descent from several starts."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from edgebnn.ir import Graph, Op, TensorType
from edgebnn.plan.portable import layout_choice
from edgebnn.plan.types import Choice

#: the conversion of a stored tensor to another storage order
Convert = Callable[[TensorType, str], Choice]

#: cycles that one byte of flash is worth under --optimize size
SIZE_WEIGHT = 400.0


@dataclass(frozen=True)
class Selection:
    """The taken choice of every op of ``graph``, whose types carry layouts; conversions are ops of type layout."""

    graph: Graph
    choices: tuple[Choice, ...]
    cost: float


def _home(graph: Graph, ops: Sequence[Op], picks: Sequence[Choice]) -> dict[str, str]:
    """Each tensor's storage order as its producer writes it; the graph's input is NHWC."""
    home = {graph.input: "nhwc"}
    for op, choice in zip(ops, picks, strict=True):
        home.update(zip(op.outputs, choice.out_layouts, strict=True))
    return home


def _conversions(graph: Graph, picks: Sequence[Choice]) -> list[tuple[str, str, str]]:
    """(tensor, from, to) of every conversion the picks need, each once, plus the output's to NHWC."""
    home = _home(graph, graph.ops, picks)
    needed = [
        (tensor, home[tensor], layout)
        for op, choice in zip(graph.ops, picks, strict=True)
        for tensor, layout in zip(op.inputs, choice.in_layouts, strict=True)
    ]
    needed.append((graph.output, home[graph.output], "nhwc"))
    return list(dict.fromkeys(n for n in needed if n[1] != n[2]))


def _total(graph: Graph, picks: Sequence[Choice], optimize: str, convert: Convert) -> float:
    def price(choice: Choice) -> float:
        return choice.cost + (SIZE_WEIGHT * choice.flash if optimize == "size" else 0.0)

    total = sum(price(choice) for choice in picks)
    for tensor, source, out in _conversions(graph, picks):
        total += price(convert(graph.tensors[tensor].with_layout(source), out))
    return total


def _descend(
    graph: Graph, options: Sequence[Sequence[Choice]], start: list[Choice], optimize: str, convert: Convert
) -> list[Choice]:
    picks, best = start, _total(graph, start, optimize, convert)
    improved = True
    while improved:
        improved = False
        for i, choices in enumerate(options):
            for choice in choices:
                trial = [*picks[:i], choice, *picks[i + 1 :]]
                total = _total(graph, trial, optimize, convert)
                if total < best - 1e-9:
                    picks, best, improved = trial, total, True
    return picks


def select(
    graph: Graph,
    options: Sequence[Sequence[Choice]],
    optimize: str = "speed",
    convert: Convert = layout_choice,
) -> Selection:
    """``options``: the choices of each op of ``graph``, none empty."""
    convert = functools.cache(convert)
    starts = [
        [min(choices, key=lambda c: c.cost) for choices in options],
        [choices[0] for choices in options],
        *(
            [
                min(choices, key=lambda c: (layout not in c.in_layouts + c.out_layouts, c.cost))
                for choices in options
            ]
            for layout in ("planes", "nibbles", "chw", "nhwc")
        ),
    ]
    ends = [_descend(graph, options, start, optimize, convert) for start in starts]
    picks = min(ends, key=lambda p: _total(graph, p, optimize, convert))
    return _insert(graph, picks, _total(graph, picks, optimize, convert), convert)


def _insert(graph: Graph, picks: Sequence[Choice], cost: float, convert: Convert) -> Selection:
    """The graph with layouts and explicit conversions."""
    home = _home(graph, graph.ops, picks)
    types: dict[str, TensorType] = {n: t.with_layout(home.get(n, t.layout)) for n, t in graph.tensors.items()}
    ops: list[Op] = []
    choices: list[Choice] = []
    names = {op.name for op in graph.ops}
    converted: dict[tuple[str, str], str] = {}

    def read(tensor: str, layout: str) -> str:
        if types[tensor].layout == layout:
            return tensor
        if (tensor, layout) not in converted:
            out = f"{tensor}@{layout}"
            types[out] = types[tensor].with_layout(layout)
            name = f"{tensor.split(':')[0]}_{layout}"
            while name in names:
                name += "_"
            names.add(name)
            ops.append(Op(name, "layout", (tensor,), (out,), {}))
            choices.append(convert(types[tensor], layout))
            converted[tensor, layout] = out
        return converted[tensor, layout]

    for op, choice in zip(graph.ops, picks, strict=True):
        inputs = tuple(read(t, layout) for t, layout in zip(op.inputs, choice.in_layouts, strict=True))
        ops.append(op.with_(inputs=inputs))
        choices.append(choice)
    output = read(graph.output, "nhwc")
    return Selection(graph.replace(ops, types, output=output), tuple(choices), cost)


def describe(choice: Choice) -> Mapping[str, object]:
    """A choice as report data."""
    return {
        "kernel": choice.kernel,
        "variant": choice.variant,
        "cost": round(choice.cost),
        "flash": choice.flash,
        "scratch": choice.scratch,
    }
