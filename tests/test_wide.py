"""The wide bit-plane kernels on maps of several blocks, their packing, and the choice of instruction sets."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest
from kernels_emulated import cases, layers
from test_kernels_host import run

from edgebnn import targets
from edgebnn.errors import ToolchainError, UsageError
from edgebnn.host.runtime import fill_struct, kernel_table, library
from edgebnn.ir import Graph, Op, TensorType
from edgebnn.plan import pack_wide
from edgebnn.plan.kernels import kernels
from edgebnn.plan.types import Choice
from edgebnn.plan.wide import DOT_LANES, ISAS
from edgebnn.targets import cpu

try:
    TABLE = kernel_table()
except ToolchainError as error:
    pytest.skip(str(error), allow_module_level=True)

SYMBOLS = [s for s in (f"ebnn_bconv2d_wide__{isa}" for isa in ISAS) if s in TABLE]

#: (h, w, in_c, out_c), kernel, stride, pads: more than one block, and part of one, for every lane
SHAPES = (
    ((28, 28, 16, 8), (3, 3), (1, 1), (1, 1, 1, 1)),
    ((23, 29, 5, 7), (3, 3), (1, 1), (0, 0, 0, 0)),
    ((31, 33, 8, 4), (3, 3), (2, 2), (1, 1, 1, 1)),
    ((40, 70, 3, 4), (5, 5), (3, 2), (2, 1, 2, 2)),
    ((30, 30, 48, 6), (1, 1), (2, 2), (0, 0, 0, 0)),
    ((1, 600, 4, 4), (1, 5), (1, 1), (0, 0, 2, 2)),
    ((600, 1, 4, 4), (5, 1), (1, 1), (4, 0, 0, 0)),
)


def target(isa: str) -> targets.Target:
    return dataclasses.replace(targets.load("host"), isa=(isa,))


def layer(
    rng: np.random.Generator, shape: tuple[int, ...], of: tuple[str, str] | None = None, **window: object
) -> Graph:
    """A random low-bit layer of the given geometry; ``of``: its activations and weights."""
    h, w, in_c, out_c = shape
    while True:
        graph = layers.bconv2d(rng)
        op, source = graph.ops[0], graph.tensors["in0"]
        wanted = of in (None, (source.dtype, op.attrs["weight_kind"]))
        if len(op.inputs) == 1 and len(op.outputs) == 1 and source.dtype != "s8" and wanted:
            break
    kind, out = op.attrs["weight_kind"], graph.tensors["out"]
    codes = rng.choice(np.array(layers.WEIGHT_KINDS[kind], np.int8), (out_c, *window["kernel"], in_c))  # type: ignore[misc]
    attrs = {k: v for k, v in op.attrs.items() if not isinstance(v, np.ndarray)}
    attrs |= {"weights": codes, "dilation": (1, 1), **window}
    bound = int(np.abs(codes.astype(int)).sum(axis=(1, 2, 3)).max()) * 15
    spread = int(bound**0.5)
    if op.attrs.get("threshold") is not None:
        attrs["threshold"] = rng.integers(-spread, spread + 1, out_c).astype(np.int32)
    for name in ("mul", "mul2"):
        if op.attrs.get(name) is not None:
            attrs[name] = rng.integers(-3000, 3001, out_c).astype(np.int16)
            attrs[name.replace("mul", "add")] = rng.integers(-9999, 9999, out_c).astype(np.int32)
    return layers._one("bconv2d", [TensorType((h, w, in_c), source.dtype, 0.5)], out, attrs)


def proposals(graph: Graph, symbol: str) -> list[Choice]:
    kernel = kernels()[symbol]
    return cases.choices(graph, target(kernel.isa), kernel, "speed")


@pytest.mark.parametrize("symbol", SYMBOLS)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: "x".join(map(str, s[0])))
def test_maps_of_several_blocks(symbol: str, shape: tuple[tuple[int, ...], ...]) -> None:
    rng = np.random.default_rng(sum(shape[0]))
    for _ in range(6):
        graph = layer(rng, shape[0], kernel=shape[1], stride=shape[2], pads=shape[3])
        for choice in proposals(graph, symbol):
            call = cases.call(graph, choice, kernels()[symbol].struct, rng, cases.describe(graph, choice))
            for fill in (0, 0xA5):
                assert (what := run(call, fill)) is None, f"{what}: {call.label}"


@pytest.mark.parametrize("symbol", SYMBOLS)
@pytest.mark.parametrize("kind", ["binary", "ternary", "two_plane"])
@pytest.mark.parametrize("source", ["u2", "u3"])
def test_last_blocks_of_half_a_lane(symbol: str, source: str, kind: str) -> None:
    """Up to half a lane both bits of 2-bit activations share one: one pixel less, as many and one more, alone and
    after a whole lane."""
    rng = np.random.default_rng(3)
    half = ISAS[kernels()[symbol].isa].lane.pixels // 2
    for pixels in (half - 1, half, half + 1, 3 * half):
        window = {"kernel": (1, 3), "stride": (1, 1), "pads": (0, 1, 0, 1)}
        graph = layer(rng, (1, pixels, 37, 6), (source, kind), **window)
        for choice in proposals(graph, symbol):
            call = cases.call(graph, choice, kernels()[symbol].struct, rng, cases.describe(graph, choice))
            assert (what := run(call, 0xA5)) is None, f"{what}: {call.label}"


@pytest.mark.parametrize("symbol", SYMBOLS)
@pytest.mark.parametrize("source", ["b1", "u4"])
@pytest.mark.parametrize("shape", [(27, 39, 20, 10), (9, 31, 2300, 5)], ids=["blocks", "sums of 17 bits"])
def test_streams_of_several_blocks(symbol: str, source: str, shape: tuple[int, int, int, int]) -> None:
    """Shortcut and second output, in both orders of the stream; sums of 2300 u4 codes leave 16 bits."""
    rng = np.random.default_rng(7)
    h, w, in_c, out_c = shape
    codes = rng.choice(np.array([-1, 1, 1, 1], np.int8), (out_c, 1, 1, in_c))
    attrs = {"kernel": (1, 1), "stride": (1, 1), "pads": (0, 0, 0, 0), "dilation": (1, 1), "pad_one": 0}
    attrs |= {"weights": codes, "weight_kind": "binary", "combine": "max", "act_min": -100, "act_max": 99}
    for name in ("", "2"):
        attrs[f"mul{name}"] = rng.integers(-300, 301, out_c).astype(np.int16)
        attrs[f"add{name}"] = rng.integers(-99999, 99999, out_c).astype(np.int32)
    attrs |= {"shift": 14, "next_shift": 11, "next_mul": attrs["mul"], "next_add": attrs["add"] // 9}
    inputs = [TensorType((h, w, in_c), source, 0.5), TensorType((h, w, out_c), "s8", 0.5)]
    graph = layers._one("bconv2d", inputs, TensorType((1, 1, 1), "s8", 0.5), attrs, "u2")
    found = proposals(graph, symbol)
    assert {choice.out_layouts[0] for choice in found} == {"nhwc", "chw"}
    for choice in found:
        call = cases.call(graph, choice, kernels()[symbol].struct, rng, cases.describe(graph, choice))
        assert (what := run(call, 0xA5)) is None, f"{what}: {call.label}"


#: (h, w, in_c), kernel, stride, pads of maps wide enough for kept rows
LONG_ROWS = (
    ((20, 61, 3), (7, 7), (2, 2), (3, 3, 3, 3)),
    ((5, 27, 5), (3, 3), (1, 1), (0, 2, 1, 1)),
    ((9, 100, 1), (2, 3), (3, 4), (0, 0, 0, 0)),
    ((2, 24, 2), (1, 9), (1, 1), (0, 0, 4, 4)),
    ((4, 6, 2), (3, 3), (1, 1), (1, 1, 22, 1)),
)


@pytest.mark.parametrize("symbol", [s for s in TABLE if s.startswith("ebnn_conv2d_s8_wide__")])
@pytest.mark.parametrize("shape", LONG_ROWS, ids=lambda s: "x".join(map(str, s[0])))
def test_s8_maps_of_long_rows(symbol: str, shape: tuple[tuple[int, ...], ...]) -> None:
    rng = np.random.default_rng(sum(shape[0]))
    (h, w, in_c), kernel, stride, pads = shape
    attrs = {
        **{"kernel": kernel, "stride": stride, "pads": pads, "dilation": (1, 1)},
        "weights": rng.integers(-127, 128, (18, *kernel, in_c)).astype(np.int8),
        "bias": rng.integers(-999, 999, 18).astype(np.int32),
        "multiplier": rng.integers(1 << 30, (1 << 31) - 1, 18).astype(np.int32),
        "shift": np.full(18, -7, np.int8),
        **{"act_min": -128, "act_max": 120},
    }
    out = TensorType((1, 1, 1), "s8", 0.5, -3)
    graph = layers._one("conv2d", [TensorType((h, w, in_c), "s8", 0.5, 11)], out, attrs)
    assert graph.tensors["out"].shape[1] >= 24
    for choice in proposals(graph, symbol):
        call = cases.call(graph, choice, kernels()[symbol].struct, rng, cases.describe(graph, choice))
        for fill in (0, 0xA5):
            assert (what := run(call, fill)) is None, f"{what}: {call.label}"


@pytest.mark.parametrize(
    "symbol", [s for s in TABLE if s.endswith((*ISAS, *DOT_LANES)) and "layout" not in s]
)
def test_scratch_is_what_the_kernel_asks_for(symbol: str) -> None:
    ffi, lib = library()
    rng = np.random.default_rng(5)
    kept = 0
    for _ in range(60):
        for choice in proposals(layers.LAYERS[kernels()[symbol].op](rng), symbol):
            keep: list[object] = []
            params = fill_struct(ffi, kernels()[symbol].struct, choice.pack(), keep)
            asks = getattr(lib, f"{symbol}_get_buffer_size", lambda params: 0)
            assert asks(params) == choice.scratch
            kept += 1
    assert kept >= 5


def test_lists_hold_every_weight_once() -> None:
    rng = np.random.default_rng(1)
    codes = rng.choice(np.array([-1, 1], np.int8), (6, 3, 3, 20))
    dims = {f"{side}_{axis}": 8 for side in ("in", "out") for axis in "hw"}
    for name, value in (("kernel", 3), ("stride", 1), ("pad", 1), ("dilation", 1)):
        dims |= {f"{name}_h": value, f"{name}_w": value}
    epilogue = {"threshold": np.zeros(6, np.int32), "combine": 0, "out_dtype": 1}
    packed = pack_wide.pack_wide(codes, "binary", 1, True, True, dims, epilogue, pack_wide.Lane(8, 8))
    assert isinstance(packed, dict)
    lists, runs = packed["lists"], packed["batches"]
    assert lists.size == 8 * int(runs.sum())
    for group in range(2):
        size = 8 * int(runs[group].sum())
        entries, lists = lists[:size], lists[size:]
        assert sorted(entries[entries > 0]) == list(range(1, 181))


def test_thresholds_of_affine_epilogues() -> None:
    mul, add = np.meshgrid(np.arange(-3, 4), np.arange(-7, 8))
    epilogue = {
        "threshold": None,
        "combine": 0,
        "mul": mul.ravel().astype(np.int16),
        "add": add.ravel().astype(np.int32),
    }
    found = pack_wide.acc_thresholds(epilogue)
    assert found is not None
    acc = np.arange(-20, 21)[:, None]
    assert np.array_equal((acc < found[0]) ^ found[1], acc * mul.ravel() + add.ravel() < 0)


def test_too_many_products_are_refused() -> None:
    shape = (1, 1, 9000)
    attrs = {"kernel": (1, 1), "stride": (1, 1), "pads": (0, 0, 0, 0), "dilation": (1, 1), "pad_one": 0}
    attrs |= {"weights": np.ones((4, 1, 1, 9000), np.int8), "weight_kind": "binary"}
    op = Op("layer", "bconv2d", ("in0",), ("out",), attrs)
    types = {"in0": TensorType(shape, "b1"), "out": TensorType((1, 1, 4), "s32")}
    graph = Graph("big", (op,), types, "in0", "out")
    assert proposals(graph, "ebnn_bconv2d_wide__word64")
    assert not cases.choices(graph, target("avx512"), kernels()["ebnn_bconv2d_wide__avx512"], "speed")


def dense(k: int, source: str = "b1", kind: str = "binary", shape: tuple[int, int] = (1, 1)) -> Graph:
    """Two outputs of k products each, all weights +1 and all -1, with s32 output."""
    attrs = {"kernel": (1, 1), "stride": (1, 1), "pads": (0, 0, 0, 0), "dilation": (1, 1), "pad_one": 0}
    codes = np.concatenate([np.ones((1, 1, 1, k), np.int8), -np.ones((1, 1, 1, k), np.int8)])
    attrs |= {"weights": codes, "weight_kind": kind}
    types = {"in0": TensorType((*shape, k), source), "out": TensorType((*shape, 2), "s32")}
    return Graph("long", (Op("layer", "bconv2d", ("in0",), ("out",), attrs),), types, "in0", "out")


@pytest.mark.parametrize("symbol", [s for s in TABLE if "bconv2d_dot__" in s or "bconv2d_lut__" in s])
@pytest.mark.parametrize("k", [65504, 65535])
def test_the_largest_counts_are_exact(symbol: str, k: int) -> None:
    """One output counts every product, the other none."""
    if not cpu.supports(kernels()[symbol].isa):
        pytest.skip("this processor lacks the kernel's instruction set")
    ffi, _ = library()
    graph = dense(k, shape=(1, 4))
    (choice,) = proposals(graph, symbol)
    keep: list[object] = []
    params = fill_struct(ffi, kernels()[symbol].struct, choice.pack(), keep)
    bits = np.zeros((4, -(-k // 32) * 32), np.uint8)
    bits[1, :k] = bits[3, :k] = 1  # codes -1
    words = np.packbits(bits, axis=1, bitorder="little")
    out = np.zeros((4, 2), np.int32)
    scratch = np.zeros(max(choice.scratch, 64), np.uint8)
    io = ffi.new("ebnn_io_t *")
    getattr(io, "in")[0] = ffi.cast("void *", words.ctypes.data)
    io.out = ffi.cast("void *", out.ctypes.data)
    io.scratch = ffi.cast("void *", scratch.ctypes.data)
    assert kernel_table()[symbol](params, io) == 0
    assert out.tolist() == [[k, -k], [-k, k]] * 2


def test_counts_of_16_bits_are_refused_where_they_may_overflow() -> None:
    lut = kernels()["ebnn_bconv2d_lut__avx2"]
    assert cases.choices(dense(65535), target("avx2"), lut, "speed")
    assert not cases.choices(dense(65536), target("avx2"), lut, "speed")
    counting = kernels()["ebnn_bconv2d_dot__avx2"]
    assert cases.choices(dense(65536), target("avx2"), counting, "speed")


def test_more_kinds_of_border_pixels_than_a_byte_tells_are_refused() -> None:
    epilogue = {"threshold": None, "combine": 0, "out_dtype": 32}
    for size, fits in ((8, True), (9, False)):  # 2 * size - 1 kinds of rows and of columns
        dims = {f"{name}_{a}": 2 * size - 1 for name in ("in", "out", "kernel") for a in "hw"}
        dims |= {
            f"{name}_{a}": v for name, v in (("pad", size - 1), ("stride", 1), ("dilation", 1)) for a in "hw"
        }
        codes = np.ones((1, 2 * size - 1, 2 * size - 1, 1), np.int8)
        found = pack_wide.pack_dot(codes, "binary", 1, True, False, dims, epilogue, 8, 20)
        assert isinstance(found, dict) == fits


@pytest.fixture
def isa_variable(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    monkeypatch.delenv(cpu.VARIABLE, raising=False)
    yield monkeypatch


def test_the_variable_picks_the_instruction_set(isa_variable: pytest.MonkeyPatch) -> None:
    every = targets.load("host").isa
    assert every[-2:] == ("word64", "portable")
    isa_variable.setenv(cpu.VARIABLE, "word64")
    assert targets.load("host").isa == ("word64", "portable")
    assert targets.load("cortex-m4").isa == ("cortex_m4", "portable")
    isa_variable.setenv(cpu.VARIABLE, "mve")
    with pytest.raises(UsageError, match="EDGEBNN_ISA=mve: this processor has"):
        targets.load("host")
