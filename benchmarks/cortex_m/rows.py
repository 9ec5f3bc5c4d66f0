"""The rows of the table: layers with random weights, what CMSIS-NN takes for the same shape, and our goals.

CMSIS-NN figures: commit 99f736a6, gcc 12.2 -O3, int8, counted and estimated the same way (Cortex-M4 table, 0 wait
states). Goals are estimated Cortex-M4 cycles of the whole layer; per MAC where ``per`` says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgebnn.ir import Graph, Op, TensorType
from edgebnn.ir.ops import REGISTRY

Rng = np.random.Generator


@dataclass(frozen=True)
class Goal:
    """Estimated cycles to stay below, with weights at 1 bit each (``ram``) and with stored lists (``flash``)."""

    ram: float | None = None
    flash: float | None = None


@dataclass(frozen=True)
class Row:
    """One layer. ``unit`` of the goals: "cycles", "cycles/MAC", "cycles/element", "MAC/cycle" (the only one of which
    more is better) or "instructions". ``cmsis``: what CMSIS-NN's int8 kernel takes for the shape, in the row's
    unit or in cycles; None where there is no figure. ``without``: leave out functions whose name it matches.
    """

    name: str
    graph: Callable[[Rng], Graph]
    reach: Goal
    aim: Goal
    cmsis: float | None = None
    unit: str = "cycles"
    cpu: str = "cortex-m4"
    group: str | None = None
    without: str | None = None

    @property
    def more_is_better(self) -> bool:
        """Whether the goals are lower bounds."""
        return self.unit == "MAC/cycle"


def _chain(ops: list[Op], types: dict[str, TensorType], extra: tuple[str, ...] = ()) -> Graph:
    """A graph from "in"; ``extra`` tensors are further inputs."""
    for op in ops:
        shapes = REGISTRY[op.type].shape(op, [types[n].shape for n in op.inputs])
        for name, shape in zip(op.outputs, shapes, strict=True):
            t = types[name]
            types[name] = TensorType(shape, t.dtype, t.scale, t.zero_point)
    return Graph("row", tuple(ops), types, "in", ops[-1].outputs[-1])


def _window(kernel: tuple[int, int], same: bool = True) -> dict[str, Any]:
    h, w = ((k - 1) // 2 if same else 0 for k in kernel)
    pads = (h, kernel[0] - 1 - h, w, kernel[1] - 1 - w) if same else (0, 0, 0, 0)
    return {"kernel": kernel, "stride": (1, 1), "pads": pads, "dilation": (1, 1)}


def _weights(rng: Rng, kind: str, shape: tuple[int, ...]) -> np.ndarray:
    if kind == "ternary":
        return rng.choice(np.array([-1, 0, 0, 1], np.int8), shape)
    return rng.choice(np.array([-1, 1], np.int8), shape)


def low_bit(
    size: tuple[int, int, int],
    out_c: int,
    kernel: tuple[int, int],
    dtype: str = "b1",
    kind: str = "binary",
    out: str = "b1",
    zero_pad: bool = False,
) -> Callable[[Rng], Graph]:
    """A low-bit layer with thresholds (``out`` "b1") or an s8 stream with shortcut ("s8").

    b1 inputs are padded with +1 unless ``zero_pad``; all others with 0.
    """

    def build(rng: Rng) -> Graph:
        weights = _weights(rng, kind, (out_c, *kernel, size[2]))
        spread = max(1, int(weights[0].size ** 0.5))
        pad_one = int(dtype == "b1" and not zero_pad)
        attrs: dict[str, Any] = {
            **_window(kernel),
            "weights": weights,
            "weight_kind": kind,
            "pad_one": pad_one,
        }
        inputs: tuple[str, ...] = ("in",)
        types = {"in": TensorType(size, dtype), "out": TensorType((1, 1, 1), out)}
        if out == "b1":
            attrs["threshold"] = rng.integers(-spread, spread + 1, out_c).astype(np.int32)
        elif out == "s8":
            attrs |= {
                # shift 16 is what the converter emits for layers of this size and gain
                "mul": rng.integers(4000, 12000, out_c).astype(np.int16),
                "add": rng.integers(-600_000, 600_000, out_c).astype(np.int32),
                "shift": 16,
                "act_min": -128,
                "act_max": 127,
            }
            inputs = ("in", "residual")
            types["residual"] = TensorType((*size[:2], out_c), "s8")
        return _chain([Op("layer", "bconv2d", inputs, ("out",), attrs)], types)

    return build


def block(size: tuple[int, int, int], kernel: tuple[int, int]) -> Callable[[Rng], Graph]:
    """A W1A2 block: 2-bit activations, binary convolution, shortcut add to s8, the next layer's 2-bit planes."""

    def build(rng: Rng) -> Graph:
        graph = low_bit(size, size[2], kernel, "u2", out="s8")(rng)
        quantize = {
            "mul": rng.integers(800, 3600, size[2]).astype(np.int16),  # the converter's shift: 16
            "add": rng.integers(0, 40_000, size[2]).astype(np.int32),
            "shift": 16,
        }
        ops = [*graph.ops, Op("next", "quantize", ("out",), ("bits",), quantize)]
        return _chain(ops, {**graph.tensors, "bits": TensorType((1, 1, 1), "u2")})

    return build


