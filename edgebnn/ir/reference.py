"""Runs a graph with NumPy: the exact integer semantics every kernel must reproduce."""

from __future__ import annotations

import numpy as np

from edgebnn.errors import UsageError
from edgebnn.ir.ops import REGISTRY
from edgebnn.ir.types import Graph


def run(graph: Graph, x: np.ndarray) -> dict[str, np.ndarray]:
    """All tensors of an integer graph for one input of codes (H, W, C), or any shape with as many elements.

    Returns int64 arrays (H, W, C) by tensor name; b1 values are -1/+1. Raises UsageError for a wrong input size.
    """
    input_type = graph.tensors[graph.input]
    if x.size != input_type.elements:
        raise UsageError(f"input has {x.size} values, model {graph.name!r} takes {input_type.shape}")
    values = {graph.input: np.asarray(x, np.int64).reshape(input_type.shape)}
    for op in graph.ops:
        reference = REGISTRY[op.type].reference
        assert reference is not None, op.type
        outs = reference(
            op,
            [values[n] for n in op.inputs],
            [graph.tensors[n] for n in op.inputs],
            [graph.tensors[n] for n in op.outputs],
        )
        values.update(zip(op.outputs, outs, strict=True))
    return values
