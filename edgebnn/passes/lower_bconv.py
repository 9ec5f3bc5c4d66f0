"""Lowers low-bit convolutions to bconv2d with an integer epilogue (SPEC.md section 5).

Pre: lower_conv has run. Post: no q.conv. For a plain b1 output the epilogue is one threshold a channel; channels of
negative gain get negated weights, so that one comparison direction serves.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgebnn.ir import Graph, Op, TensorType, fixed
from edgebnn.passes.lower_conv import limits
from edgebnn.passes.rewrite import fail

MAX_SHIFT = 24


def activation_limit(source: TensorType) -> int:
    """The largest magnitude of an activation code minus its zero point."""
    if source.dtype == "s8":
        return max(127 - source.zero_point, 128 + source.zero_point)
    return {"b1": 1, "u2": 3, "u3": 7, "u4": 15}[source.dtype]


def integer_affine(
    gain: np.ndarray, offset: np.ndarray, acc_limit: np.ndarray, max_shift: int = MAX_SHIFT
) -> tuple[np.ndarray, np.ndarray, int] | None:
    """(mul int16, add int32, shift) with (acc * mul + add) >> shift = floor(gain * acc + offset + 0.5) up to rounding,
    for |acc| <= acc_limit, with the largest shift that fits; None if none does. Several rows share the shift."""
    for shift in range(max_shift, -1, -1):
        mul = np.floor(gain * 2.0**shift + 0.5)
        add = np.floor(offset * 2.0**shift + 0.5) + (2 ** (shift - 1) if shift else 0)
        if np.abs(mul).max() <= 32767 and (np.abs(mul) * acc_limit + np.abs(add)).max() < 2**31:
            return mul.astype(np.int16), add.astype(np.int32), shift
    return None


def thresholds(gain: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """int32 T with (gain * acc + bias < 0) == (acc < T), gain >= 0."""
    safe = np.where(gain > 0, gain, 1.0)
    t = np.clip(np.ceil(-bias / safe), fixed.INT32_MIN, fixed.INT32_MAX)
    constant = np.where(bias < 0, fixed.INT32_MAX, fixed.INT32_MIN)
    return np.where(gain > 0, t, constant).astype(np.int32)


def _epilogue(graph: Graph, op: Op, gain: np.ndarray, limit: np.ndarray) -> dict[str, Any]:
    """Epilogue attributes for real = gain * acc + bias over the output's scale."""
    out = graph.tensors[op.output]
    scale = 1.0 if out.dtype == "b1" else out.scale
    unit = gain / np.where(op.attrs["gain"] == 0, 1.0, op.attrs["gain"])  # real value of one accumulator step
    rows = [(gain / scale, op.attrs["bias"] / scale + out.zero_point)]
    if "gain2" in op.attrs:
        rows.append((unit * op.attrs["gain2"] / scale, op.attrs["bias2"] / scale + out.zero_point))
    gains, offsets = np.stack([r[0] for r in rows]), np.stack([r[1] for r in rows])
    found = integer_affine(gains, offsets, limit)
    if found is None:
        channel = int(np.argmax(np.abs(gains[0])))
        raise fail(
            graph, op, f"gain {gains[0][channel]:g} of channel {channel} does not fit the integer epilogue"
        )
    mul, add, shift = found
    if out.dtype == "b1" and shift:
        add = add - np.int32(2 ** (shift - 1))  # no rounding term in front of a sign
    attrs: dict[str, Any] = {"mul": mul[0], "add": add[0], "shift": shift}
    if len(rows) > 1:
        attrs |= {"mul2": mul[1], "add2": add[1], "combine": op.attrs["combine"]}
    if out.dtype != "b1":
        attrs["act_min"], attrs["act_max"] = limits(graph, op)
    return attrs


def _lower(graph: Graph, op: Op) -> Op:
    source, out = graph.tensors[op.inputs[0]], graph.tensors[op.output]
    a = op.attrs
    if source.dtype == "real" or out.dtype == "real":
        side = "input" if source.dtype == "real" else "output"
        raise fail(graph, op, f"its {side} is not quantised", "every low-bit layer stands between quantisers")
    if len(op.inputs) > 1 and out.dtype != "s8":
        raise fail(graph, op, f"a shortcut into {out.dtype}", "quantise the sum to s8")
    if a["groups"] != 1:
        raise fail(
            graph, op, f"low-bit weights in {a['groups']} groups", "use INT8 weights for depthwise layers"
        )
    if a["pad_mode"] == "one" and source.dtype != "b1" and any(a["pads"]):
        raise fail(graph, op, f"one-padding with {source.dtype} activations", "use zero padding")
    codes = a["codes"]
    flip = a["gain"] < 0 if out.dtype == "b1" and "gain2" not in a else np.zeros(len(codes), bool)
    codes = np.where(flip[:, None, None, None], -codes, codes).astype(np.int8)
    gain = source.scale * a["weight_scale"] * np.where(flip, -a["gain"], a["gain"])
    attrs: dict[str, Any] = {k: a[k] for k in ("kernel", "stride", "pads", "dilation")} | {
        "weights": codes,
        "weight_kind": a["kind"],
        "pad_one": int(a["pad_mode"] == "one" and source.dtype == "b1"),
    }
    limit = np.abs(codes.astype(np.int64)).sum(axis=(1, 2, 3)) * activation_limit(source)
    if (limit >= 2**31).any():
        raise fail(graph, op, "its accumulator may overflow int32")
    if out.dtype == "b1" and "gain2" not in a and len(op.inputs) == 1:
        attrs["threshold"] = thresholds(gain, a["bias"])
    else:
        attrs |= _epilogue(graph, op, gain, limit)
    return Op(op.name, "bconv2d", op.inputs, op.outputs, attrs)


def run(graph: Graph) -> Graph:
    """See the module."""
    return graph.replace(_lower(graph, op) if op.type == "q.conv" else op for op in graph.ops)
