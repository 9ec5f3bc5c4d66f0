"""Passes: each rewrites a graph into a new one and states its pre- and postcondition; the verifier runs after each."""

from __future__ import annotations

from collections.abc import Callable

from edgebnn.ir import Graph, verify
from edgebnn.passes import (
    fold_activation,
    fold_add,
    fold_affine,
    fold_quant,
    lower_add,
    lower_bconv,
    lower_conv,
    lower_pool,
    lower_quantize,
    lower_softmax,
    sink_quant,
)

#: in this order
PASSES: tuple[Callable[[Graph], Graph], ...] = (
    sink_quant.run,
    fold_affine.run,
    fold_activation.run,
    fold_add.run,
    fold_quant.run,
    lower_conv.run,
    lower_bconv.run,
    lower_quantize.run,
    lower_pool.run,
    lower_add.run,
    lower_softmax.run,
)


def lower(graph: Graph) -> Graph:
    """The integer graph of a float-annotated one (an integer graph passes through unchanged).

    Raises ModelError naming the layer that cannot be expressed in integers, and why.
    """
    for run in PASSES:
        graph = verify(run(graph))
    return verify(graph, integer=True)