def _s8(
    op_type: str, size: tuple[int, int, int], weights: np.ndarray, window: dict[str, Any], rng: Rng
) -> Graph:
    channels = weights.shape[2] if op_type == "depthwise_conv2d" else weights.shape[0]
    terms = weights.size // channels
    attrs = {
        **window,
        "weights": weights,
        "bias": rng.integers(-9999, 10000, channels).astype(np.int32),
        "multiplier": rng.integers(1 << 30, (1 << 31) - 1, channels).astype(np.int32),
        "shift": np.full(channels, 6 - int(73 * 73 * terms**0.5).bit_length(), np.int8),
        "act_min": -128,
        "act_max": 127,
    }
    types = {"in": TensorType(size, "s8", 0.1, 5), "out": TensorType((1, 1, 1), "s8", 0.1, -3)}
    return _chain([Op("layer", op_type, ("in",), ("out",), attrs)], types)


def conv_s8(size: tuple[int, int, int], out_c: int, kernel: tuple[int, int]) -> Callable[[Rng], Graph]:
    """An s8 convolution with "same" padding."""
    return lambda rng: _s8(
        "conv2d",
        size,
        rng.integers(-127, 128, (out_c, *kernel, size[2])).astype(np.int8),
        _window(kernel),
        rng,
    )


def first_s8(rng: Rng) -> Graph:
    """The first layer of DS-CNN: 10x4, stride 2, one input channel, 49x10 features to 25x5."""
    window = {"kernel": (10, 4), "stride": (2, 2), "pads": (4, 5, 1, 1), "dilation": (1, 1)}
    return _s8("conv2d", (49, 10, 1), rng.integers(-127, 128, (64, 10, 4, 1)).astype(np.int8), window, rng)


def depthwise_s8(rng: Rng) -> Graph:
    """Depthwise 3x3 over 64 channels."""
    weights = rng.integers(-127, 128, (3, 3, 64)).astype(np.int8)
    return _s8("depthwise_conv2d", (25, 5, 64), weights, _window((3, 3)), rng)


MAP, LINE = (25, 5, 64), (25, 1, 64)
ACCUMULATION = (
    r"(ebnn_lanes_(fill|shift4?|(inner|first|last)4|sum3|totals4|combine|sort|runs|pad)|more_chunks|sum_class|shift"
    r"|inside|memset)(__cortex_m4)?(\.\w+)*"
)
"""Functions that make accumulators: planes, lists, sums over weight classes. All others count as epilogue, those that
do both (loops over groups) too."""
W1A2_BLOCK = "epilogue of a W1A2 block (s8 residual add, requantise, next layer's planes)"

