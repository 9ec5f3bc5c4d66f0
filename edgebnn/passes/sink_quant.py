"""Moves monotone ops to the side of a quantisation point where integers do them.

Pre: float-annotated graph. Post: no q.relu or q.hardtanh reads a q.quant that nothing else reads (it stands before the
quant: clamping at a grid point and rounding commute); no q.max_pool feeds a q.quant alone (it follows it: rounding is
monotone).
"""

from __future__ import annotations

from edgebnn.ir import Graph, Op
from edgebnn.passes.rewrite import each, sole_producer


def _swap(graph: Graph, first: Op, second: Op) -> Graph:
    """first -> second becomes second -> first on the same two tensor names."""
    (middle,), (out,) = first.outputs, second.outputs
    middle_type, out_type = graph.tensors[middle], graph.tensors[out]
    source = graph.tensors[first.inputs[0]]
    new_first = second.with_(inputs=first.inputs, outputs=(middle,))
    new_second = first.with_(inputs=(middle,), outputs=(out,))
    ops = [new_first if op is first else new_second if op is second else op for op in graph.ops]
    if first.type == "q.quant":  # quant -> relu: the result is quantised, the middle real
        types = {middle: source.__class__(out_type.shape, "real"), out: middle_type}
    else:  # max_pool -> quant: both are quantised, the middle has the pool's input shape
        types = {
            middle: out_type.__class__(source.shape, out_type.dtype, out_type.scale, out_type.zero_point),
            out: out_type,
        }
    return graph.replace(ops, types)


def _relu(graph: Graph, op: Op) -> Graph | None:
    quant = sole_producer(graph, op.inputs[0], "q.quant")
    return _swap(graph, quant, op) if quant is not None else None


def _quant(graph: Graph, op: Op) -> Graph | None:
    pool = sole_producer(graph, op.inputs[0], "q.max_pool")
    if pool is None or graph.tensors[pool.inputs[0]].dtype != "real":
        return None
    return _swap(graph, pool, op)


def run(graph: Graph) -> Graph:
    """See the module."""
    graph = each(graph, "q.relu", _relu)
    return each(graph, "q.quant", _quant)
