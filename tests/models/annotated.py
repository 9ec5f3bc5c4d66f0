"""Random float-annotated models: every op of the builder, in every order that converts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgebnn.ir import Graph
from edgebnn.ir.builder import Builder
from edgebnn.ir.ops.lowbit import WEIGHT_KINDS

Rng = np.random.Generator
CHANNELS = (1, 3, 4, 8, 17, 33, 40, 65)
BITS = {"b1": 1.0, "u2": 0.6, "u3": 0.3, "u4": 0.15}  # dtype: a scale that suits values around 1
STREAM = 0.05  # scale of s8 tensors


def pick(rng: Rng, values: Any) -> Any:
    return values[int(rng.integers(len(values)))]


def window(rng: Rng, h: int, w: int, strided: bool = True) -> dict[str, Any]:
    """Kernel, stride, pads, dilation that fit an image; pads keep the size where not ``strided``."""
    kernel = pick(
        rng, [k for k in ((1, 1), (3, 3), (3, 1), (2, 3), (5, 1)) if k[0] <= h + 1 and k[1] <= w + 1]
    )
    dilation = (2, 1) if kernel[0] == 3 and h > 5 and rng.random() < 0.2 else (1, 1)
    reach = [(k - 1) * d for k, d in zip(kernel, dilation, strict=True)]
    if strided:
        pads = [int(rng.integers(0, r + 1)) for r in (reach[0], reach[0], reach[1], reach[1])]
        if h + pads[0] + pads[1] > reach[0] and w + pads[2] + pads[3] > reach[1]:
            stride = pick(rng, ((1, 1), (2, 2), (1, 2)))
            return {"kernel": kernel, "stride": stride, "pads": tuple(pads), "dilation": dilation}
    same = (reach[0] // 2, reach[0] - reach[0] // 2, reach[1] // 2, reach[1] - reach[1] // 2)
    return {"kernel": kernel, "stride": (1, 1), "pads": same, "dilation": dilation}


class Maker:
    """Appends random layers to a builder; real values are kept around 1 in magnitude."""

    def __init__(self, rng: Rng, name: str = "random", shape: tuple[int, int, int] | None = None) -> None:
        self.rng = rng
        self.b = Builder(name, {"labels": ["a", "b"]})
        shape = shape or (int(rng.integers(1, 8)), int(rng.integers(1, 7)), pick(rng, CHANNELS))
        self.x = self.b.input(shape, STREAM, int(rng.integers(-20, 21)) if rng.random() < 0.7 else 0)

    @property
    def type(self) -> Any:
        return self.b.type_of(self.x)

    def affine(self, signs: str = "both", spread: float = 1.0) -> None:
        """Per-channel gain and bias; ``signs``: "both", "one" (all gains of one sign) or "plus"."""
        c = self.type.channels
        gain = spread * self.rng.uniform(0.4, 1.6, c)
        if signs == "both":
            gain *= self.rng.choice([-1, 1], c, p=[0.25, 0.75])
            gain[self.rng.random(c) < 0.05] = 0.0
        elif signs == "one" and self.rng.random() < 0.5:
            gain = -gain
        self.x = self.b.affine(self.x, gain, self.rng.uniform(-0.8, 0.8, c))

    def conv(self, out_c: int | None = None, keep_size: bool = False) -> None:
        """A convolution of the present tensor with INT8 (s8 input) or low-bit weights, then an affine that brings it
        to values around 1."""
        rng, t = self.rng, self.type
        h, w, c = t.shape
        kind = pick(rng, ("binary", "binary", "ternary", "two_plane"))
        out_c = out_c or pick(rng, CHANNELS)
        groups, spec = 1, window(rng, h, w, not keep_size)
        if t.dtype == "s8" and not keep_size and rng.random() < 0.6:
            kind = "s8"
            if rng.random() < 0.3:
                groups, out_c = c, c * pick(rng, (1, 1, 2))
        shape = (out_c, *spec.pop("kernel"), c // groups)
        codes = rng.integers(-127, 128, shape) if kind == "s8" else rng.choice(WEIGHT_KINDS[kind], shape)
        scale = rng.uniform(0.5, 1.5, out_c)
        mode = "one" if t.dtype == "b1" and rng.random() < 0.4 else "lowest" if t.bipolar else "zero"
        self.x = self.b.conv(self.x, codes.astype(np.int8), scale, kind, pad_mode=mode, groups=groups, **spec)
        size = {"s8": 40 * t.scale, "b1": t.scale}.get(t.dtype, 2 * t.scale)
        spread = 1 / (size * (73 if kind == "s8" else 1.2) * np.sqrt(codes[0].size))
        self.affine(spread=float(spread))
        self.kind = kind

    def activation(self) -> None:
        """One of the orders of affine maps and activations that an epilogue expresses."""
        rng, b, c = self.rng, self.b, self.type.channels
        low_bit = self.kind != "s8"
        orders = ["", "", "relu", "affine", "affine relu", "hardtanh", "relu hardtanh", "hardtanh relu"]
        if low_bit:
            orders += [
                "prelu",
                "prelu",
                "rprelu",
                "rprelu one",
                "relu one",
                "relu one relu",
                "prelu one hardtanh",
            ]
        for word in pick(rng, orders).split():
            if word == "affine":
                self.affine()
            elif word == "one":
                self.affine("one")
            elif word == "relu":
                self.x = b.relu(self.x)
            elif word == "hardtanh":
                self.x = b.hardtanh(self.x)
            else:
                low, high = pick(rng, ((-0.3, 1.0), (1.0, 2.0)))
                shifts = rng.uniform(-0.3, 0.3, (2, c)) if word == "rprelu" else (None, None)
                self.x = b.prelu(self.x, rng.uniform(low, high, c), *shifts)

    def quant(self, dtype: str) -> None:
        scale = BITS.get(dtype, STREAM) * float(self.rng.uniform(0.7, 1.3))
        zero = int(self.rng.integers(-100, 101)) if dtype == "s8" and self.rng.random() < 0.4 else 0
        bipolar = dtype[0] == "u" and self.rng.random() < 0.4
        self.x = self.b.quant(self.x, dtype, scale, zero, bipolar=bipolar)

    def layer(self) -> None:
        """Convolution, activation, quantisation to anything that the kind of weights allows."""
        self.conv()
        if self.kind == "s8" or self.rng.random() < 0.85:
            self.activation()
        else:  # max pool of real values, then what is monotone
            h, w, _ = self.type.shape
            self.x = self.b.max_pool(
                self.x, *pick(self.rng, (((1, 1), (1, 1)), ((min(h, 2), min(w, 2)), (2, 2))))
            )
            for word in pick(self.rng, ("", "relu", "plus", "plus relu", "relu plus", "hardtanh")).split():
                if word == "plus":
                    self.affine("plus")
                else:
                    self.x = self.b.relu(self.x) if word == "relu" else self.b.hardtanh(self.x)
        self.quant("s8" if self.kind == "s8" else pick(self.rng, ("b1", "b1", "u2", "u3", "u4", "s8", "s8")))

    def requantise(self) -> None:
        """s8 to bits or s8, through an affine map or straight."""
        if self.type.dtype == "s8":
            if self.rng.random() < 0.7:
                self.affine()
            self.quant(pick(self.rng, ("b1", "u2", "u3", "u4", "s8")))

    def shortcut(self) -> None:
        """A block: the s8 stream plus a low-bit convolution of its quantised self."""
        rng, b = self.rng, self.b
        if self.type.dtype != "s8" or self.type.zero_point != 0 or self.type.elements > 1500:
            return
        stream, scale = self.x, self.type.scale
        self.affine()
        self.quant(pick(rng, tuple(BITS)))
        self.conv(b.type_of(stream).channels, keep_size=True)
        for word in pick(rng, ("", "", "relu", "prelu")).split():
            self.x = b.relu(self.x) if word == "relu" else b.prelu(self.x, 0.25)
        self.x = b.add(*(((stream, self.x), (self.x, stream))[int(rng.integers(2))]))
        for word in pick(rng, ("", "", "relu", "hardtanh", "hardtanh relu", "relu hardtanh")).split():
            self.x = getattr(b, word)(self.x)
        self.x = b.quant(self.x, "s8", scale)

    def sum(self) -> None:
        """Two s8 tensors of other scales, added, sometimes with ReLU or HardTanh after it."""
        if self.type.dtype == "s8":
            other = self.x
            self.affine()
            self.quant("s8")
            self.x = self.b.add(other, self.x)
            for word in pick(self.rng, ("", "relu", "hardtanh")).split():
                self.x = getattr(self.b, word)(self.x)
            self.quant("s8")

    def pool(self) -> None:
        h, w, _ = self.type.shape
        if h < 2 or w < 2:
            return
        kernel = pick(self.rng, ((2, 2), (2, 1), (min(3, h), min(3, w))))
        pads = tuple(
            int(self.rng.integers(0, k)) if self.rng.random() < 0.3 else 0 for k in np.repeat(kernel, 2)
        )
        stride = pick(self.rng, ((1, 1), kernel))
        if self.type.dtype == "s8" and self.rng.random() < 0.5:
            self.x = self.b.avg_pool(self.x, kernel, stride, pads)
        else:
            self.x = self.b.max_pool(self.x, kernel, stride, pads)

    def relu_of_codes(self) -> None:
        """ReLU of a stored s8 tensor, which other layers may read too."""
        if self.type.dtype == "s8":
            stream = self.x
            self.x = self.b.relu(stream)
            if self.rng.random() < 0.5:  # the stream is read twice: the ReLU cannot move before the quantiser
                self.x = self.b.add(self.x, stream)
            self.quant("s8")

    def finish(self, head: bool = True) -> Graph:
        """Mean, dense layer and softmax (or as it is, unless bipolar), and the graph."""
        head = head or self.type.bipolar
        if head and self.type.dtype == "s8":
            self.x = self.b.global_avg_pool(self.x)
            self.quant("s8")
        if head:
            h, w, c = self.type.shape
            size = h * w * c
            kind = "s8" if self.type.dtype == "s8" else "binary"
            codes = (
                self.rng.integers(-127, 128, (4, size))
                if kind == "s8"
                else self.rng.choice([-1, 1], (4, size))
            )
            spread = (0.02 if kind == "s8" else 1.0) / np.sqrt(size)
            self.x = self.b.dense(self.x, codes.astype(np.int8), np.full(4, spread), kind)
            self.quant("s8")
            self.x = self.b.softmax(self.x)
        self.b.output(self.x)
        return self.b.build()


STEPS: tuple[Callable[[Maker], None], ...] = (
    Maker.layer,
    Maker.layer,
    Maker.layer,
    Maker.requantise,
    Maker.shortcut,
    Maker.shortcut,
    Maker.sum,
    Maker.pool,
    Maker.relu_of_codes,
)


def random_model(rng: Rng, steps: int, name: str = "random", head: bool | None = None) -> Graph:
    """A float-annotated model of ``steps`` random steps."""
    maker = Maker(rng, name)
    for _ in range(steps):
        pick(rng, STEPS)(maker)
    return maker.finish(bool(rng.random() < 0.5) if head is None else head)


def random_input(rng: Rng, graph: Graph) -> np.ndarray:
    """Random s8 codes of a graph's input, (H, W, C)."""
    return rng.integers(-128, 128, graph.tensors[graph.input].shape).astype(np.int8)