ROWS: tuple[Row, ...] = (
    Row("b1 3x3 64->64", low_bit(MAP, 64, (3, 3)), Goal(500e3, 410e3), Goal(430e3, 370e3), 9.80e6),
    Row("b1 3x3 64->64, zero padding", low_bit(MAP, 64, (3, 3), zero_pad=True), Goal(), Goal(), 9.80e6),
    Row("b1 1x1 64->64", low_bit(MAP, 64, (1, 1)), Goal(110e3, 90e3), Goal(85e3, 65e3), 1.24e6),
    Row(
        "b1 3x3 32->32, 16x16",
        low_bit((16, 16, 32), 32, (3, 3)),
        Goal(330e3, 270e3),
        Goal(270e3, 220e3),
        5.50e6,
    ),
    Row(
        "b1 dense 576->64",
        low_bit((1, 1, 576), 64, (1, 1)),
        Goal(8.0e3),
        Goal(6.0e3),
        89.6e3,
        group="b1 dense 576->64 / 64->12",
    ),
    Row(
        "b1 dense 64->12",
        low_bit((1, 1, 64), 12, (1, 1)),
        Goal(900),
        Goal(700),
        2796,
        group="b1 dense 576->64 / 64->12",
    ),
    Row(
        "b1 1-D k=5 64->64, 25 positions",
        low_bit(LINE, 64, (5, 1)),
        Goal(120e3, 68e3),
        Goal(90e3, 60e3),
        1.09e6,
    ),
    Row(
        "W1A2 1-D k=5 64->64, 25 positions",
        low_bit(LINE, 64, (5, 1), "u2"),
        Goal(178e3, 125e3),
        Goal(140e3, 110e3),
        1.09e6,
    ),
    Row("W1A2 3x3 64->64", low_bit(MAP, 64, (3, 3), "u2"), Goal(900e3, 800e3), Goal(800e3, 700e3), 9.80e6),
    Row("W1A4 3x3 64->64", low_bit(MAP, 64, (3, 3), "u4"), Goal(1.7e6, 1.6e6), Goal(1.5e6, 1.4e6), 9.80e6),
    Row(
        "ternary (50 % zeros) x b1 3x3",
        low_bit(MAP, 64, (3, 3), "b1", "ternary"),
        Goal(950e3, 800e3),
        Goal(800e3, 650e3),
        9.80e6,
    ),
    Row(
        "ternary x s8 3x3", low_bit(MAP, 64, (3, 3), "s8", "ternary", "s8"), Goal(4.0e6), Goal(3.2e6), 9.80e6
    ),
    Row("s8 first layer 10x4/2, 1->64", first_s8, Goal(2.2), Goal(1.6), unit="cycles/MAC"),
    Row(
        "s8 1x1 64->64",
        conv_s8(MAP, 64, (1, 1)),
        Goal(2.1),
        Goal(1.6),
        1.24e6,
        unit="cycles/MAC",
        group="s8 1x1 64->64 / 3x3 64->64",
    ),
    Row(
        "s8 3x3 64->64",
        conv_s8(MAP, 64, (3, 3)),
        Goal(2.0),
        Goal(1.6),
        9.80e6,
        unit="cycles/MAC",
        group="s8 1x1 64->64 / 3x3 64->64",
    ),
    Row("s8 depthwise 3x3 64", depthwise_s8, Goal(6.0), Goal(4.5), 696e3, unit="cycles/MAC"),
    Row(
        W1A2_BLOCK,
        block(MAP, (3, 3)),
        Goal(12),
        Goal(8),
        unit="cycles/element",
        without=ACCUMULATION,
    ),
    Row(
        "M0+: b1 3x3 64->64",
        low_bit(MAP, 64, (3, 3)),
        Goal(3, 3),
        Goal(),
        1 / 9,
        "MAC/cycle",
        "cortex-m0plus",
    ),
    Row(
        "M55: b1 3x3 64->64",
        low_bit(MAP, 64, (3, 3)),
        Goal(320e3, 320e3),
        Goal(240e3, 240e3),
        954e3,
        "instructions",
        "cortex-m55",
    ),
)


def find(name: str) -> list[Row]:
    """The rows of that name, or of that pair of names."""
    return [row for row in ROWS if name in (row.name, row.group)]
