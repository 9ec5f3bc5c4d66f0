"""Folds quantisation points into the op before them.

Pre: fold_add has run. Post: the outputs of q.conv, q.mean and q.add carry the type of the q.quant that read them;
q.quant remains where it reads a quantised tensor, directly or through one q.affine (lower_quantize).
"""

from __future__ import annotations

from edgebnn.ir import Graph, Op
from edgebnn.passes.rewrite import each, merge, sole_producer


def _fold(graph: Graph, op: Op) -> Graph | None:
    before = sole_producer(graph, op.inputs[0], "q.conv", "q.mean", "q.add")
    if before is None or graph.tensors[before.output].dtype != "real":
        return None
    return merge(graph, before, op, before)


def run(graph: Graph) -> Graph:
    """See the module."""
    return each(graph, "q.quant", _fold)
