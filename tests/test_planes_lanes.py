"""The integer-lane kernels on this machine against a plain NumPy convolution, over random layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from planes_util import Layer, library, nibbles, random_layer, reference, run_kernel, unpack_nibbles

from edgebnn.plan.pack_adds import free_range, pack_adds
from edgebnn.plan.pack_lanes import pack_lanes, tuned_kernel
from edgebnn.plan.pack_planes import Packed

ISAS = ("portable", "cortex_m4")


def _following(rng: np.random.Generator, channels: int) -> tuple[dict[str, Any], Any]:
    bits = int(rng.integers(1, 5))
    shift = int(rng.choice([5, 9, 13, 16, 16]))
    mul = rng.integers(-(2 ** (shift - 2)), 2 ** (shift - 2) + 1, channels)
    add = rng.integers(-(2**shift), 3 << shift, channels)
    b1 = bool(bits == 1 and rng.integers(2))

    def quantise(y: np.ndarray) -> np.ndarray:
        t = y * mul + add
        return np.asarray((t < 0).astype(int) if b1 else np.clip(t >> shift, 0, 2**bits - 1))

    return {"mul": mul, "add": add, "shift": shift, "bits": bits, "b1": b1}, quantise


def check(
    isa: str,
    layer: Layer,
    rng: np.random.Generator,
    lists: str,
    budget: int | None,
    fuse: bool,
) -> None:
    following, quantise = _following(rng, layer.out_c) if fuse and layer.out == "s8" else (None, None)
    packed = pack_lanes(
        layer.codes,
        layer.kind,
        layer.dtype,
        layer.pad_one,
        layer.dims,
        layer.epilogue,
        lists,
        budget,
        following,
        tuned=isa == "cortex_m4",
    )
    assert isinstance(packed, Packed), packed
    kernel = "ebnn_bconv2d_lanes__portable"
    if isa == "cortex_m4":
        kernel = tuned_kernel(packed.params)
    _, want = reference(layer)
    pixels = layer.dims["out_h"] * layer.dims["out_w"]
    words = -(-pixels // 8)
    padded = -(-pixels // 4) * 4
    size = {"s8": padded, "s32": 4 * padded, "b1": 4 * words}[layer.out] * layer.out_c
    size2 = 4 * words * layer.out_c if following else 0
    inputs: list[np.ndarray] = [nibbles(layer.x, layer.dtype)]
    if layer.residual is not None:
        stored = np.zeros((layer.out_c, padded), np.int8)
        stored[:, :pixels] = layer.residual.reshape(pixels, -1).T
        inputs.append(stored)
    run = (kernel, "ebnn_bconv_lanes_params_t", packed, inputs, size, size2)
    out, out2 = run_kernel(*run)
    if layer.residual is not None:
        assert run_kernel(*run, over_residual=True) == (out, out2)
    if layer.out == "b1":
        got = unpack_nibbles(out, layer.out_c, pixels)
        np.testing.assert_array_equal(got, (want.reshape(pixels, -1).T < 0).astype(int))
    else:
        values = np.frombuffer(out, np.int8 if layer.out == "s8" else np.int32).reshape(layer.out_c, padded)
        np.testing.assert_array_equal(values[:, :pixels], want.reshape(pixels, -1).T)
        assert not values[:, pixels:].any()
    if quantise is not None:
        q = unpack_nibbles(out2, layer.out_c, pixels)
        np.testing.assert_array_equal(q, quantise(want.reshape(pixels, -1)).T)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("seed", range(120))
def test_random_layers(isa: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    layer = random_layer(rng)
    k = layer.codes[0].size
    budget: Sequence[int | None] = (None, 8 * (k + 1) * 2, 8 * (k + 1) * 6)
    check(isa, layer, rng, ("flash", "ram")[seed % 2], budget[seed % 3], seed % 5 < 2)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("bias", [0.0, 0.03, 0.3, 0.97, 1.0])
def test_skewed_weights(isa: str, bias: float) -> None:
    """Nearly constant weights put all elements into one class; sums must not overflow."""
    rng = np.random.default_rng(int(bias * 100))
    for dtype in ("b1", "u2", "u4"):
        layer = random_layer(rng, dtype=dtype, in_c=70, kernel=(3, 3), size=(4, 5), plus=bias)
        check(isa, layer, rng, "flash", None, fuse=True)
        check(isa, layer, rng, "ram", None, fuse=True)


@pytest.mark.parametrize("seed", range(8))
def test_addends_in_their_range_change_no_output(seed: int) -> None:
    """Both ends of a range give the outputs of the addend, and one step further does not."""
    rng = np.random.default_rng(seed)
    shift, n = int(rng.integers(4, 17)), 9
    mul, add = rng.integers(-3000, 3000, n), rng.integers(-(2**22), 2**22, n)
    first, last = rng.integers(-400, 0, n), rng.integers(0, 400, n)
    low, high = (0, 3) if seed % 2 else (-(2**31), 2**31)
    least, largest = free_range(mul, add, shift, first, last, low, high)
    packed = pack_adds([(least, largest)], [add])
    assert (least <= packed.values[0]).all() and (packed.values[0] <= largest).all()
    raw = packed.stored[0].tobytes()
    assert len(raw) == n * packed.width + 4 - packed.width
    for c in range(n):
        stored = int.from_bytes(raw[c * packed.width : (c + 1) * packed.width], "little", signed=True)
        assert stored << packed.shift == packed.values[0][c]
        v = np.arange(first[c], last[c] + 1) * mul[c]
        want = np.clip((v + add[c]) >> shift, low, high)
        for value, same in (
            (least[c], True),
            (largest[c], True),
            (least[c] - 1, False),
            (largest[c] + 1, False),
        ):
            if same or abs(value - add[c]) <= 1 << shift:
                assert np.array_equal(np.clip((v + value) >> shift, low, high), want) == same


def test_int16_addends_of_the_usual_quantiser() -> None:
    """A 2-bit quantiser's addends of 20 bits take two bytes or fewer."""
    rng = np.random.default_rng(0)
    mul, add = rng.integers(1500, 4000, 64), rng.integers(-300_000, 300_000, 64)
    ends = np.full(64, -128), np.full(64, 127)
    assert pack_adds([free_range(mul, add, 16, *ends, 0, 3)], [add]).width <= 2
    exact = pack_adds([(add, add)], [add])
    assert exact.width == 3 and np.array_equal(exact.values[0], add)


def test_library_builds_without_warnings() -> None:
    assert library() is not None
