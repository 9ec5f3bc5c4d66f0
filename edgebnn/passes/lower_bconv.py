"""Lowers low-bit convolutions to bconv2d with an integer epilogue (SPEC.md section 5).

Pre: lower_conv has run. Post: no q.conv. For a plain b1 output the epilogue is one threshold a channel; channels of
negative gain get negated weights, so that one comparison direction serves. Bipolar activations have the constant part
-centre * sum(w) of their sums in the epilogue, so that accumulators are of codes; a tap outside the image then reads
the code 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgebnn.ir import Graph, Op, TensorType, fixed
from edgebnn.ir.bounds import LIMIT, activation_limit
from edgebnn.passes.lower_conv import SATURATED, limits
from edgebnn.passes.rewrite import fail

MAX_SHIFT = 24
HIGHEST_ERROR = 0.5  # output codes, from rounding mul to an integer
HALF_SHIFT = 16  # cheapest: kernels take the upper halves of two products with one instruction
HALF_SHIFT_LIMIT = 4096  # accumulators up to here lose at most 2^-5 output codes at that shift


def integer_affine(
    gain: np.ndarray, offset: np.ndarray, acc_limit: np.ndarray, rounded: bool = True
) -> tuple[np.ndarray, np.ndarray, int] | None:
    """(mul int16, add int32, shift) with (acc * mul + add) >> shift = floor(gain * acc + offset + 0.5) up to
    HIGHEST_ERROR, for |acc| <= acc_limit, with shift 16 where it fits and its error is at most 2^-5, else the largest
    shift that fits; None if none does. Several rows share the shift. ``rounded`` False leaves out the 0.5 and takes the
    largest shift, and the error is for the caller to judge. For |acc| above HALF_SHIFT_LIMIT the error may be larger
    where the map lies beyond SATURATED: it stays beyond, being monotone, and the output is clamped.

    Offsets that no accumulator can bring back into the output's range are shortened: the result saturates either way.
    """
    reach = np.abs(gain) * acc_limit
    offset = np.clip(offset, -(SATURATED + reach), SATURATED + reach)
    # accumulators whose error counts: up to where a wide layer's output saturates
    unsaturated = (SATURATED + np.abs(offset)) / np.where(gain == 0, 1.0, np.abs(gain))
    counts = np.where(acc_limit > HALF_SHIFT_LIMIT, np.minimum(acc_limit, unsaturated), acc_limit)
    narrow = rounded and np.max(acc_limit) <= HALF_SHIFT_LIMIT
    for shift in range(HALF_SHIFT if narrow else MAX_SHIFT, -1, -1):
        mul = np.floor(gain * 2.0**shift + 0.5)
        add = np.floor(offset * 2.0**shift + 0.5) + (2 ** (shift - 1) if shift and rounded else 0)
        if np.abs(mul).max() <= 32767 and (np.abs(mul) * acc_limit + np.abs(add)).max() < LIMIT:
            error = (np.abs(gain - mul * 2.0**-shift) * counts).max()
            if rounded and error > HIGHEST_ERROR:
                return None
            return mul.astype(np.int16), add.astype(np.int32), shift
    return None


def thresholds(gain: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """int32 T with (gain * acc + bias < 0) == (acc < T), gain >= 0."""
    safe = np.where(gain > 0, gain, 1.0)
    with np.errstate(over="ignore"):  # infinite: constant
        t = np.ceil(-bias / safe)
    t = np.clip(t, fixed.INT32_MIN, fixed.INT32_MAX)
    constant = np.where(bias < 0, fixed.INT32_MAX, fixed.INT32_MIN)
    return np.where(gain > 0, t, constant).astype(np.int32)


def _epilogue(graph: Graph, op: Op, unit: np.ndarray, limit: np.ndarray) -> dict[str, Any]:
    """Epilogue attributes; ``unit``: the real value of one step of each channel's accumulator."""
    a, out = op.attrs, graph.tensors[op.output]
    gains = [unit * a["gain"]] + ([unit * a["gain2"]] if "gain2" in a else [])
    biases = [a["bias"]] + ([a["bias2"]] if "gain2" in a else [])
    if out.dtype == "b1":  # only the sign counts: each channel in the unit that keeps most bits
        largest = np.max(np.abs(gains), axis=0)
        scale = np.where(largest > 0, largest, 1.0)
    else:
        scale = np.full(len(unit), out.scale)
    with np.errstate(over="ignore"):  # infinite: saturates
        real, offset = np.stack(gains) / scale, np.stack(biases) / scale + out.centre
    found = integer_affine(real, offset, limit, rounded=out.dtype != "b1")
    if found is None:
        channel = int(np.argmax(np.abs(real).max(axis=0)))
        value = np.abs(real[:, channel]).max()
        raise fail(
            graph,
            op,
            f"gain {value:g} of channel {channel} does not fit the integer epilogue with the others",
        )
    mul, add, shift = found
    attrs: dict[str, Any] = {"mul": mul[0], "add": add[0], "shift": shift}
    if len(gains) > 1:
        attrs |= {"mul2": mul[1], "add2": add[1], "combine": a["combine"]}
    if out.dtype != "b1":
        attrs["act_min"], attrs["act_max"] = limits(graph, op)
    return attrs


