"""Lowers a quantiser of an s8 tensor, with the affine map before it, to quantize (SPEC.md section 6).

Pre: lower_bconv has run. Post: no q.quant and no q.affine.
"""

from __future__ import annotations

import numpy as np

from edgebnn.ir import Graph, Op
from edgebnn.passes.lower_bconv import integer_affine
from edgebnn.passes.rewrite import each, fail


def sign_affine(gain: np.ndarray, bias: np.ndarray, zero_point: int) -> tuple[np.ndarray, np.ndarray]:
    """(mul in {-1, 0, 1}, add) with (x * mul + add < 0) == (gain * (x - zero_point) + bias < 0) for s8 x."""
    x = np.arange(-128, 128)
    negative = gain[:, None] * (x - zero_point) + bias[:, None] < 0
    rising = gain > 0
    # gain > 0: -1 for the first n values, x < n - 128; gain < 0: for the last n, x > 127 - n
    n = negative.sum(axis=1)
    mul = np.where(n % 256 == 0, 0, np.where(rising, 1, -1))
    add = np.where(n == 0, 0, np.where(n == 256, -1, np.where(rising, 128 - n, 127 - n)))
    return mul.astype(np.int16), add.astype(np.int32)


def _quant(graph: Graph, op: Op) -> Graph | None:
    before = graph.producer(op.inputs[0])
    affine = before if before is not None and before.type == "q.affine" else None
    source_name = affine.inputs[0] if affine is not None else op.inputs[0]
    source, out = graph.tensors[source_name], graph.tensors[op.output]
    if source.dtype != "s8" or out.dtype not in ("b1", "u2", "u3", "u4", "s8"):
        raise fail(
            graph, op, f"cannot quantise {source.dtype} to {out.dtype}", "quantise the layer before it to s8"
        )
    channels = source.channels
    gain = affine.attrs["gain"] if affine is not None else np.ones(channels)
    bias = affine.attrs["bias"] if affine is not None else np.zeros(channels)
    if out.dtype == "b1":
        mul, add = sign_affine(gain * source.scale, bias, source.zero_point)
        shift = 0
    else:
        real_gain = gain * source.scale / out.scale
        offset = bias / out.scale - real_gain * source.zero_point + out.centre
        found = integer_affine(real_gain, offset, np.full(channels, 128))
        if found is None:
            raise fail(graph, op, "its gain does not fit the integer form", "check the layer's scale")
        mul, add, shift = found
    lowered = Op(op.name, "quantize", (source_name,), op.outputs, {"mul": mul, "add": add, "shift": shift})
    ops = [lowered if o is op else o for o in graph.ops]
    if affine is not None and all(o is op for o in graph.consumers(affine.output)):
        ops.remove(affine)
    return graph.replace(ops)


def run(graph: Graph) -> Graph:
    """See the module."""
    graph = each(graph, "q.quant", _quant)
    for op in graph.ops:
        if op.type == "q.affine":
            raise fail(
                graph, op, "an affine map that no convolution or quantiser takes", "quantise its output"
            )
    return graph
