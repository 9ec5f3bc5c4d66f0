"""Lowers softmax to its fixed-point form.

Pre: lower_add has run. Post: no q.softmax; the graph is an integer graph.
"""

from __future__ import annotations

from edgebnn.ir import Graph, Op
from edgebnn.ir.ops.softmax import parameters
from edgebnn.passes.rewrite import fail


def _lower(graph: Graph, op: Op) -> Op:
    source = graph.tensors[op.inputs[0]]
    if source.dtype != "s8":
        raise fail(graph, op, f"softmax of {source.dtype}", "quantise its input to s8")
    return Op(op.name, "softmax", op.inputs, op.outputs, parameters(source.scale))


def run(graph: Graph) -> Graph:
    """See the module."""
    return graph.replace(_lower(graph, op) if op.type == "q.softmax" else op for op in graph.ops)
