"""What the passes share: small graph rewrites and error text."""

from __future__ import annotations

from collections.abc import Callable

from edgebnn.errors import ModelError
from edgebnn.ir import Graph, Op


def sole_producer(graph: Graph, tensor: str, *types: str) -> Op | None:
    """The op of one of ``types`` that writes ``tensor``, if nothing but one reader sees it."""
    op = graph.producer(tensor)
    if op is None or op.type not in types or len(graph.consumers(tensor)) != 1 or tensor == graph.output:
        return None
    return op


def merge(graph: Graph, first: Op, second: Op, merged: Op) -> Graph:
    """``first`` and its only reader ``second`` become ``merged``, in the place of ``second``, writing what ``second``
    wrote."""
    merged = merged.with_(outputs=second.outputs)
    return graph.replace(merged if op is second else op for op in graph.ops if op is not first)


def each(graph: Graph, op_type: str, change: Callable[[Graph, Op], Graph | None]) -> Graph:
    """Applies ``change`` to ops of ``op_type`` until it returns None for all of them."""
    while True:
        for op in graph.ops:
            if op.type == op_type:
                changed = change(graph, op)
                if changed is not None:
                    graph = changed
                    break
        else:
            return graph


def fail(graph: Graph, op: Op, what: str, hint: str | None = None) -> ModelError:
    """A ModelError that names the model and the layer."""
    return ModelError(f"{graph.name}: layer {op.name!r} ({op.type}): {what}", hint)
