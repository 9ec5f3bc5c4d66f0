"""Low-bit convolution and the quantiser that feeds it (SPEC.md sections 5 and 6).

``bconv2d``: weights int8 codes [out_c, kh, kw, in_c] of ``weight_kind`` "binary", "ternary" or "two_plane"; window;
pad_one (b1 input); then either threshold int32 [out_c] (b1 output), or mul int16, add int32 [out_c], shift, and
optionally combine "max"/"min" with mul2, add2, act_min, act_max (s8 output; a second input is the residual), or neither
(s32 output). With next_mul, next_add and next_shift the s8 output is also quantised for the next layer, into a
second output (the planner fuses it in, plan/fuse.py). A dense layer is a bconv2d whose kernel covers its whole input.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgebnn.ir.ops import OpDef, register, windows
from edgebnn.ir.types import DTYPE_BITS, Op, Shape, TensorType

WEIGHT_KINDS = {"binary": (-1, 1), "ternary": (-1, 0, 1), "two_plane": (-3, -1, 1, 3)}


def code_range(dtype: str) -> tuple[int, int]:
    """Smallest and largest code of s8 or u2..u4."""
    return (-128, 127) if dtype == "s8" else (0, 2 ** DTYPE_BITS[dtype] - 1)


def accumulate(op: Op, x: np.ndarray, zero_point: int) -> np.ndarray:
    """The int32 accumulators (out_h, out_w, out_c) of a bconv2d on codes ``x`` (b1: -1/+1)."""
    w = op.attrs["weights"].astype(np.int64)
    acc: np.ndarray | int = 0
    for ky, kx, tap, _ in windows.taps(op, x - zero_point, 1 if op.attrs["pad_one"] else 0):
        acc = acc + tap @ w[:, ky, kx].T
    return np.asarray(acc)


def epilogue(op: Op, acc: np.ndarray, residual: np.ndarray | None, dtype: str) -> np.ndarray:
    """Output codes of SPEC.md section 5 from accumulators."""
    a = op.attrs
    if dtype == "s32":
        return acc
    if a.get("threshold") is not None:
        return np.where(acc < a["threshold"].astype(np.int64), -1, 1)
    t = acc * a["mul"].astype(np.int64) + a["add"].astype(np.int64)
    if a.get("combine"):
        u = acc * a["mul2"].astype(np.int64) + a["add2"].astype(np.int64)
        t = np.maximum(t, u) if a["combine"] == "max" else np.minimum(t, u)
    if dtype == "b1":
        return np.where(t < 0, -1, 1)
    y = t >> a["shift"]
    return np.clip(y if residual is None else y + residual, a["act_min"], a["act_max"])


def quantize(x: np.ndarray, mul: np.ndarray, add: np.ndarray, shift: int, dtype: str) -> np.ndarray:
    """Codes of SPEC.md section 6 from s8 codes."""
    t = x * mul.astype(np.int64) + add.astype(np.int64)
    return np.where(t < 0, -1, 1) if dtype == "b1" else np.clip(t >> shift, *code_range(dtype))


def _shape(op: Op, shapes: Sequence[Shape]) -> list[Shape]:
    return [(*windows.out_size(op, shapes[0]), op.attrs["weights"].shape[0])] * len(op.outputs)


def _bconv(
    op: Op, inputs: Sequence[np.ndarray], types: Sequence[TensorType], outs: Sequence[TensorType]
) -> list[np.ndarray]:
    acc = accumulate(op, inputs[0], types[0].zero_point)
    y = epilogue(op, acc, inputs[1] if len(inputs) > 1 else None, outs[0].dtype)
    if len(outs) == 1:
        return [y]
    a = op.attrs
    return [y, quantize(y, a["next_mul"], a["next_add"], a["next_shift"], outs[1].dtype)]


def _quantize(
    op: Op, inputs: Sequence[np.ndarray], types: Sequence[TensorType], outs: Sequence[TensorType]
) -> list[np.ndarray]:
    return [quantize(inputs[0], op.attrs["mul"], op.attrs["add"], op.attrs["shift"], outs[0].dtype)]


BCONV2D = register(
    OpDef(
        "bconv2d",
        windows.ATTRS | {"weights", "weight_kind", "pad_one"},
        frozenset({"threshold", "mul", "add", "shift", "combine", "mul2", "add2", "act_min", "act_max"})
        | {"next_mul", "next_add", "next_shift"},
        shape=_shape,
        reference=_bconv,
        macs=lambda op, out: out[0] * out[1] * op.attrs["weights"].size,
        inputs=(1, 2),
    )
)
QUANTIZE = register(OpDef("quantize", frozenset({"mul", "add", "shift"}), reference=_quantize))
