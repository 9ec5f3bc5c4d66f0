"""Pools: maximum (s8 and bits), average (s8) and global mean (s8)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgebnn.ir import fixed
from edgebnn.ir.ops import OpDef, register, windows
from edgebnn.ir.types import Op, Shape, TensorType


def _shape(op: Op, shapes: Sequence[Shape]) -> list[Shape]:
    return [(*windows.out_size(op, shapes[0]), shapes[0][2])]


def _max(
    op: Op, inputs: Sequence[np.ndarray], types: Sequence[TensorType], outs: Sequence[TensorType]
) -> list[np.ndarray]:
    lowest = {"s8": -128, "b1": -1}.get(types[0].dtype, 0)
    best = np.max([tap for _, _, tap, _ in windows.taps(op, inputs[0], lowest)], axis=0)
    return [np.clip(best, op.attrs["act_min"], op.attrs["act_max"]) if types[0].dtype == "s8" else best]


def _average(
    op: Op, inputs: Sequence[np.ndarray], types: Sequence[TensorType], outs: Sequence[TensorType]
) -> list[np.ndarray]:
    windowed = list(windows.taps(op, inputs[0], 0))
    total = np.sum([tap for _, _, tap, _ in windowed], axis=0)
    count = np.sum([inside for _, _, _, inside in windowed], axis=0)[..., None]
    safe = np.maximum(count, 1)
    half = np.where(total > 0, safe // 2, -(safe // 2))
    quotient = np.abs(total + half) // safe * np.sign(total + half)  # C division truncates
    return [np.clip(np.where(count == 0, 0, quotient), op.attrs["act_min"], op.attrs["act_max"])]


def _mean(
    op: Op, inputs: Sequence[np.ndarray], types: Sequence[TensorType], outs: Sequence[TensorType]
) -> list[np.ndarray]:
    total = (inputs[0] - types[0].zero_point).sum(axis=(0, 1), keepdims=True)
    y = fixed.requantize(total, op.attrs["multiplier"], op.attrs["shift"]) + outs[0].zero_point
    return [np.clip(y, op.attrs["act_min"], op.attrs["act_max"])]


LIMITS = frozenset({"act_min", "act_max"})
MAX_POOL2D = register(OpDef("max_pool2d", windows.ATTRS | LIMITS, shape=_shape, reference=_max))
AVG_POOL2D = register(OpDef("avg_pool2d", windows.ATTRS | LIMITS, shape=_shape, reference=_average))
MEAN = register(
    OpDef(
        "mean",
        LIMITS | {"multiplier", "shift"},
        shape=lambda op, s: [(1, 1, s[0][2])],
        reference=_mean,
    )
)
