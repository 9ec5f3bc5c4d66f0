"""One-layer integer graphs that the generators of kernels_emulated do not draw; ``EXTRA`` is by op type."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from kernels_emulated import layers

from edgebnn.ir import Graph, TensorType

Rng = np.random.Generator


def bconv2d_to_bits(rng: Rng) -> Graph:
    """A low-bit convolution that writes u2..u4 instead of s8."""
    while True:
        graph = layers.bconv2d(rng)
        op, out = graph.ops[0], graph.tensors["out"]
        if out.dtype == "s8" and len(op.inputs) == 1:
            break
    bits = int(rng.integers(2, 5))
    high = 2**bits - 1
    narrow = rng.random() < 0.3
    limits = {"act_min": 1 if narrow else 0, "act_max": high - 1 if narrow else high}
    attrs = {"shift": min(op.attrs["shift"] + 4, 24), **limits}
    return graph.replace([op.with_(attrs=attrs)], {"out": TensorType(out.shape, f"u{bits}", 0.5)})


def quantize_to_s8(rng: Rng) -> Graph:
    """s8 to s8 through an affine map."""
    graph = layers.quantize(rng)
    op, out = graph.ops[0], graph.tensors["out"]
    attrs = {"shift": int(rng.integers(9, 13))}
    return graph.replace(
        [op.with_(attrs=attrs)], {"out": TensorType(out.shape, "s8", 0.5, int(rng.integers(-9, 9)))}
    )


def bits_with_zero_padding(rng: Rng) -> Graph:
    """A low-bit convolution that reads and writes bits by thresholds and pads with exact zeros."""
    while True:
        graph = layers.bconv2d(rng)
        op = graph.ops[0]
        types = [graph.tensors[name].dtype for name in (*op.inputs, *op.outputs)]
        if types == ["b1", "b1"] and any(op.attrs["pads"]) and op.attrs["weight_kind"] != "two_plane":
            return graph.replace([op.with_(attrs={"pad_one": 0})])


def dense(rng: Rng) -> Graph:
    """A low-bit dense layer: the kernel covers the input."""
    while True:
        graph = layers.bconv2d(rng)
        op = graph.ops[0]
        if graph.tensors[op.inputs[0]].shape[:2] == tuple(op.attrs["kernel"]) and not any(op.attrs["pads"]):
            return graph


EXTRA: dict[str, tuple[Callable[[Rng], Graph], ...]] = {
    "bconv2d": (bconv2d_to_bits, bits_with_zero_padding, dense),
    "quantize": (quantize_to_s8,),
}
