"""Lowers additions of two s8 tensors to add, with TFLite's fixed-point parameters.

Pre: lower_pool has run. Post: no q.add.
"""

from __future__ import annotations

from edgebnn.ir import Graph, Op, fixed
from edgebnn.ir.ops.elementwise import LEFT_SHIFT
from edgebnn.passes.lower_conv import limits
from edgebnn.passes.rewrite import fail


def _lower(graph: Graph, op: Op) -> Op:
    a, b, out = (graph.tensors[n] for n in (*op.inputs, op.output))
    if any(t.dtype != "s8" for t in (a, b, out)):
        raise fail(
            graph,
            op,
            f"adds {a.dtype} and {b.dtype} to {out.dtype}",
            "quantise both operands and the sum to s8",
        )
    twice = 2 * max(a.scale, b.scale)
    pairs = {
        "input1": fixed.quantize_multiplier(a.scale / twice),
        "input2": fixed.quantize_multiplier(b.scale / twice),
        "output": fixed.quantize_multiplier(twice / ((1 << LEFT_SHIFT) * out.scale)),
    }
    attrs = {
        f"{k}_{f}": v for k, pair in pairs.items() for f, v in zip(("multiplier", "shift"), pair, strict=True)
    }
    low, high = limits(graph, op)
    return Op(op.name, "add", op.inputs, op.outputs, attrs | {"act_min": low, "act_max": high})


def run(graph: Graph) -> Graph:
    """See the module."""
    return graph.replace(_lower(graph, op) if op.type == "q.add" else op for op in graph.ops)
