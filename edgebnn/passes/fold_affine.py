"""Folds per-channel affine maps (batch norm, bias, learned scale) into the convolution before them.

Pre: float-annotated graph. Post: every q.conv has gain and bias; a q.affine remains only where its input is not a
convolution that it alone reads (before a quantiser: lower_quantize takes it).
"""

from __future__ import annotations

import numpy as np

from edgebnn.ir import Graph, Op
from edgebnn.passes.rewrite import each, merge, sole_producer


def with_epilogue(op: Op) -> Op:
    """A q.conv with explicit gain and bias."""
    channels = op.attrs["codes"].shape[0]
    defaults = {"gain": np.ones(channels), "bias": np.zeros(channels)}
    return op.with_(attrs={k: op.attrs.get(k, v) for k, v in defaults.items()})


def _affine(graph: Graph, op: Op) -> Graph | None:
    before = sole_producer(graph, op.inputs[0], "q.conv", "q.affine")
    if before is None or "clamp" in before.attrs or "gain2" in before.attrs or len(before.inputs) > 1:
        return None
    before_full = with_epilogue(before) if before.type == "q.conv" else before
    gain, bias = op.attrs["gain"], op.attrs["bias"]
    attrs = {"gain": before_full.attrs["gain"] * gain, "bias": before_full.attrs["bias"] * gain + bias}
    return merge(graph, before, op, before_full.with_(attrs=attrs))


def run(graph: Graph) -> Graph:
    """See the module."""
    graph = each(graph, "q.affine", _affine)
    return graph.replace(with_epilogue(op) if op.type == "q.conv" else op for op in graph.ops)
