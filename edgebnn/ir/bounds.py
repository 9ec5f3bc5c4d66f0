"""Proof that no int32 of an integer op can overflow, whatever the input. All bounds hold for any order of summation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edgebnn.ir.ops.elementwise import LEFT_SHIFT
from edgebnn.ir.types import Op, TensorType

#: what an accumulator may reach; a zero point or a shortcut is still added to it
LIMIT = 2**31 - 256


def activation_limit(source: TensorType) -> int:
    """The largest magnitude of an activation code minus its zero point."""
    if source.dtype == "s8":
        return max(127 - source.zero_point, 128 + source.zero_point)
    return {"b1": 1, "u2": 3, "u3": 7, "u4": 15}[source.dtype]


def _conv(op: Op, ins: Sequence[TensorType]) -> np.ndarray:
    a = op.attrs
    axes = (1, 2, 3) if op.type == "conv2d" else (0, 1)
    weights = np.abs(a["weights"].astype(np.int64)).sum(axis=axes)
    reach = np.abs(a["bias"].astype(np.int64)) + weights * activation_limit(ins[0])
    return reach.astype(np.float64) * 2.0 ** np.maximum(a["shift"], 0)


def _bconv(op: Op, ins: Sequence[TensorType]) -> np.ndarray:
    a = op.attrs
    acc = np.abs(a["weights"].astype(np.int64)).sum(axis=(1, 2, 3)) * float(activation_limit(ins[0]))
    reach = [acc]
    for mul, add in (("mul", "add"), ("mul2", "add2")):
        if a.get(mul) is not None:
            reach.append(acc * np.abs(a[mul].astype(np.float64)) + np.abs(a[add].astype(np.float64)))
    return np.asarray(np.max(reach, axis=0))


def _quantize(op: Op, ins: Sequence[TensorType]) -> np.ndarray:
    a = op.attrs
    return 128.0 * np.abs(a["mul"].astype(np.float64)) + np.abs(a["add"].astype(np.float64))


def _add(op: Op, ins: Sequence[TensorType]) -> np.ndarray:
    a = op.attrs
    terms = [255.0 * 2.0 ** (LEFT_SHIFT + max(a[f"input{i}_shift"], 0)) for i in (1, 2)]
    real = [255.0 * 2.0 ** (LEFT_SHIFT + a[f"input{i}_shift"]) for i in (1, 2)]
    return np.array([max(*terms, sum(real) * 2.0 ** max(a["output_shift"], 0))])


def _mean(op: Op, ins: Sequence[TensorType]) -> np.ndarray:
    return np.array([255.0 * ins[0].pixels * 2.0 ** max(op.attrs["shift"], 0)])


def _average(op: Op, ins: Sequence[TensorType]) -> np.ndarray:
    return np.array([129.0 * op.attrs["kernel"][0] * op.attrs["kernel"][1]])


def _softmax(op: Op, ins: Sequence[TensorType]) -> np.ndarray:
    a = op.attrs
    return np.array([min(-a["diff_min"], 255) * 2.0 ** a["input_left_shift"]])


#: by op type: the largest magnitudes, one or one a channel
REACH: dict[str, Callable[[Op, Sequence[TensorType]], np.ndarray]] = {
    "conv2d": _conv,
    "depthwise_conv2d": _conv,
    "bconv2d": _bconv,
    "quantize": _quantize,
    "add": _add,
    "mean": _mean,
    "avg_pool2d": _average,
    "softmax": _softmax,
}


def overflow(op: Op, ins: Sequence[TensorType]) -> str | None:
    """What may overflow in ``op`` (a clause), None if nothing can. Attributes must be checked already."""
    if op.type not in REACH:
        return None
    reach = REACH[op.type](op, ins)
    if reach.max() < LIMIT:
        return None
    where = f" of channel {int(np.argmax(reach))}" if reach.size > 1 else ""
    return f"accumulator{where} may overflow int32"
