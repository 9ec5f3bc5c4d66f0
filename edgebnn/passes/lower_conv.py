"""Lowers INT8 convolutions and dense layers to conv2d and depthwise_conv2d (SPEC.md section 4).

Pre: fold_quant has run. Post: no q.conv of kind "s8".

Channels of negative gain get negated weights, so that every multiplier is positive. A channel that its inputs cannot
move by 2^-8 of an output step (nor by 1/4, where its bias in steps of the accumulator would not fit) becomes constant.
"""

from __future__ import annotations

import numpy as np

from edgebnn.ir import Graph, Op, fixed
from edgebnn.ir.bounds import LIMIT, activation_limit
from edgebnn.passes.rewrite import fail

SATURATED = 1024  # an output code beyond every type's range, whatever the zero point or shortcut


def limits(graph: Graph, op: Op) -> tuple[int, int]:
    """(act_min, act_max) of the output type, narrowed by the op's clamp."""
    out = graph.tensors[op.output]
    low, high = (-128, 127) if out.dtype == "s8" else (0, 2 ** {"u2": 2, "u3": 3, "u4": 4}[out.dtype] - 1)
    clamp_low, clamp_high = op.attrs.get("clamp", (-np.inf, np.inf))
    if np.isfinite(clamp_low):
        low = max(low, int(np.floor(clamp_low / out.scale + 0.5 + out.centre)))
    if np.isfinite(clamp_high):
        high = min(high, int(np.floor(clamp_high / out.scale + 0.5 + out.centre)))
    return low, max(low, high)


def _lower(graph: Graph, op: Op) -> Op:
    source, out = graph.tensors[op.inputs[0]], graph.tensors[op.output]
    if source.dtype != "s8":
        raise fail(graph, op, f"INT8 weights with {source.dtype} input", "quantise its input to s8")
    if out.dtype != "s8":
        raise fail(graph, op, f"INT8 weights with {out.dtype} output", "quantise its output to s8")
    if "gain2" in op.attrs or len(op.inputs) > 1:
        raise fail(graph, op, "an INT8 layer takes ReLU only, and no shortcut", "quantise its output first")
    codes, groups = op.attrs["codes"], op.attrs["groups"]
    if groups not in (1, source.channels):
        raise fail(graph, op, f"{groups} groups", "use 1 group, or as many as input channels (depthwise)")
    if op.attrs["pad_mode"] != "zero" and any(op.attrs["pads"]):
        raise fail(graph, op, f"{op.attrs['pad_mode']}-padding of an INT8 layer", "use zero padding")
    scale = source.scale * op.attrs["weight_scale"] * op.attrs["gain"] / out.scale
    acc = np.abs(codes.astype(np.int64)).sum(axis=(1, 2, 3)) * float(activation_limit(source))
    reach = np.abs(scale) * acc  # output codes that the inputs can move a channel by
    offset = np.clip(op.attrs["bias"] / out.scale, -(SATURATED + reach), SATURATED + reach)
    unfit = np.abs(offset) + reach >= LIMIT * np.abs(scale)
    dead = (reach < 2.0**-8) | (unfit & (reach < 0.25))
    scale = np.where(dead, np.maximum(np.abs(offset), 1.0) * 2.0**-20, scale)
    codes = np.where(dead[:, None, None, None], 0, np.where(scale < 0, -1, 1)[:, None, None, None] * codes)
    scale = np.abs(scale)
    bias = np.floor(offset / scale + 0.5)
    largest = np.where(dead, 0, acc) + np.abs(bias)
    if (largest * np.maximum(scale * 2, 1) >= LIMIT).any():  # scale * 2: the left shift of a scale over 1
        channel = int(np.argmax(largest * np.maximum(scale * 2, 1)))
        raise fail(
            graph, op, f"accumulator of channel {channel} may overflow int32", "lower its bias or its inputs"
        )
    pairs = [fixed.quantize_multiplier(float(s)) for s in scale]
    low, high = limits(graph, op)
    attrs = {k: op.attrs[k] for k in ("kernel", "stride", "pads", "dilation")} | {
        "weights": codes.astype(np.int8),
        "bias": bias.astype(np.int32),
        "multiplier": np.array([m for m, _ in pairs], np.int32),
        "shift": np.array([s for _, s in pairs], np.int8),
        "act_min": low,
        "act_max": high,
    }
    if groups == 1:
        return Op(op.name, "conv2d", op.inputs, op.outputs, attrs)
    attrs["weights"] = np.ascontiguousarray(attrs["weights"][..., 0].transpose(1, 2, 0))
    return Op(op.name, "depthwise_conv2d", op.inputs, op.outputs, attrs)


def run(graph: Graph) -> Graph:
    """See the module."""
    return graph.replace(
        _lower(graph, op) if op.type == "q.conv" and op.attrs["kind"] == "s8" else op for op in graph.ops
    )
