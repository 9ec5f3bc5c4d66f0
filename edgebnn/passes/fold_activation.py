"""Folds ReLU, PReLU/RPReLU and HardTanh, and affine maps after them, into the convolution before them.

A piecewise linear activation with two pieces is the maximum (minimum) of two affine maps of the accumulator; a ReLU or
HardTanh that comes last is a clamp.

Pre: fold_affine has run. Post: q.relu, q.prelu and q.hardtanh remain only after ops other than q.conv.
"""

from __future__ import annotations

import math

import numpy as np

from edgebnn.ir import Graph, Op
from edgebnn.passes.rewrite import each, fail, merge, sole_producer


def clamp_to_pieces(graph: Graph, op: Op) -> Op:
    """A q.conv whose final ReLU became a second piece, so that more may follow. Raises ModelError for other clamps."""
    clamp = op.attrs.get("clamp")
    if clamp is None:
        return op
    if tuple(clamp) != (0.0, math.inf) or "gain2" in op.attrs or len(op.inputs) > 1:
        raise fail(
            graph, op, "an operation follows an activation that is not a plain ReLU", "quantise in between"
        )
    zeros = np.zeros_like(op.attrs["gain"])
    attrs = {k: v for k, v in op.attrs.items() if k != "clamp"}
    return Op(
        op.name, op.type, op.inputs, op.outputs, {**attrs, "gain2": zeros, "bias2": zeros, "combine": "max"}
    )


def _clamp(low: float, high: float):  # type: ignore[no-untyped-def]
    def change(graph: Graph, op: Op) -> Graph | None:
        conv = sole_producer(graph, op.inputs[0], "q.conv")
        if conv is None:
            return None
        old = conv.attrs.get("clamp", (-math.inf, math.inf))
        return merge(graph, conv, op, conv.with_(attrs={"clamp": (max(old[0], low), min(old[1], high))}))

    return change


def _prelu(graph: Graph, op: Op) -> Graph | None:
    conv = sole_producer(graph, op.inputs[0], "q.conv")
    if conv is None:
        return None
    if "gain2" in conv.attrs or "clamp" in conv.attrs or len(conv.inputs) > 1:
        raise fail(graph, op, "follows another activation or a shortcut", "quantise in between")
    slope, shift_in, shift_out = (op.attrs[k] for k in ("slope", "shift_in", "shift_out"))
    if not ((slope <= 1).all() or (slope >= 1).all()):
        channel = int(np.argmax(slope > 1))
        raise fail(
            graph, op, f"slope of channel {channel} is over 1, others are under 1", "clamp slopes to <= 1"
        )
    gain, bias = conv.attrs["gain"], conv.attrs["bias"] - shift_in
    attrs = {
        "gain": gain,
        "bias": bias + shift_out,
        "gain2": gain * slope,
        "bias2": bias * slope + shift_out,
        "combine": "max" if (slope <= 1).all() else "min",
    }
    return merge(graph, conv, op, conv.with_(attrs=attrs))


def _affine(graph: Graph, op: Op) -> Graph | None:
    conv = sole_producer(graph, op.inputs[0], "q.conv")
    if conv is None or len(conv.inputs) > 1:
        return None
    full = clamp_to_pieces(graph, conv)
    gain, bias = op.attrs["gain"], op.attrs["bias"]
    attrs = {"gain": full.attrs["gain"] * gain, "bias": full.attrs["bias"] * gain + bias}
    if "gain2" in full.attrs:
        if (gain > 0).any() and (gain < 0).any():
            raise fail(graph, op, "gains of both signs after an activation", "quantise in between")
        attrs |= {"gain2": full.attrs["gain2"] * gain, "bias2": full.attrs["bias2"] * gain + bias}
        if (gain < 0).any():
            attrs["combine"] = {"max": "min", "min": "max"}[full.attrs["combine"]]
    return merge(graph, conv, op, full.with_(attrs=attrs))


def run(graph: Graph) -> Graph:
    """See the module."""
    for _ in range(len(graph.ops)):
        before = graph
        graph = each(graph, "q.prelu", _prelu)
        graph = each(graph, "q.relu", _clamp(0.0, math.inf))
        graph = each(graph, "q.hardtanh", _clamp(-1.0, 1.0))
        graph = each(graph, "q.affine", _affine)
        if graph is before:
            break
    return graph
