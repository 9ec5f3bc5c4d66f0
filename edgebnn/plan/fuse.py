"""Fuses the quantiser of the next layer into the epilogue of a low-bit convolution.

A stream tensor that a bconv2d writes and a quantize reads becomes the first of two outputs; the quantised tensor is
the second. Only kernels with a second output take such an op, so the planner compares both forms.
"""

from __future__ import annotations

from collections.abc import Callable

from edgebnn.ir import Graph, Op


def fuse_quantize(graph: Graph, takes: Callable[[Graph, Op], bool]) -> Graph:
    """``graph`` with every bconv2d -> quantize pair fused for which ``takes(fused graph, fused op)`` holds."""
    for op in graph.ops:
        if op.type != "quantize":
            continue
        conv = graph.producer(op.inputs[0])
        if conv is None or conv.type != "bconv2d" or len(conv.outputs) > 1:
            continue
        attrs = {"next_mul": op.attrs["mul"], "next_add": op.attrs["add"], "next_shift": op.attrs["shift"]}
        fused = conv.with_(outputs=(conv.output, op.output), attrs=attrs)
        candidate = graph.replace(fused if o is conv else o for o in graph.ops if o is not op)
        if takes(candidate, fused):
            graph = candidate
    return graph
