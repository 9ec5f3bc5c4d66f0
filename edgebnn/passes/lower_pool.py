"""Lowers pools, and clamps of tensors that other layers read unclamped, to integer pools.

Pre: lower_quantize has run. Post: no q.mean, q.avg_pool, q.max_pool, q.relu, q.hardtanh.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from edgebnn.ir import Graph, Op, fixed
from edgebnn.passes.lower_conv import limits
from edgebnn.passes.rewrite import fail

WINDOW = ("kernel", "stride", "pads", "dilation")


def _mean(graph: Graph, op: Op) -> Op:
    source, out = graph.tensors[op.inputs[0]], graph.tensors[op.output]
    if source.dtype != "s8" or out.dtype != "s8":
        raise fail(graph, op, f"mean of {source.dtype} to {out.dtype}", "quantise both sides to s8")
    multiplier, shift = fixed.quantize_multiplier(source.scale / (source.pixels * out.scale))
    low, high = limits(graph, op)
    attrs = {"multiplier": multiplier, "shift": shift, "act_min": low, "act_max": high}
    return Op(op.name, "mean", op.inputs, op.outputs, attrs)


def _pool(graph: Graph, op: Op) -> Op:
    source, out = graph.tensors[op.inputs[0]], graph.tensors[op.output]
    kind = {"q.max_pool": "max_pool2d", "q.avg_pool": "avg_pool2d"}[op.type]
    allowed = ("s8",) if kind == "avg_pool2d" else ("s8", "b1", "u2", "u3", "u4")
    if source.dtype not in allowed or (source.dtype, source.scale) != (out.dtype, out.scale):
        raise fail(graph, op, f"pool of {source.dtype} to {out.dtype}", "quantise its input")
    return Op(
        op.name,
        kind,
        op.inputs,
        op.outputs,
        {k: op.attrs[k] for k in WINDOW} | {"act_min": -128, "act_max": 127},
    )


def _clamp(graph: Graph, op: Op) -> Op:
    """A clamp of a stored tensor: a 1x1 max pool with activation limits."""
    source = graph.tensors[op.inputs[0]]
    if source.dtype != "s8":
        raise fail(graph, op, f"activation on {source.dtype}", "put it right after a convolution")
    low, high = -128, 127
    if op.type == "q.relu":
        low = max(low, source.zero_point)
    else:
        one = int(np.floor(1 / source.scale + 0.5))
        low, high = max(low, source.zero_point - one), min(high, source.zero_point + one)
    window = {"kernel": (1, 1), "stride": (1, 1), "pads": (0, 0, 0, 0), "dilation": (1, 1)}
    return Op(op.name, "max_pool2d", op.inputs, op.outputs, window | {"act_min": low, "act_max": high})


def run(graph: Graph) -> Graph:
    """See the module."""
    rules = {"q.avg_pool": _pool, "q.max_pool": _pool, "q.relu": _clamp, "q.hardtanh": _clamp}
    ops: list[Op] = []
    for op in graph.ops:
        if op.type in ("q.relu", "q.hardtanh") or (
            op.type in rules and graph.tensors[op.output].dtype == "real"
        ):
            source = graph.tensors[op.inputs[0]]  # a clamp or pool keeps the type of what it reads
            kept = dataclasses.replace(source, shape=graph.tensors[op.output].shape)
            graph = graph.replace(graph.ops, {op.output: kept})
        if op.type == "q.mean":
            ops.append(_mean(graph, op))
        else:
            ops.append(rules[op.type](graph, op) if op.type in rules else op)
    return graph.replace(ops)
