"""Moves monotone ops to the side of a quantisation point where integers do them.

Pre: float-annotated graph. Post: no q.relu reads a q.quant that nothing else reads (it stands before the quant:
clamping at a grid point and rounding commute); no q.max_pool of real values feeds a q.quant, affine map or activation
alone (it follows it: they are monotone); a q.relu or pool of a quantised tensor has that tensor's type.
"""

from __future__ import annotations

import dataclasses

from edgebnn.ir import Graph, Op
from edgebnn.passes.rewrite import each, fail, sole_producer


def _swap(graph: Graph, first: Op, second: Op) -> Graph:
    """first -> second becomes second -> first. The result keeps its name, the tensor between them gets another."""
    (old,), (out,) = first.outputs, second.outputs
    middle_type, out_type = graph.tensors[old], graph.tensors[out]
    middle = f"{second.name}:before"
    while middle in graph.tensors:
        middle += "_"
    source = graph.tensors[first.inputs[0]]
    new_first = second.with_(inputs=first.inputs, outputs=(middle,))
    new_second = first.with_(inputs=(middle,), outputs=(out,))
    ops = [new_first if op is first else new_second if op is second else op for op in graph.ops]
    if first.type == "q.quant":  # quant -> relu: the result is quantised, the middle real
        types = {middle: source.__class__(out_type.shape, "real"), out: middle_type}
    else:  # max_pool -> quant: both are quantised, the middle has the pool's input shape
        types = {
            middle: dataclasses.replace(out_type, shape=source.shape),
            out: out_type,
        }
    return graph.replace(ops, types)


def _relu(graph: Graph, op: Op) -> Graph | None:
    if graph.tensors[op.inputs[0]].dtype == "b1":
        raise fail(graph, op, "ReLU of b1 values, which are -1 and +1", "put the ReLU before the quantiser")
    if graph.tensors[op.inputs[0]].bipolar:
        what = "ReLU of bipolar values, none of which is 0"
        raise fail(graph, op, what, "put the ReLU before the quantiser")
    quant = sole_producer(graph, op.inputs[0], "q.quant")
    return _swap(graph, quant, op) if quant is not None else None


def _after_pool(graph: Graph, op: Op) -> Graph | None:
    pool = sole_producer(graph, op.inputs[0], "q.max_pool")
    if pool is None or graph.tensors[pool.inputs[0]].dtype != "real":
        return None
    slopes = op.attrs.get("gain", op.attrs.get("slope"))
    if slopes is not None and (falling := int((slopes < 0).sum())):
        what = f"falls with its input in {falling} channels, behind a max pool"
        raise fail(graph, op, what, "put the max pool behind it")
    return _swap(graph, pool, op)


def _quant(graph: Graph, op: Op) -> Graph | None:
    pool = sole_producer(graph, op.inputs[0], "q.max_pool")
    if pool is None or graph.tensors[pool.inputs[0]].dtype != "real":
        return None
    return _swap(graph, pool, op)


def _keep_types(graph: Graph) -> Graph:
    for op in graph.ops:
        source, out = graph.tensors[op.inputs[0]], graph.tensors[op.output]
        if op.type in ("q.relu", "q.max_pool", "q.avg_pool") and (source.dtype, out.dtype) == ("s8", "real"):
            graph = graph.replace(graph.ops, {op.output: dataclasses.replace(source, shape=out.shape)})
    return graph


def run(graph: Graph) -> Graph:
    """See the module."""
    graph = each(graph, "q.relu", _relu)
    for _ in graph.ops:  # a chain behind a pool moves up op by op
        before = graph
        for monotone in ("q.affine", "q.relu", "q.prelu", "q.hardtanh"):
            graph = each(graph, monotone, _after_pool)
        if graph is before:
            break
    return _keep_types(each(graph, "q.quant", _quant))
