"""Fixed-point arithmetic against exact rational arithmetic, and C against NumPy at the extremes."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edgebnn.errors import ToolchainError
from edgebnn.host.runtime import fill_struct, kernel_table, library
from edgebnn.ir import fixed

INT32 = st.integers(fixed.INT32_MIN, fixed.INT32_MAX)
EDGES = st.sampled_from([s * (2**k + d) for k in range(31) for d in (-1, 0, 1) for s in (-1, 1)])
VALUES = st.one_of(INT32, EDGES, st.sampled_from([fixed.INT32_MIN, fixed.INT32_MIN + 1, fixed.INT32_MAX]))


def away(x: Fraction) -> int:
    """The nearest integer, ties away from zero."""
    return floor(x + Fraction(1, 2)) if x >= 0 else -floor(-x + Fraction(1, 2))


@given(VALUES, VALUES)
@example(fixed.INT32_MIN, fixed.INT32_MIN)
@example(fixed.INT32_MIN, fixed.INT32_MAX)
@settings(max_examples=400, deadline=None)
def test_srdhm_rounds_to_nearest(a: int, b: int) -> None:
    exact = Fraction(a * b, 2**31)
    got = int(fixed.srdhm(a, b))
    if a == b == fixed.INT32_MIN:
        assert got == fixed.INT32_MAX
    elif exact < 0 and exact.denominator == 2:  # gemmlowp's nudge sends negative ties up
        assert got == floor(exact + Fraction(1, 2))
    else:
        assert got == away(exact)


@given(VALUES, st.integers(0, 31))
@example(fixed.INT32_MIN, 31)
@example(fixed.INT32_MAX, 31)
@example(fixed.INT32_MIN, 0)
@settings(max_examples=400, deadline=None)
def test_rdbpot_rounds_ties_away(x: int, exponent: int) -> None:
    assert int(fixed.rdbpot(x, exponent)) == away(Fraction(x, 2**exponent))


@given(VALUES, st.integers(2**30, 2**31 - 1), st.integers(-31, 8))
@settings(max_examples=400, deadline=None)
def test_requantize_is_within_both_roundings(acc: int, multiplier: int, shift: int) -> None:
    left = acc << max(shift, 0)
    if not fixed.INT32_MIN <= left <= fixed.INT32_MAX:
        left = (left + 2**31) % 2**32 - 2**31  # wraps, as in C; converters prove that it does not happen
    exact = Fraction(left * multiplier, 2 ** (31 + max(-shift, 0)))
    got = int(fixed.requantize(acc, multiplier, shift))
    assert abs(got - exact) <= Fraction(1, 2) + Fraction(1, 2 ** (1 + max(-shift, 0)))


@given(st.floats(2.0**-40, 2.0**30))
@settings(max_examples=400, deadline=None)
def test_quantize_multiplier_is_the_nearest(real: float) -> None:
    multiplier, shift = fixed.quantize_multiplier(real)
    if (multiplier, shift) == (0, 0):
        assert real < 2.0**-31
        return
    assert 2**30 <= multiplier < 2**31
    error = abs(Fraction(multiplier) * Fraction(2) ** (shift - 31) - Fraction(real))
    assert error <= Fraction(2) ** (shift - 32)


@pytest.mark.parametrize(
    "real, expected",
    [
        (1.0, (2**30, 1)),
        (0.5, (2**30, 0)),
        (0.0, (0, 0)),
        (1 - 2.0**-40, (2**30, 1)),
        (2.0**-31, (2**30, -30)),
        (2.0**-33, (0, 0)),
    ],
)
def test_quantize_multiplier_at_corners(real: float, expected: tuple[int, int]) -> None:
    assert fixed.quantize_multiplier(real) == expected


@given(st.integers(-(2**40), 2**40))
@settings(deadline=None)
def test_wrap32(x: int) -> None:
    assert int(fixed.wrap32(x)) == int(np.array(x, np.int64).astype(np.int32))


def _through_conv2d(acc: np.ndarray, multiplier: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """requantize() of the C conv2d kernel, with the accumulators as biases. The output offset moves each expected
    result to 0; what differs from it by up to 127 is seen exactly, what differs by more saturates."""
    ffi, _ = library()
    keep: list[object] = []
    ones = dict.fromkeys(("in_h", "in_w", "in_c", "out_h", "out_w", "kernel_h", "kernel_w"), 1)
    dims = {**ones, "out_c": 1, "stride_h": 1, "stride_w": 1, "dilation_h": 1, "dilation_w": 1}
    want = fixed.requantize(acc, multiplier, shift)
    results = np.zeros(len(acc), np.int64)
    for i, centre in enumerate(map(int, want)):
        params = {
            "dims": dims,
            "weights": np.zeros(1, np.int8),
            "bias": acc[i : i + 1].astype(np.int32),
            "multiplier": multiplier[i : i + 1].astype(np.int32),
            "shift": shift[i : i + 1].astype(np.int8),
            "input_offset": 0,
            "output_offset": -centre,
            "act_min": -128,
            "act_max": 127,
            "out_layout": 0,
        }
        struct = fill_struct(ffi, "ebnn_conv_s8_params_t", params, keep)
        x, y = np.zeros(16, np.int8), np.zeros(16, np.int8)
        io = ffi.new("ebnn_io_t *")
        getattr(io, "in")[0] = ffi.cast("void *", x.ctypes.data)
        io.out = ffi.cast("void *", y.ctypes.data)
        assert kernel_table()["ebnn_conv2d_s8__portable"](struct, io) == 0
        results[i] = int(y[0]) + centre
    return results


def test_c_requantises_like_numpy_at_the_extremes() -> None:
    try:
        kernel_table()
    except ToolchainError as error:
        pytest.skip(str(error))
    rng = np.random.default_rng(3)
    corners = [
        fixed.INT32_MIN,
        fixed.INT32_MIN + 1,
        -(2**30) - 1,
        -(2**30),
        -3,
        -2,
        -1,
        0,
        1,
        2,
        3,
        2**30,
        2**31 - 1,
    ]
    multipliers = [2**30, 2**30 + 1, 2**31 - 1, 0, 1518500250]
    grid = [(a, m, s) for a in corners for m in multipliers for s in (-31, -30, -17, -1, 0, 1, 2)]
    grid += [
        (int(rng.integers(-(2**31), 2**31)), int(rng.integers(2**30, 2**31)), int(rng.integers(-31, 1)))
        for _ in range(300)
    ]
    # results at the very ends of int32 are left out: their sum with the output offset is to stay in int32
    acc, multiplier, shift = (np.array(column, np.int64) for column in zip(*grid, strict=True))
    want = fixed.requantize(acc, multiplier, shift)
    inside = np.abs(want) < 2**31 - 1
    got = _through_conv2d(acc[inside], multiplier[inside], shift[inside])
    np.testing.assert_array_equal(got, want[inside])
