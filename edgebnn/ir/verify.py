"""The graph verifier: run after every pass and after every load."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from edgebnn.errors import ModelError
from edgebnn.ir.bounds import overflow
from edgebnn.ir.ops import REGISTRY, windows
from edgebnn.ir.schema import RULES, window
from edgebnn.ir.types import DTYPE_BITS, LAYOUTS, Graph, Op, TensorType

#: elements of the largest tensor
MOST_ELEMENTS = 1 << 26
LONGEST_NAME = 255
#: a model's name is a C identifier and the name of its header
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
RESERVED = re.compile(
    r"ebnn.*|assert|complex|ctype|errno|fenv|float|inttypes|iso646|limits|locale|math|setjmp|signal|stdarg|stdbool"
    r"|stddef|stdint|stdio|stdlib|string|tgmath|time|wchar|wctype"
)


def verify(graph: Graph, integer: bool = False) -> Graph:
    """Returns ``graph`` if it is well formed: known ops with complete attributes of the right types, tensors written
    once before they are read, shapes as the ops' shape rules say. ``integer`` also refuses float-annotated ops and
    "real" tensors, and proves that no accumulator overflows.

    Raises ModelError naming the layer.
    """
    _verify_names(graph)
    for name, tensor in graph.tensors.items():
        _verify_type(graph, name, tensor, integer)
    written = {graph.input}
    names: set[str] = set()
    if graph.input not in graph.tensors:
        raise ModelError(f"{graph.name}: the input {graph.input!r} has no type")
    for op in graph.ops:
        _verify_op(graph, op, written, integer)
        if op.name in names:
            raise ModelError(f"{graph.name}: two layers are named {op.name!r}")
        names.add(op.name)
        written.update(op.outputs)
    if graph.output not in written:
        raise ModelError(f"{graph.name}: no layer writes the output {graph.output!r}")
    return graph


def reserved(name: str) -> bool:
    """True where a model's header ``name``.h would hide another header."""
    return RESERVED.fullmatch(name.lower()) is not None


def _verify_names(graph: Graph) -> None:
    if not NAME.fullmatch(graph.name) or reserved(graph.name):
        taken = NAME.fullmatch(graph.name)
        why = "is taken by a C header" if taken else "is not a C identifier of at most 63 characters"
        raise ModelError(f"model name {graph.name[:80]!r} {why}", "rename the model")
    labels = graph.meta.get("labels")
    if labels is not None and not (
        isinstance(labels, list | tuple) and all(isinstance(t, str) for t in labels)
    ):
        raise ModelError(f"{graph.name}: the labels are no list of texts")
    for name in (*(op.name for op in graph.ops), *(labels or [])):
        if len(name.encode(errors="replace")) > LONGEST_NAME:
            raise ModelError(
                f"{graph.name}: the name {name[:40]!r}... is over {LONGEST_NAME} bytes", "shorten it"
            )


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
    if written.intersection(op.outputs) or len(set(op.outputs)) < len(op.outputs):
        raise bad("writes a tensor twice")
    if definition.attrs >= windows.ATTRS and (wrong := window(op)):
        raise bad(wrong)
    weights = [op.attrs[key] for key in ("weights", "codes") if key in op.attrs]
    if not all(isinstance(w, np.ndarray) and w.ndim in (3, 4) for w in weights):
        raise bad("the weights are no array of 3 or 4 dimensions")
    shapes = definition.shape(op, [graph.tensors[n].shape for n in op.inputs])
    if shapes != [graph.tensors[n].shape for n in op.outputs]:
        raise bad(f"output shape {[graph.tensors[n].shape for n in op.outputs]}, expected {shapes}")
    second = op.inputs[1] if len(op.inputs) == 2 else None
    if second is not None and op.type != "q.conv" and graph.tensors[second].shape != shapes[0]:
        raise bad("the second input's shape differs from the output's")
    for key, value in op.attrs.items():
        if isinstance(value, np.ndarray) and value.dtype.kind == "f" and not np.isfinite(value).all():
            raise bad(f"attribute {key!r} holds NaN or infinity")
    for key, size in _channel_attrs(op, shapes[0][2]).items():
        value = op.attrs.get(key)
        if value is not None and np.asarray(value).size != size:
            raise bad(f"attribute {key!r} has {np.asarray(value).size} entries, expected {size}")
    ins, outs = ([graph.tensors[n] for n in names] for names in (op.inputs, op.outputs))
    if op.type in RULES and (wrong := RULES[op.type](op, ins, outs)):
        raise bad(wrong)
    if integer and (wrong := overflow(op, ins)):
        raise bad(wrong)


def _channel_attrs(op: Op, channels: int) -> Mapping[str, int]:
    """Attributes of float-annotated ops that hold one entry a channel, and that number; RULES has the integer ops'."""
    if not op.type.startswith("q."):
        return {}
    keys = ("gain", "bias", "gain2", "bias2", "weight_scale", "slope", "shift_in", "shift_out")
    return dict.fromkeys(keys, channels)


def _verify_type(graph: Graph, name: str, tensor: TensorType, integer: bool) -> None:
    what = f"{graph.name}: tensor {name!r}"
    if tensor.dtype not in DTYPE_BITS or tensor.layout not in LAYOUTS or (integer and tensor.dtype == "real"):
        raise ModelError(f"{what} has type {tensor.dtype} {tensor.layout}")
    if (tensor.layout == "chw" and tensor.is_bits) or (
        tensor.layout not in ("nhwc", "chw") and not tensor.is_bits
    ):
        raise ModelError(f"{what} of {tensor.dtype} cannot have layout {tensor.layout}")
    if len(tensor.shape) != 3 or not all(0 < n < 65536 for n in tensor.shape):
        raise ModelError(f"{what} has shape {tensor.shape}, sizes must be 1..65535")
    if tensor.elements > MOST_ELEMENTS:
        raise ModelError(f"{what} has {tensor.elements} elements, the most is {MOST_ELEMENTS}")
    if not 2.0**-100 < tensor.scale < 2.0**100:
        raise ModelError(f"{what} has scale {tensor.scale}")
    if tensor.bipolar and tensor.dtype not in ("u2", "u3", "u4"):
        raise ModelError(f"{what} of {tensor.dtype} is bipolar, which u2, u3 and u4 can be")
    if tensor.bipolar and integer and name in (graph.input, graph.output):
        raise ModelError(
            f"{what} is bipolar, which inputs and outputs of a model cannot be", "quantise it to s8"
        )
    low, high = (-128, 127) if tensor.dtype == "s8" else (0, 0)
    if not low <= tensor.zero_point <= high:
        raise ModelError(
            f"{what} of {tensor.dtype} has zero point {tensor.zero_point}, expected {low}..{high}"
        )
