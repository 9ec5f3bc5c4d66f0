"""Attribute rules of the ops: what a kernel may rely on. Files come from anywhere, so nothing is taken for granted.

A rule takes an op, its input types and its output types, and returns what is wrong (a clause) or None.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edgebnn.ir.ops.lowbit import WEIGHT_KINDS
from edgebnn.ir.types import Op, TensorType

Types = Sequence[TensorType]
Rule = Callable[[Op, Types, Types], str | None]
BITS = ("b1", "u2", "u3", "u4")
#: the softmax sums exponentials with 12 integer bits
MOST_CLASSES = 4095


def _is_int(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and low <= int(value) <= high


def _ints(op: Op, low: int, high: int, *keys: str) -> str | None:
    for key in keys:
        if not _is_int(op.attrs[key], low, high):
            return f"attribute {key!r} must be an integer of {low}..{high}"
    return None


def _array(op: Op, key: str, dtype: str, shape: tuple[int, ...], low: int | None = None) -> str | None:
    value = op.attrs.get(key)
    if not isinstance(value, np.ndarray) or value.dtype != np.dtype(dtype) or value.shape != shape:
        found = f"{value.dtype}{list(value.shape)}" if isinstance(value, np.ndarray) else type(value).__name__
        return f"attribute {key!r} is {found}, expected {dtype}{list(shape)}"
    if low is not None and value.size and int(value.min()) < low:
        return f"attribute {key!r} holds {int(value.min())}, the least is {low}"
    return None


def _first(*results: str | None) -> str | None:
    return next((r for r in results if r is not None), None)


def window(op: Op) -> str | None:
    """Kernel, stride, dilation and pads of a windowed op: positive, 16 bits, every window reaches into the image."""
    for key, count, low in (("kernel", 2, 1), ("stride", 2, 1), ("dilation", 2, 1), ("pads", 4, 0)):
        value = op.attrs[key]
        if (
            not isinstance(value, tuple)
            or len(value) != count
            or not all(_is_int(n, low, 65535) for n in value)
        ):
            return f"attribute {key!r} must be {count} integers of {low}..65535"
    for i, pad in enumerate(op.attrs["pads"]):
        if pad > (op.attrs["kernel"][i // 2] - 1) * op.attrs["dilation"][i // 2]:
            return "padding reaches over the whole kernel"
    return None


def _dtypes(types: Types, *allowed: Sequence[str]) -> str | None:
    for tensor, names in zip(types, allowed, strict=True):
        if tensor.dtype not in names:
            return f"a tensor is {tensor.dtype}, expected {' or '.join(names)}"
    return None


def _limits(op: Op, low: int = -128, high: int = 127) -> str | None:
    wrong = _ints(op, low, high, "act_min", "act_max")
    if wrong is None and op.attrs["act_min"] > op.attrs["act_max"]:
        return "act_min is over act_max"
    return wrong


def _requantisation(op: Op, channels: int) -> str | None:
    shifts = op.attrs["shift"]
    return _first(
        _array(op, "bias", "int32", (channels,)),
        _array(op, "multiplier", "int32", (channels,), 0),
        _array(op, "shift", "int8", (channels,), -31),
        "a shift is over 30"
        if isinstance(shifts, np.ndarray) and shifts.size and shifts.max() > 30
        else None,
        _limits(op),
    )


def _conv(op: Op, ins: Types, outs: Types) -> str | None:
    channels = outs[0].channels
    if op.type == "conv2d":
        shape: tuple[int, ...] = (channels, *op.attrs["kernel"], ins[0].channels)
    elif channels % ins[0].channels:
        return f"{channels} output channels are no multiple of {ins[0].channels} input channels"
    else:
        shape = (*op.attrs["kernel"], channels)
    return _first(
        _dtypes((ins[0], outs[0]), ("s8",), ("s8",)),
        _array(op, "weights", "int8", shape, -127),
        _requantisation(op, channels),
    )


def _weight_codes(codes: np.ndarray, kind: Any) -> str | None:
    if not isinstance(kind, str) or kind not in WEIGHT_KINDS:
        return f"weight kind {kind!r}"
    wrong = codes[~np.isin(codes, WEIGHT_KINDS[kind])]
    return f"a {kind} weight is {int(wrong[0])}" if wrong.size else None


def _epilogue(op: Op, out: TensorType) -> str | None:
    a, shape = op.attrs, (out.channels,)
    given = {
        k for k in ("threshold", "mul", "add", "shift", "combine", "mul2", "add2") if a.get(k) is not None
    }
    if out.dtype == "s32":
        return f"an s32 output takes no {sorted(given)[0]!r}" if given else None
    if "threshold" in given:
        if out.dtype != "b1" or given != {"threshold"}:
            return "a threshold alone makes a b1 output"
        return _array(op, "threshold", "int32", shape)
    if not {"mul", "add", "shift"} <= given:
        return "no threshold, and not all of mul, add and shift"
    wrong = _first(
        _array(op, "mul", "int16", shape), _array(op, "add", "int32", shape), _ints(op, 0, 31, "shift")
    )
    if wrong is None and "combine" in given:
        second = _first(_array(op, "mul2", "int16", shape), _array(op, "add2", "int32", shape))
        wrong = second if str(a["combine"]) in ("max", "min") else "combine must be max or min"
    if wrong is not None or out.dtype == "b1":
        return wrong
    if a.get("act_min") is None or a.get("act_max") is None:
        return "no act_min and act_max"
    return _limits(op) if out.dtype == "s8" else _limits(op, 0, 2 ** int(out.dtype[1]) - 1)


def _bconv(op: Op, ins: Types, outs: Types) -> str | None:
    out = outs[0]
    shape = (out.channels, *op.attrs["kernel"], ins[0].channels)
    if len(ins) > 1 and (ins[1].dtype, out.dtype) != ("s8", "s8"):
        return "a shortcut needs s8 tensors"
    return _first(
        _dtypes((ins[0], out), (*BITS, "s8"), (*BITS, "s8", "s32")),
        _array(op, "weights", "int8", shape),
        _ints(op, 0, 1 if ins[0].dtype == "b1" else 0, "pad_one"),
    ) or _first(_weight_codes(op.attrs["weights"], op.attrs["weight_kind"]), _epilogue(op, out))


def _quantize(op: Op, ins: Types, outs: Types) -> str | None:
    return _first(
        _dtypes((ins[0], outs[0]), ("s8",), (*BITS, "s8")),
        _array(op, "mul", "int16", (ins[0].channels,)),
        _array(op, "add", "int32", (ins[0].channels,)),
        _ints(op, 0, 31, "shift"),
    )


def _add(op: Op, ins: Types, outs: Types) -> str | None:
    names = ("input1", "input2", "output")
    return _first(
        _dtypes((*ins, outs[0]), ("s8",), ("s8",), ("s8",)),
        _ints(op, 0, 2**31 - 1, *(f"{n}_multiplier" for n in names)),
        _ints(op, -31, 30, *(f"{n}_shift" for n in names)),
        _limits(op),
    )


def _pool(op: Op, ins: Types, outs: Types) -> str | None:
    allowed = ("s8",) if op.type == "avg_pool2d" else (*BITS, "s8")
    return _first(_dtypes((ins[0],), allowed), _dtypes((outs[0],), (ins[0].dtype,)), _limits(op))


def _mean(op: Op, ins: Types, outs: Types) -> str | None:
    return _first(
        _dtypes((ins[0], outs[0]), ("s8",), ("s8",)),
        _ints(op, 0, 2**31 - 1, "multiplier"),
        _ints(op, -31, 30, "shift"),
        _limits(op),
    )


def _softmax(op: Op, ins: Types, outs: Types) -> str | None:
    if ins[0].channels > MOST_CLASSES:
        return f"softmax over {ins[0].channels} values, the most is {MOST_CLASSES}"
    return _first(
        _dtypes((ins[0], outs[0]), ("s8",), ("s8",)),
        _ints(op, 0, 2**31 - 1, "input_multiplier"),
        _ints(op, 0, 31, "input_left_shift"),
        _ints(op, -(2**31) + 1, 0, "diff_min"),
    )


def _annotated_conv(op: Op, ins: Types, outs: Types) -> str | None:
    a = op.attrs
    if not _is_int(a["groups"], 1, 65535) or a["pad_mode"] not in ("zero", "one", "lowest"):
        return "attributes 'groups' or 'pad_mode'"
    shape = (outs[0].channels, *a["kernel"], ins[0].channels // a["groups"])
    if a["groups"] > 1 and (shape[3] != 1 or outs[0].channels % a["groups"]):
        return f"{a['groups']} groups of {ins[0].channels} input and {outs[0].channels} output channels"
    if a["kind"] == "s8":
        return _array(op, "codes", "int8", shape, -127)
    return _array(op, "codes", "int8", shape) or _weight_codes(a["codes"], a["kind"])


def _layout(op: Op, ins: Types, outs: Types) -> str | None:
    return _dtypes((outs[0],), (ins[0].dtype,))


#: by op type
RULES: dict[str, Rule] = {
    "conv2d": _conv,
    "depthwise_conv2d": _conv,
    "bconv2d": _bconv,
    "quantize": _quantize,
    "add": _add,
    "max_pool2d": _pool,
    "avg_pool2d": _pool,
    "mean": _mean,
    "softmax": _softmax,
    "layout": _layout,
    "q.conv": _annotated_conv,
}
