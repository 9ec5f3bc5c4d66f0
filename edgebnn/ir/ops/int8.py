"""INT8 convolution, depthwise convolution: TFLite's reference numerics (SPEC.md section 4).

Attributes: weights int8 [out_c, kh, kw, in_c] (depthwise: [kh, kw, out_c]), bias int32 [out_c], multiplier int32
[out_c] (Q31), shift int8 [out_c], act_min, act_max, and the window. A dense layer is a conv2d whose kernel covers its
whole input.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgebnn.ir import fixed
from edgebnn.ir.ops import OpDef, register, windows
from edgebnn.ir.types import Op, Shape, TensorType

ATTRS = windows.ATTRS | {"weights", "bias", "multiplier", "shift", "act_min", "act_max"}


def _finish(op: Op, acc: np.ndarray, out: TensorType) -> list[np.ndarray]:
    y = fixed.requantize(acc + op.attrs["bias"], op.attrs["multiplier"], op.attrs["shift"]) + out.zero_point
    return [np.clip(y, op.attrs["act_min"], op.attrs["act_max"])]


def _conv_shape(op: Op, shapes: Sequence[Shape]) -> list[Shape]:
    return [(*windows.out_size(op, shapes[0]), op.attrs["weights"].shape[0])]


def _depthwise_shape(op: Op, shapes: Sequence[Shape]) -> list[Shape]:
    return [(*windows.out_size(op, shapes[0]), op.attrs["weights"].shape[2])]


def _conv(
    op: Op, inputs: Sequence[np.ndarray], types: Sequence[TensorType], outs: Sequence[TensorType]
) -> list[np.ndarray]:
    w = op.attrs["weights"].astype(np.int64)
    acc: np.ndarray | int = 0
    for ky, kx, tap, _ in windows.taps(op, inputs[0] - types[0].zero_point, 0):
        acc = acc + tap @ w[:, ky, kx].T
    return _finish(op, np.asarray(acc), outs[0])


def _depthwise(
    op: Op, inputs: Sequence[np.ndarray], types: Sequence[TensorType], outs: Sequence[TensorType]
) -> list[np.ndarray]:
    w = op.attrs["weights"].astype(np.int64)
    x = inputs[0] - types[0].zero_point
    x = np.repeat(x, w.shape[2] // x.shape[2], axis=2)
    acc: np.ndarray | int = 0
    for ky, kx, tap, _ in windows.taps(op, x, 0):
        acc = acc + tap * w[ky, kx]
    return _finish(op, np.asarray(acc), outs[0])


CONV2D = register(
    OpDef(
        "conv2d",
        ATTRS,
        shape=_conv_shape,
        reference=_conv,
        macs=lambda op, out: out[0] * out[1] * op.attrs["weights"].size,
    )
)
DEPTHWISE_CONV2D = register(
    OpDef(
        "depthwise_conv2d",
        ATTRS,
        shape=_depthwise_shape,
        reference=_depthwise,
        macs=lambda op, out: out[0] * out[1] * op.attrs["weights"].size,
    )
)
