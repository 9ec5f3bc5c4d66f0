"""s8 softmax in fixed point, bit-exact with TFLite's reference int8 kernel (gemmlowp fixed-point arithmetic).

Attributes: input_multiplier (Q31), input_left_shift, diff_min. Output scale 1/256, zero point -128.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgebnn.ir.fixed import INT32_MAX, INT32_MIN, rdbpot, srdhm, wrap32
from edgebnn.ir.ops import OpDef, register
from edgebnn.ir.types import Op, TensorType

INTEGER_BITS = 5  # of the scaled difference
SUM_BITS = 12  # integer bits of the sum of exponentials
EXP_MINUS_POW2 = (
    1672461947,
    1302514674,
    790015084,
    290630308,
    39332535,
    720401,
    242,
)  # exp(-2^i), i = -2..4, Q31


def parameters(scale: float) -> dict[str, int]:
    """Attributes for an s8 input of ``scale`` (beta = 1), as TFLite's PreprocessSoftmaxScaling computes them."""
    real = min(scale * (1 << (31 - INTEGER_BITS)), 2.0**31 - 1.0)
    mantissa, left_shift = math.frexp(real)
    multiplier = math.floor(mantissa * 2**31 + 0.5)
    if multiplier == 2**31:
        multiplier, left_shift = multiplier // 2, left_shift + 1
    left_shift = max(left_shift, 0)
    radius = math.floor((2**INTEGER_BITS - 1) * 2.0 ** (31 - INTEGER_BITS) / 2.0**left_shift)
    return {"input_multiplier": multiplier, "input_left_shift": left_shift, "diff_min": -radius}


def _shl(x: np.ndarray, by: int) -> np.ndarray:
    return np.clip(x << by, INT32_MIN, INT32_MAX)


def _exp_negative(a: np.ndarray) -> np.ndarray:
    """exp(a), Q0.31, of a <= 0 in Q5.26."""
    rest = (a & ((1 << 24) - 1)) - (1 << 24)
    remainder = rest - a
    x = _shl(rest, INTEGER_BITS) + (1 << 28)
    x2 = srdhm(x, x)
    x4_over_4 = rdbpot(srdhm(x2, x2), 2)
    tail = rdbpot(srdhm(x4_over_4 + srdhm(x2, x), 715827883) + x2, 1)
    result = 1895147668 + srdhm(1895147668, x + tail)
    for i, factor in enumerate(EXP_MINUS_POW2):
        result = np.where((remainder >> (24 + i)) & 1, srdhm(result, factor), result)
    return np.where(a == 0, INT32_MAX, result)


def _reciprocal_one_plus(a: np.ndarray) -> np.ndarray:
    """1 / (1 + a), Q0.31, of a in [0, 1)."""
    half = (a + INT32_MAX + 1) // 2
    x = 1515870810 + srdhm(half, -1010580540)
    for _ in range(3):
        x = x + _shl(srdhm(x, (1 << 29) - srdhm(half, x)), 2)
    return _shl(x, 1)


def _softmax(
    op: Op, inputs: Sequence[np.ndarray], types: Sequence[TensorType], outs: Sequence[TensorType]
) -> list[np.ndarray]:
    x = inputs[0]
    diff = x - x.max(axis=-1, keepdims=True)
    scaled = srdhm(wrap32(diff << op.attrs["input_left_shift"]), op.attrs["input_multiplier"])
    live = diff >= op.attrs["diff_min"]
    exponentials = np.where(live, _exp_negative(np.where(live, scaled, 0)), 0)
    total = rdbpot(exponentials, SUM_BITS).sum(axis=-1, keepdims=True)
    headroom = 32 - np.frompyfunc(lambda v: int(v).bit_length(), 1, 1)(total).astype(np.int64)
    scale = _reciprocal_one_plus((total << headroom) - (1 << 31))
    y = rdbpot(srdhm(scale, exponentials), SUM_BITS - headroom + 31 - 8) - 128
    return [np.where(live, np.clip(y, -128, 127), -128)]


SOFTMAX = register(
    OpDef("softmax", frozenset({"input_multiplier", "input_left_shift", "diff_min"}), reference=_softmax)
)
