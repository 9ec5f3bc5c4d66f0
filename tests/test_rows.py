"""The kernels of weight rows on layers of several vectors of channels and blocks of pixels, and their packing."""

from __future__ import annotations

import numpy as np
import pytest
from kernels_emulated import cases, layers
from test_kernels_host import run
from test_wide import layer, proposals, target

from edgebnn.errors import ToolchainError
from edgebnn.host.runtime import kernel_table
from edgebnn.ir import Graph, Op, TensorType
from edgebnn.plan import pack_rows
from edgebnn.plan.kernels import kernels
from edgebnn.plan.rows import ISAS

try:
    TABLE = kernel_table()
except ToolchainError as error:
    pytest.skip(str(error), allow_module_level=True)

SYMBOLS = [s for s in (f"ebnn_bconv2d_rows__{isa}" for isa in ISAS) if s in TABLE]

#: (h, w, in_c, out_c), kernel, stride, pads: several vectors and part of one, blocks of pixels, threes and rests
SHAPES = (
    ((7, 7, 96, 700), (3, 3), (1, 1), (1, 1, 1, 1)),
    ((1, 1, 513, 1100), (1, 1), (1, 1), (0, 0, 0, 0)),
    ((5, 10, 300, 40), (3, 3), (2, 1), (0, 1, 1, 0)),
    ((2, 4, 64, 257), (1, 1), (1, 1), (0, 0, 0, 0)),
    ((3, 2, 1400, 33), (2, 2), (1, 1), (1, 0, 0, 1)),
)


def check(graph: Graph, symbol: str, rng: np.random.Generator) -> int:
    """Calls of all choices against the reference; returns their number."""
    found = proposals(graph, symbol)
    for choice in found:
        call = cases.call(graph, choice, kernels()[symbol].struct, rng, cases.describe(graph, choice))
        for fill in (0, 0xA5):
            assert (what := run(call, fill)) is None, f"{what}: {call.label}"
    return len(found)


@pytest.mark.parametrize("symbol", SYMBOLS)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: "x".join(map(str, s[0])))
def test_layers_of_several_vectors(symbol: str, shape: tuple[tuple[int, ...], ...]) -> None:
    rng = np.random.default_rng(sum(shape[0]))
    window = {"kernel": shape[1], "stride": shape[2], "pads": shape[3]}
    assert sum(check(layer(rng, shape[0], **window), symbol, rng) for _ in range(16)) >= 4


@pytest.mark.parametrize("symbol", SYMBOLS)
@pytest.mark.parametrize("ones", [0.0, 0.05, 0.95, 1.0])
@pytest.mark.parametrize("source", ["b1", "u2"])
@pytest.mark.parametrize("kind", ["binary", "ternary"])
def test_the_rarer_inputs_are_summed(
    symbol: str, ones: float, source: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few ones, few zeros and none; all products of one sign, so that sums reach their largest."""

    def biased(rng: np.random.Generator, tensor: TensorType) -> np.ndarray:
        bits = rng.random((*tensor.shape, 2)) < ones
        return 1 - 2 * bits[..., 0].astype(int) if tensor.dtype == "b1" else bits @ np.array([1, 2])

    monkeypatch.setattr(cases, "random_codes", biased)
    rng = np.random.default_rng(5)
    for weights in ((1,), (-1,), (-1, 1)):
        codes = rng.choice(np.array(weights, np.int8), (70, 3, 3, 40))
        attrs = {"kernel": (3, 3), "stride": (1, 1), "pads": (1, 1, 1, 1), "dilation": (1, 1), "pad_one": 0}
        attrs |= {"weights": codes, "weight_kind": kind}
        types = {"in0": TensorType((4, 4, 40), source, 0.5), "out": TensorType((4, 4, 70), "s32")}
        graph = Graph("one", (Op("layer", "bconv2d", ("in0",), ("out",), attrs),), types, "in0", "out")
        assert check(graph, symbol, rng) == 1


@pytest.mark.parametrize("symbol", SYMBOLS)
@pytest.mark.parametrize("source", ["b1", "u2"])
@pytest.mark.parametrize("kind", ["binary", "ternary"])
def test_u2_outputs_are_three_thresholds(symbol: str, source: str, kind: str) -> None:
    """Rising, falling and constant channels; other limits than a code's go the way of integers."""
    rng = np.random.default_rng(6)
    codes = rng.choice(np.array([-1, 1] if kind == "binary" else [-1, 0, 1], np.int8), (300, 1, 1, 90))
    for limits, levels in (((0, 3), 3), ((0, 2), 0), ((1, 3), 0)):
        attrs = {"kernel": (1, 1), "stride": (1, 1), "pads": (0, 0, 0, 0), "dilation": (1, 1), "pad_one": 0}
        attrs |= {"weights": codes, "weight_kind": kind, "shift": 12}
        attrs |= {"mul": rng.integers(-400, 401, 300).astype(np.int16)}
        attrs |= {"add": rng.integers(-9999, 19999, 300).astype(np.int32)}
        attrs["mul"][:9] = 0
        attrs |= {"act_min": limits[0], "act_max": limits[1]}
        graph = layers._one(
            "bconv2d", [TensorType((5, 2, 90), source, 0.5)], TensorType((1, 1, 1), "u2", 0.5), attrs
        )
        (choice,) = proposals(graph, symbol)
        assert choice.pack()["levels"] == levels
        check(graph, symbol, rng)


@pytest.mark.parametrize(("isa", "most"), [("avx2", 16352), ("avx512", 8160)])
def test_lists_of_16_bits_are_refused_where_they_may_overflow(isa: str, most: int) -> None:
    for k, kind, fits in (
        (most, "binary", True),
        (most + 32, "binary", False),
        (most // 2 // 32 * 32, "ternary", True),
        (most // 2 // 32 * 32 + 32, "ternary", False),
    ):
        attrs = {"kernel": (1, 1), "stride": (1, 1), "pads": (0, 0, 0, 0), "dilation": (1, 1), "pad_one": 0}
        attrs |= {"weights": np.ones((2, 1, 1, k), np.int8), "weight_kind": kind}
        types = {"in0": TensorType((1, 1, k), "b1"), "out": TensorType((1, 1, 2), "s32")}
        graph = Graph("long", (Op("layer", "bconv2d", ("in0",), ("out",), attrs),), types, "in0", "out")
        symbol = kernels()[f"ebnn_bconv2d_rows__{isa}"]
        assert len(cases.choices(graph, target(isa), symbol, "speed")) == fits


def test_rows_are_the_weights_of_an_input() -> None:
    codes = np.array([[-1, 0, 1], [1, -1, -1]], np.int8).reshape(2, 1, 1, 3)
    dims = {f"{name}_{a}": 1 for name in ("in", "out", "kernel", "stride", "dilation") for a in "hw"}
    dims |= {"pad_h": 0, "pad_w": 0}
    epilogue = {"threshold": None, "combine": 0, "out_dtype": 32}
    found = pack_rows.pack_rows(codes, "ternary", 1, True, False, dims, epilogue, 32)
    assert isinstance(found, dict)
    rows = found["layer"]["weights"]
    assert rows.shape == (1, 33, 2, 8)
    assert rows[0, :4, :, 0].tolist() == [[0, 0], [0b10, 0b01], [0, 0b10], [0b01, 0b10]]
    assert not rows[0, 4:].any() and not rows[..., 1:].any()
