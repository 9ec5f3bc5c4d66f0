"""Folds a shortcut addition into the low-bit convolution that computes one of its operands.

Pre: fold_activation has run. Post: a low-bit q.conv whose sum with an s8 tensor is quantised on that tensor's grid
(same scale, zero point 0) has that tensor as its second input; other q.add stay and need quantised operands. ReLU and
HardTanh after a sum or a mean are its clamp.
"""

from __future__ import annotations

import math

from edgebnn.ir import Graph, Op
from edgebnn.passes.fold_activation import clamp_to_pieces
from edgebnn.passes.rewrite import each, merge, sole_producer


def _quantised_as(graph: Graph, tensor: str):  # type: ignore[no-untyped-def]
    """The type of the quant that alone reads ``tensor``, through clamps."""
    readers = graph.consumers(tensor)
    if len(readers) != 1:
        return None
    if readers[0].type in ("q.relu", "q.hardtanh"):
        return _quantised_as(graph, readers[0].output)
    return graph.tensors[readers[0].output] if readers[0].type == "q.quant" else None


def _fold(graph: Graph, op: Op) -> Graph | None:
    target = _quantised_as(graph, op.output)
    if target is None or target.dtype != "s8" or target.zero_point != 0:
        return None
    for mine, other in (op.inputs, op.inputs[::-1]):
        conv = sole_producer(graph, mine, "q.conv")
        stream = graph.tensors[other]
        fits = stream.dtype == "s8" and stream.zero_point == 0 and math.isclose(stream.scale, target.scale)
        if conv is None or conv.attrs["kind"] == "s8" or len(conv.inputs) > 1 or not fits:
            continue
        full = clamp_to_pieces(graph, conv)
        return merge(graph, conv, op, full.with_(inputs=(conv.inputs[0], other)))
    return None


def _clamp_after(low: float, high: float):  # type: ignore[no-untyped-def]
    def change(graph: Graph, op: Op) -> Graph | None:
        before = sole_producer(graph, op.inputs[0], "q.conv", "q.add", "q.mean")
        if before is None or graph.tensors[op.inputs[0]].dtype != "real":
            return None
        old = before.attrs.get("clamp", (-math.inf, math.inf))
        return merge(graph, before, op, before.with_(attrs={"clamp": (max(old[0], low), min(old[1], high))}))

    return change


def run(graph: Graph) -> Graph:
    """See the module."""
    graph = each(graph, "q.add", _fold)
    while True:  # clamps may follow one another in any order
        before = graph
        graph = each(graph, "q.relu", _clamp_after(0.0, math.inf))
        graph = each(graph, "q.hardtanh", _clamp_after(-1.0, 1.0))
        if graph is before:
            return graph
