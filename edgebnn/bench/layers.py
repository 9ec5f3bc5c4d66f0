"""The measured layers, and the one-layer graphs that stand for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edgebnn.ir import Graph, Op, TensorType


@dataclass(frozen=True)
class Layer:
    """A convolution with stride 1 and same padding; a dense layer of batch n is a 1x1 convolution over n pixels.

    ``weights``: "binary", "ternary", "two_plane" or "s8"; ``activations``: "b1", "u2".."u4" or "s8".
    """

    name: str
    h: int
    w: int
    in_c: int
    out_c: int
    kernel: int = 1
    weights: str = "binary"
    activations: str = "b1"

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return self.h * self.w * self.in_c * self.out_c * self.kernel**2

    @property
    def streaming(self) -> bool:
        """Weights come from memory: calls take copies of them in turn that no cache holds together."""
        return self.name.endswith("streaming")

    @property
    def dense(self) -> bool:
        """A matrix product: what other libraries call a fully connected layer."""
        return self.name.startswith("dense")

    @property
    def weight_bytes(self) -> int:
        """Bytes of the weights as our kernels of streaming layers store them: 2 bits, or 8."""
        return self.in_c * self.out_c * self.kernel**2 * (8 if self.weights == "s8" else 2) // 8

    def precision(self) -> str:
        """Activations and weights in one word."""
        return f"{self.weights} x {self.activations}"


BINARY = (
    Layer("3x3 56x56x64", 56, 56, 64, 64, 3),
    Layer("3x3 28x28x128", 28, 28, 128, 128, 3),
    Layer("3x3 14x14x256", 14, 14, 256, 256, 3),
    Layer("3x3 7x7x512", 7, 7, 512, 512, 3),
    Layer("1x1 28x28 128->256", 28, 28, 128, 256),
    Layer("dense 1024 batch 64", 64, 1, 1024, 1024),
    Layer("dense 1024 batch 1", 1, 1, 1024, 1024),
)
OTHERS = (
    Layer("3x3 28x28x128", 28, 28, 128, 128, 3, "binary", "u2"),
    Layer("3x3 14x14x256", 14, 14, 256, 256, 3, "binary", "u2"),
    Layer("3x3 7x7x512", 7, 7, 512, 512, 3, "binary", "u2"),
    Layer("3x3 28x28x128", 28, 28, 128, 128, 3, "ternary", "b1"),
    Layer("3x3 14x14x256", 14, 14, 256, 256, 3, "ternary", "b1"),
    Layer("3x3 7x7x512", 7, 7, 512, 512, 3, "ternary", "b1"),
    Layer("3x3 28x28x128", 28, 28, 128, 128, 3, "s8", "s8"),
    Layer("dense 1024 batch 1", 1, 1, 1024, 1024, 1, "s8", "s8"),
    Layer("dense 4096 batch 1", 1, 1, 4096, 4096, 1, "binary", "s8"),
    Layer("dense 4096 batch 1", 1, 1, 4096, 4096, 1, "ternary", "s8"),
    Layer("dense 4096 batch 1, streaming", 1, 1, 4096, 4096, 1, "ternary", "s8"),
)
LAYERS = BINARY + OTHERS

_CODES = {"binary": (-1, 1), "ternary": (-1, 0, 1), "two_plane": (-3, -1, 1, 3)}


def graph(layer: Layer, seed: int = 1) -> Graph:
    """The layer with random weights; low-bit outputs are bits by thresholds, INT8 ones s8."""
    rng = np.random.default_rng(seed)
    pad = layer.kernel // 2
    window: dict[str, Any] = {
        "kernel": (layer.kernel, layer.kernel),
        "stride": (1, 1),
        "pads": (pad, pad, pad, pad),
        "dilation": (1, 1),
    }
    shape = (layer.out_c, layer.kernel, layer.kernel, layer.in_c)
    products = layer.in_c * layer.kernel**2
    source = TensorType((layer.h, layer.w, layer.in_c), layer.activations, 0.1)
    if layer.weights == "s8":
        attrs = {
            **window,
            "weights": rng.integers(-127, 128, shape).astype(np.int8),
            "bias": rng.integers(-1000, 1000, layer.out_c).astype(np.int32),
            "multiplier": rng.integers(1 << 30, (1 << 31) - 1, layer.out_c).astype(np.int32),
            "shift": np.full(layer.out_c, -int(products).bit_length() // 2 - 6, np.int8),
            "act_min": -128,
            "act_max": 127,
        }
        op, out_type = Op("layer", "conv2d", ("x",), ("y",), attrs), "s8"
    else:
        codes = rng.choice(np.array(_CODES[layer.weights], np.int8), shape)
        spread = int(products**0.5)
        attrs = {
            **window,
            "weights": codes,
            "weight_kind": layer.weights,
            "pad_one": int(layer.activations == "b1"),
        }
        if layer.activations == "s8":
            attrs |= {
                "mul": rng.integers(1, 300, layer.out_c).astype(np.int16),
                "add": rng.integers(-30000, 30000, layer.out_c).astype(np.int32),
                "shift": 13,
                "act_min": -128,
                "act_max": 127,
            }
            out_type = "s8"
        else:
            attrs["threshold"] = rng.integers(-spread, spread + 1, layer.out_c).astype(np.int32)
            out_type = "b1"
        op = Op("layer", "bconv2d", ("x",), ("y",), attrs)
    types = {"x": source, "y": TensorType((layer.h, layer.w, layer.out_c), out_type, 0.1)}
    return Graph("bench", (op,), types, "x", "y")


def random_input(layer: Layer, seed: int = 2) -> np.ndarray:
    """Codes (H, W, C)."""
    rng = np.random.default_rng(seed)
    shape = (layer.h, layer.w, layer.in_c)
    if layer.activations == "b1":
        return 1 - 2 * rng.integers(0, 2, shape)
    if layer.activations == "s8":
        return rng.integers(-128, 128, shape)
    return rng.integers(0, 2 ** int(layer.activations[1]), shape)
