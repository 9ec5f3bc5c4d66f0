"""A float64 evaluator of float-annotated graphs: real values, no fixed point. It shares no arithmetic with the product.

A quantised tensor is held as codes, together with ``exact``: the unrounded, unclamped codes. Where ``exact`` lies near
a rounding boundary, an integer implementation may take the neighbouring code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from edgebnn.ir import Graph, Op, TensorType

RANGES = {"b1": (-1, 1), "u2": (0, 3), "u3": (0, 7), "u4": (0, 15), "s8": (-128, 127)}


@dataclass
class Value:
    """A tensor (H, W, C): real values, and for quantised tensors codes, unrounded codes and type. A graph calls what
    keeps its input's grid "real" until it is lowered; the evaluator follows the grid."""

    real: np.ndarray
    codes: np.ndarray | None = None
    exact: np.ndarray | None = None
    type: TensorType | None = None


def centre(t: TensorType) -> float:
    """The code of the real value 0; bipolar: the middle of the range."""
    return sum(RANGES[t.dtype]) / 2 if t.bipolar else t.zero_point


def from_codes(codes: np.ndarray, t: TensorType, exact: np.ndarray | None = None) -> Value:
    codes = np.asarray(codes, np.int64)
    return Value((codes - centre(t)) * t.scale, codes, codes.astype(float) if exact is None else exact, t)


def quantised(real: np.ndarray, t: TensorType) -> Value:
    if t.dtype == "b1":
        return from_codes(np.where(real < 0, -1, 1), t, real)
    exact = real / t.scale + centre(t)
    return from_codes(np.clip(np.floor(exact + 0.5), *RANGES[t.dtype]), t, exact)


def windows(op: Op, x: np.ndarray, fill: float) -> np.ndarray:
    """(out_h, out_w, kh, kw, C): what each window sees, ``fill`` outside the image."""
    (kh, kw), (sh, sw), (dh, dw) = op.attrs["kernel"], op.attrs["stride"], op.attrs["dilation"]
    top, bottom, left, right = op.attrs["pads"]
    h, w, channels = x.shape
    out_h = (h + top + bottom - dh * (kh - 1) - 1) // sh + 1
    out_w = (w + left + right - dw * (kw - 1) - 1) // sw + 1
    seen = np.full((out_h, out_w, kh, kw, channels), fill, float)
    for oy in range(out_h):
        for ox in range(out_w):
            for ky in range(kh):
                for kx in range(kw):
                    y, z = oy * sh + ky * dh - top, ox * sw + kx * dw - left
                    if 0 <= y < h and 0 <= z < w:
                        seen[oy, ox, ky, kx] = x[y, z]
    return seen


def _conv(op: Op, x: Value, source: TensorType) -> np.ndarray:
    a = op.attrs
    lowest = -centre(source) * source.scale if a["pad_mode"] == "lowest" else 0.0
    seen = windows(op, x.real, source.scale if a["pad_mode"] == "one" else lowest)
    weights = a["codes"].astype(float) * a["weight_scale"][:, None, None, None]
    if a["groups"] == 1:
        return np.einsum("abijc,oijc->abo", seen, weights)
    per_group = len(weights) // a["groups"]
    return np.einsum("abijo,oijz->abo", np.repeat(seen, per_group, axis=4), weights)


def _activation(op: Op, x: np.ndarray) -> np.ndarray:
    if op.type == "q.relu":
        return np.maximum(x, 0)
    if op.type == "q.hardtanh":
        return np.clip(x, -1, 1)
    v = x - op.attrs["shift_in"]
    return np.where(v > 0, v, v * op.attrs["slope"]) + op.attrs["shift_out"]


def _pool(op: Op, x: Value) -> Value:
    if x.codes is None or x.exact is None or x.type is None:
        return Value(np.nanmax(windows(op, x.real, np.nan), axis=(2, 3)))
    seen = windows(op, x.codes.astype(float), np.nan)
    if op.type == "q.avg_pool":
        exact = np.nanmean(seen, axis=(2, 3))
        return from_codes(np.floor(exact + 0.5), x.type, exact)
    return from_codes(
        np.nanmax(seen, axis=(2, 3)), x.type, np.nanmax(windows(op, x.exact, np.nan), axis=(2, 3))
    )


def _softmax(x: np.ndarray, t: TensorType) -> Value:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return quantised(e / e.sum(axis=-1, keepdims=True), t)


def step(graph: Graph, op: Op, values: Mapping[str, Value]) -> Value:
    """The output of one op."""
    ins = [values[n] for n in op.inputs]
    x, t, source = ins[0], graph.tensors[op.output], graph.tensors[op.inputs[0]]
    if op.type == "q.conv":
        return Value(_conv(op, x, source))
    if op.type == "q.affine":
        return Value(x.real * op.attrs["gain"] + op.attrs["bias"])
    if op.type == "q.add":
        return Value(ins[0].real + ins[1].real)
    if op.type == "q.mean":
        return Value(x.real.mean(axis=(0, 1), keepdims=True))
    if op.type == "q.quant":
        return quantised(x.real, t)
    if op.type == "q.softmax":
        return _softmax(x.real, t)
    if op.type in ("q.max_pool", "q.avg_pool"):
        return _pool(op, x)
    if op.type == "q.relu" and x.codes is not None and x.type is not None:  # stays on the grid
        zero = x.type.zero_point
        return from_codes(np.maximum(x.codes, zero), x.type, np.maximum(np.asarray(x.exact), zero))
    return Value(_activation(op, x.real))


def evaluate(
    graph: Graph, codes: np.ndarray, replace: Callable[[str, Value], Value] = lambda name, value: value
) -> dict[str, Value]:
    """All tensors for one input of codes (H, W, C). ``replace`` sees each tensor and says what later ops read."""
    values = {
        graph.input: from_codes(codes.reshape(graph.tensors[graph.input].shape), graph.tensors[graph.input])
    }
    for op in graph.ops:
        values[op.output] = replace(op.output, step(graph, op, values))
    return values
