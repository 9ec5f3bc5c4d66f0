"""The bit-plane kernels on this machine against a plain NumPy convolution, over random layers."""

from __future__ import annotations

import numpy as np
import pytest
from planes_util import Layer, bit_planes, random_layer, reference, run_kernel, unpack_planes

from edgebnn.plan.bits import bits_kernel
from edgebnn.plan.pack_bits import pack_bits_conv, solve_bits_conv
from edgebnn.plan.pack_planes import Packed, Unfit

ISAS = ("portable", "cortex_m4")


def check(isa: str, layer: Layer, lists: str, budget: int | None, way: str | None) -> None:
    solved = solve_bits_conv(
        layer.codes, layer.kind, layer.pad_one, layer.dims, layer.epilogue, way, least_bits=6
    )
    packed = solved if isinstance(solved, Unfit) else pack_bits_conv(solved, lists, budget)
    if not isinstance(packed, Packed):
        assert "threshold" not in layer.epilogue or (not layer.pad_one and way == "minority"), packed
        return
    _, want = reference(layer)
    pixels = layer.dims["out_h"] * layer.dims["out_w"]
    size = 4 * -(-pixels // 32) * layer.out_c
    kernels = {bits_kernel(packed, isa), f"ebnn_bconv2d_bits__{isa}"}
    if packed.params["borders"] is not None:
        kernels = {bits_kernel(packed, isa), "ebnn_bconv2d_bits_zero__portable"}
    for kernel in kernels:
        if isinstance(kernel, Unfit):
            continue
        out, _ = run_kernel(kernel, "ebnn_bconv_bits_params_t", packed, [bit_planes(layer.x)], size)
        got = unpack_planes(out, layer.out_c, pixels)
        np.testing.assert_array_equal(got, (want.reshape(pixels, -1).T < 0).astype(int), kernel)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("seed", range(90))
def test_random_layers(isa: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    kind = ("binary", "binary", "ternary")[seed % 3]
    layer = random_layer(rng, dtype="b1", kind=kind, out="b1", pad_one=True if seed % 10 else None)
    k = layer.codes[0].size
    way = {0: "buckets", 1: "minority", 2: None}[seed % 3] if kind == "binary" else None
    check(isa, layer, ("flash", "ram")[seed % 2], (None, 8 * k * 2 + 40)[seed % 4 < 1], way)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("way", ["buckets", "minority", "direct"])
@pytest.mark.parametrize("plus", [0.0, 0.05, 0.35, 0.65, 1.0])
def test_skewed_weights(isa: str, way: str, plus: float) -> None:
    """Any weight statistics and any thresholds: the sums must not overflow."""
    rng = np.random.default_rng(int(plus * 100))
    for in_c in (3, 67):
        kind = "ternary" if way == "direct" and plus == 0.35 else "binary"
        layer = random_layer(
            rng,
            dtype="b1",
            in_c=in_c,
            kernel=(3, 3),
            size=(7, 6),
            kind=kind,
            out="b1",
            plus=plus,
            pad_one=True,
        )
        layer.epilogue.pop("mul", None)
        layer.epilogue["threshold"] = rng.integers(-in_c * 10, in_c * 10, layer.out_c).astype(np.int32)
        for lists in ("flash", "ram"):
            check(isa, layer, lists, None, way)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("seed", range(40))
def test_zero_padding(isa: str, seed: int) -> None:
    """Exact zeros outside the image, whatever the padding, strides and dilation."""
    rng = np.random.default_rng(seed)
    kind = ("binary", "binary", "ternary")[seed % 3]
    layer = random_layer(rng, dtype="b1", kind=kind, out="b1", pad_one=False, same=seed % 4 == 0)
    check(
        isa, layer, ("flash", "ram")[seed % 2], (None, 8 * layer.codes[0].size * 2 + 40)[seed % 5 < 1], None
    )
