"""Fixed-point arithmetic of SPEC.md section 4 on NumPy int64 arrays (values within int32)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

INT32_MIN = -(2**31)
INT32_MAX = 2**31 - 1
Ints = NDArray[np.int64]


def wrap32(x: ArrayLike) -> Ints:
    """x modulo 2^32 as a signed 32-bit value."""
    return ((np.asarray(x, np.int64) + 2**31) % 2**32) - 2**31


def srdhm(a: ArrayLike, b: ArrayLike) -> Ints:
    """Saturating rounding doubling high multiply: a * b / 2^31 rounded to nearest, ties up (gemmlowp)."""
    a64, b64 = np.asarray(a, np.int64), np.asarray(b, np.int64)
    ab = a64 * b64
    nudged = ab + np.where(ab >= 0, 1 << 30, 1 - (1 << 30))
    quotient = np.where(nudged >= 0, nudged >> 31, -((-nudged) >> 31))
    return np.where((a64 == INT32_MIN) & (b64 == INT32_MIN), INT32_MAX, quotient)


def rdbpot(x: ArrayLike, exponent: ArrayLike) -> Ints:
    """Rounding divide by 2^exponent, ties away from zero (gemmlowp)."""
    x64, e = np.asarray(x, np.int64), np.asarray(exponent, np.int64)
    mask = (np.int64(1) << e) - 1
    return (x64 >> e) + ((x64 & mask) > (mask >> 1) + (x64 < 0))


def requantize(acc: ArrayLike, multiplier: ArrayLike, shift: ArrayLike) -> Ints:
    """acc * multiplier * 2^(shift - 31) with TFLite's double rounding; multiplier in Q31, shift > 0 to the left."""
    s = np.asarray(shift, np.int64)
    left = wrap32(np.asarray(acc, np.int64) << np.maximum(s, 0))
    return rdbpot(srdhm(left, multiplier), np.maximum(-s, 0))


def quantize_multiplier(real: float) -> tuple[int, int]:
    """(multiplier Q31, shift) with real = multiplier * 2^(shift - 31), multiplier in [2^30, 2^31) or 0.

    TFLite's QuantizeMultiplier. Values under 2^-32 become (0, 0).
    """
    if real == 0:
        return 0, 0
    mantissa, exponent = math.frexp(real)
    q = math.floor(abs(mantissa) * (1 << 31) + 0.5) * (1 if mantissa > 0 else -1)
    if abs(q) == 1 << 31:
        q //= 2
        exponent += 1
    if exponent < -31:
        return 0, 0
    return int(q), exponent