def _check_padding(graph: Graph, op: Op, source: TensorType) -> None:
    mode = op.attrs["pad_mode"]
    if not any(op.attrs["pads"]):
        return
    if mode == "one" and source.dtype != "b1":
        raise fail(graph, op, f"one-padding with {source.dtype} activations", "use zero padding")
    if mode == "lowest" and source.dtype not in ("u2", "u3", "u4"):
        raise fail(graph, op, f"lowest-padding with {source.dtype} activations", "use zero padding")
    if mode == "zero" and source.bipolar:
        what = f"zero padding with bipolar {source.dtype} activations, none of which is 0"
        raise fail(graph, op, what, 'pad with their lowest value (pad_mode "lowest")')


def _from_codes(op: Op, source: TensorType) -> Op:
    """``op`` on codes: the centre of bipolar activations moved from each tap into the biases."""
    if not source.bipolar:
        return op
    a = op.attrs
    constant = (
        source.scale * source.centre * a["weight_scale"] * a["codes"].sum(axis=(1, 2, 3), dtype=np.int64)
    )
    attrs = {"bias": a["bias"] - a["gain"] * constant}
    if "gain2" in a:
        attrs["bias2"] = a["bias2"] - a["gain2"] * constant
    return op.with_(attrs=attrs)


def _lower(graph: Graph, op: Op) -> Op:
    source, out = graph.tensors[op.inputs[0]], graph.tensors[op.output]
    op = _from_codes(op, source)
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
    _check_padding(graph, op, source)
    unit = source.scale * a["weight_scale"]
    by_threshold = out.dtype == "b1" and "gain2" not in a and len(op.inputs) == 1
    flip = (unit * a["gain"] < 0) & by_threshold
    codes = np.where(flip[:, None, None, None], -a["codes"], a["codes"]).astype(np.int8)
    attrs: dict[str, Any] = {k: a[k] for k in ("kernel", "stride", "pads", "dilation")} | {
        "weights": codes,
        "weight_kind": a["kind"],
        "pad_one": int(a["pad_mode"] == "one" and source.dtype == "b1"),
    }
    limit = np.abs(codes.astype(np.int64)).sum(axis=(1, 2, 3)) * activation_limit(source)
    if (limit >= LIMIT).any():
        raise fail(graph, op, "its accumulator may overflow int32")
    if out.dtype == "b1" and a.get("clamp", (-np.inf,))[0] >= 0:  # sign(relu(x)) is +1
        attrs["threshold"] = np.full(len(codes), fixed.INT32_MIN, np.int32)
    elif by_threshold:
        attrs["threshold"] = thresholds(np.abs(unit * a["gain"]), a["bias"])
    else:
        attrs |= _epilogue(graph, op, unit, limit)
    return Op(op.name, "bconv2d", op.inputs, op.outputs, attrs)


def run(graph: Graph) -> Graph:
    """See the module."""
    return graph.replace(_lower(graph, op) if op.type == "q.conv" else op for op in graph.ops)
