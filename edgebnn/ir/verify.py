"""The graph verifier: run after every pass and after every load."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgebnn.errors import ModelError
from edgebnn.ir.ops import REGISTRY
from edgebnn.ir.types import DTYPE_BITS, LAYOUTS, Graph, Op, TensorType


def verify(graph: Graph, integer: bool = False) -> Graph:
    """Returns ``graph`` if it is well formed: known ops with complete attributes, tensors written once before they
    are read, shapes as the ops' shape rules say. ``integer`` also refuses float-annotated ops and "real" tensors.

    Raises ModelError naming the layer.
    """
    written = {graph.input}
    names: set[str] = set()
    for op in graph.ops:
        _verify_op(graph, op, written, integer)
        if op.name in names:
            raise ModelError(f"{graph.name}: two layers are named {op.name!r}")
        names.add(op.name)
        written.update(op.outputs)
    if graph.output not in written:
        raise ModelError(f"{graph.name}: no layer writes the output {graph.output!r}")
    for name, tensor in graph.tensors.items():
        _verify_type(graph, name, tensor, integer)
    return graph


def _verify_op(graph: Graph, op: Op, written: set[str], integer: bool) -> None:
    def bad(what: str) -> ModelError:
        return ModelError(f"{graph.name}: layer {op.name!r} ({op.type}): {what}")

    definition = REGISTRY.get(op.type)
    if definition is None:
        raise bad("unknown op")
    if integer and definition.reference is None:
        raise bad("float op left after lowering")
    missing = definition.attrs - op.attrs.keys()
    if missing:
        raise bad(f"missing attribute {sorted(missing)[0]!r}")
    unknown = op.attrs.keys() - definition.attrs - definition.optional
    if unknown:
        raise bad(f"unknown attribute {sorted(unknown)[0]!r}")
    if not definition.inputs[0] <= len(op.inputs) <= definition.inputs[1] or not 1 <= len(op.outputs) <= 2:
        raise bad(f"{len(op.inputs)} inputs, {len(op.outputs)} outputs")
    for name in op.inputs:
        if name not in written:
            raise bad(f"reads {name!r}, which no earlier layer writes")
    for name in (*op.inputs, *op.outputs):
        if name not in graph.tensors:
            raise bad(f"tensor {name!r} has no type")
    if written.intersection(op.outputs):
        raise bad("writes a tensor twice")
    shapes = definition.shape(op, [graph.tensors[n].shape for n in op.inputs])
    if shapes != [graph.tensors[n].shape for n in op.outputs]:
        raise bad(f"output shape {[graph.tensors[n].shape for n in op.outputs]}, expected {shapes}")
    second = op.inputs[1] if len(op.inputs) == 2 else None
    if second is not None and op.type != "q.conv" and graph.tensors[second].shape != shapes[0]:
        raise bad("the second input's shape differs from the output's")
    for key, value in op.attrs.items():
        if isinstance(value, np.ndarray) and value.dtype.kind == "f" and not np.isfinite(value).all():
            raise bad(f"attribute {key!r} holds NaN or infinity")
    channels = _channel_attrs(op)
    for key, size in channels.items():
        value = op.attrs.get(key)
        if value is not None and np.asarray(value).size != size:
            raise bad(f"attribute {key!r} has {np.asarray(value).size} entries, expected {size}")


def _channel_attrs(op: Op) -> Mapping[str, int]:
    """Attributes that hold one entry a channel, and that number."""
    weights = op.attrs.get("weights", op.attrs.get("codes"))
    if not isinstance(weights, np.ndarray):
        return {}
    channels = weights.shape[2] if op.type == "depthwise_conv2d" else weights.shape[0]
    keys = ("bias", "multiplier", "shift", "threshold", "mul", "add", "mul2", "add2", "gain", "weight_scale")
    skip = {"shift"} if op.type == "bconv2d" else set()
    return {key: channels for key in keys if key not in skip}


def _verify_type(graph: Graph, name: str, tensor: TensorType, integer: bool) -> None:
    if tensor.dtype not in DTYPE_BITS or tensor.layout not in LAYOUTS or (integer and tensor.dtype == "real"):
        raise ModelError(f"{graph.name}: tensor {name!r} has type {tensor.dtype} {tensor.layout}")
    if len(tensor.shape) != 3 or not all(0 < n < 65536 for n in tensor.shape):
        raise ModelError(f"{graph.name}: tensor {name!r} has shape {tensor.shape}, sizes must be 1..65535")
    if not np.isfinite(tensor.scale) or tensor.scale <= 0:
        raise ModelError(f"{graph.name}: tensor {name!r} has scale {tensor.scale}")
