"""Random one-layer integer graphs, one generator an op type; ``LAYERS`` is the registry.

Sizes are small so that a case takes few instructions and fits a 16 KB board, but every kind of remainder
occurs: channels and pixels around the word size, kernels larger than the padding, strides that drop pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgebnn.ir import Graph, Op, TensorType, verify
from edgebnn.ir.ops import REGISTRY, softmax
from edgebnn.ir.ops.lowbit import WEIGHT_KINDS

Rng = np.random.Generator
_CHANNELS = (1, 2, 3, 4, 5, 7, 8, 12, 16, 31, 32, 33, 48, 64, 70)
_LARGE = (96, 100, 128, 192, 256)
_LIMITS = {"b1": 1, "u2": 3, "u3": 7, "u4": 15, "s8": 255}


def _pick(rng: Rng, values: tuple[Any, ...]) -> Any:
    return values[int(rng.integers(len(values)))]


def _window(rng: Rng, pointwise: float = 0.2) -> dict[str, Any]:
    """Kernel, stride, pads and dilation."""
    if rng.random() < pointwise:
        stride = (1, 1) if rng.random() < 0.7 else (2, 2)
        return {"kernel": (1, 1), "stride": stride, "pads": (0, 0, 0, 0), "dilation": (1, 1)}
    kernel = _pick(rng, ((3, 3), (3, 3), (5, 1), (1, 5), (2, 3), (5, 5), (1, 3), (4, 2)))
    dilation = (1, 1) if rng.random() < 0.8 else (2, 2)
    reach = [(k - 1) * d for k, d in zip(kernel, dilation, strict=True)]
    pads = tuple(int(rng.integers(0, min(reach[i // 2], 3) + 1)) for i in range(4))
    stride = _pick(rng, ((1, 1), (1, 1), (2, 2), (2, 1), (3, 2)))
    return {"kernel": kernel, "stride": stride, "pads": pads, "dilation": dilation}


def _image(rng: Rng, window: dict[str, Any], most: int = 9) -> tuple[int, int]:
    """H, W for which the window fits at least once."""
    size = []
    for axis in (0, 1):
        reach = (window["kernel"][axis] - 1) * window["dilation"][axis] + 1
        padded = sum(window["pads"][2 * axis : 2 * axis + 2])
        size.append(int(rng.integers(max(1, reach - padded), most + 3)))
    return size[0], size[1]


def _one(
    op_type: str, inputs: list[TensorType], out: TensorType, attrs: dict[str, Any], second: str | None = None
) -> Graph:
    """A graph of one op; a second input is a tensor that no op writes, ``second`` the type of a second output."""
    names = [f"in{i}" for i in range(len(inputs))]
    op = Op("layer", op_type, tuple(names), ("out", "out2") if second else ("out",), attrs)
    shape = REGISTRY[op_type].shape(op, [t.shape for t in inputs])[0]
    types = dict(zip(names, inputs, strict=True))
    types["out"] = TensorType(shape, out.dtype, out.scale, out.zero_point)
    if second:
        types["out2"] = TensorType(shape, second, 0.5)
    return Graph("random", (op,), types, "in0", "out")


def bconv2d(rng: Rng) -> Graph:
    """Low-bit convolution: every activation type, weight kind, output and epilogue."""
    window = _window(rng)
    large = rng.random() < 0.1
    h, w = _image(rng, window, 24 if large and rng.random() < 0.5 else 9)
    if rng.random() < 0.2:  # a dense layer: the kernel covers the whole input
        h, w = _pick(rng, ((1, 1), (1, 1), (2, 3)))
        window = {"kernel": (h, w), "stride": (1, 1), "pads": (0, 0, 0, 0), "dilation": (1, 1)}
    in_c, out_c = int(_pick(rng, _LARGE if large else _CHANNELS)), int(_pick(rng, _CHANNELS))
    if rng.random() < 0.2:  # a dense layer
        window = {"kernel": (1, 1), "stride": (1, 1), "pads": (0, 0, 0, 0), "dilation": (1, 1)}
        h = w = 1
    dtype = _pick(rng, ("b1", "b1", "b1", "u2", "u2", "u3", "u4", "s8"))
    kind = _pick(rng, ("binary", "binary", "binary", "ternary", "two_plane"))
    block = rng.random() < 0.08  # the usual block: u2, shortcut, shifts of 16, u2 for the next layer
    if block:
        dtype, kind = "u2", "binary"
    binary = (
        not block and rng.random() < 0.25
    )  # bits in, bits out by thresholds: kernels of their own take these
    if binary:
        dtype, kind = "b1", _pick(rng, ("binary", "binary", "binary", "ternary"))
    zero = int(rng.integers(-20, 21)) if dtype == "s8" and rng.random() < 0.5 else 0
    weights = rng.choice(np.array(WEIGHT_KINDS[kind], np.int8), (out_c, *window["kernel"], in_c))
    if rng.random() < 0.15:  # statistics that defeat an average-case design: a channel of one sign
        weights[: max(1, out_c // 2)] = WEIGHT_KINDS[kind][-1]
    pad_one = int(dtype == "b1" and (binary or rng.random() < 0.5))
    attrs: dict[str, Any] = {**window, "weights": weights, "weight_kind": kind, "pad_one": pad_one}
    source = TensorType((h, w, in_c), dtype, 0.5, zero)
    bound = max(1, int(np.abs(weights.astype(np.int64)).sum(axis=(1, 2, 3)).max()) * _LIMITS[dtype])
    spread = max(2, int(bound**0.5) * 2)
    out_dtype = _pick(rng, ("b1", "b1", "b1", "s8", "s8", "s8", "s32", "u2", "u3", "u4"))
    if binary or block:
        out_dtype = "b1" if binary else "s8"
    if out_dtype == "b1" and (binary or rng.random() < 0.7):
        threshold = rng.integers(-spread, spread + 1, out_c)
        threshold[rng.random(out_c) < 0.05] = np.iinfo(np.int32).min
        threshold[rng.random(out_c) < 0.05] = np.iinfo(np.int32).max
        attrs["threshold"] = threshold.astype(np.int32)
    elif out_dtype != "s32":
        largest = max(1, min(_pick(rng, (32767, 16000, 5000)), (1 << 29) // bound))
        attrs["mul"] = rng.integers(-largest, largest + 1, out_c).astype(np.int16)
        attrs["add"] = rng.integers(-largest * spread, largest * spread + 1, out_c).astype(np.int32)
        attrs["shift"] = max(0, int(largest * spread // 64).bit_length())
        if rng.random() < 0.4:
            attrs["combine"] = _pick(rng, ("max", "min"))
            attrs["mul2"] = rng.integers(-largest, largest + 1, out_c).astype(np.int16)
            attrs["add2"] = rng.integers(-largest * spread, largest * spread + 1, out_c).astype(np.int32)
        attrs["act_min"], attrs["act_max"] = (-128, 127) if rng.random() < 0.7 else (-100, 90)
        if out_dtype.startswith("u"):
            attrs["act_min"], attrs["act_max"] = 0, _LIMITS[out_dtype]
    if block:
        attrs = {key: v for key, v in attrs.items() if key not in ("combine", "mul2", "add2")}
        attrs |= _of_block(rng, out_c, spread)
    out = TensorType((1, 1, 1), out_dtype, 0.5)
    graph = _one("bconv2d", [source], out, attrs)
    if out_dtype != "s8":
        return graph
    inputs = [source]
    if block or rng.random() < 0.5:
        inputs.append(TensorType(graph.tensors["out"].shape, "s8", 0.5))
    second = "u2" if block else None
    if not block and rng.random() < 0.4:  # the next layer's quantiser, fused
        second = str(_pick(rng, ("b1", "u2", "u2", "u3", "u4", "s8")))
        attrs |= {f"next_{key}": value for key, value in _quantizer(rng, out_c, second).items()}
    return _one("bconv2d", inputs, out, attrs, second)


def _of_block(rng: Rng, channels: int, spread: int) -> dict[str, Any]:
    """One map and a quantiser, both with shifts of 16."""
    largest = max(1, min(32767, (40 << 16) // spread))
    return {
        "mul": rng.integers(-largest, largest + 1, channels).astype(np.int16),
        "add": rng.integers(-(30 << 16), 30 << 16, channels).astype(np.int32),
        "shift": 16,
        "act_min": -128,
        "act_max": 127,
        "next_mul": rng.integers(-3000, 3001, channels).astype(np.int16),
        "next_add": rng.integers(-9999, 200_000, channels).astype(np.int32),
        "next_shift": 16,
    }


def _quantizer(rng: Rng, channels: int, dtype: str) -> dict[str, Any]:
    """mul, add and shift that spread s8 codes over the range of ``dtype``."""
    mul = rng.integers(-3000, 3001, channels)
    mul[rng.random(channels) < 0.05] = 0
    return {
        "mul": mul.astype(np.int16),
        "add": (-mul * rng.integers(-90, 91, channels) + rng.integers(0, 9999, channels)).astype(np.int32),
        "shift": 0 if dtype == "b1" else int(rng.integers(8, 12) if dtype == "s8" else rng.integers(11, 17)),
    }


def _requantize(rng: Rng, channels: int, spread: int) -> dict[str, Any]:
    """Multipliers and shifts that spread sums of about ``spread`` over the s8 range."""
    shift = 6 - int(spread).bit_length()
    return {
        "bias": rng.integers(-spread, spread + 1, channels).astype(np.int32),
        "multiplier": rng.integers(1 << 30, (1 << 31) - 1, channels).astype(np.int32),
        "shift": (shift + rng.integers(-1, 2, channels)).astype(np.int8),
        "act_min": -128 if rng.random() < 0.7 else int(rng.integers(-60, 0)),
        "act_max": 127 if rng.random() < 0.7 else int(rng.integers(10, 100)),
    }


def _s8(rng: Rng, shape: tuple[int, int, int]) -> TensorType:
    return TensorType(shape, "s8", 0.1, int(rng.integers(-128, 128)))


def conv2d(rng: Rng) -> Graph:
    """s8 convolution, sometimes a dense layer or one with a single input channel."""
    window = _window(rng, 0.35)
    h, w = _image(rng, window, 7)
    in_c, out_c = int(_pick(rng, _CHANNELS)), int(_pick(rng, _CHANNELS[:-2]))
    if rng.random() < 0.25:
        h, w, window = 1, 1, {"kernel": (1, 1), "stride": (1, 1), "pads": (0, 0, 0, 0), "dilation": (1, 1)}
    elif rng.random() < 0.25:
        window = {"kernel": (10, 4), "stride": (2, 2), "pads": (4, 5, 1, 1), "dilation": (1, 1)}
        h, w, in_c = int(rng.integers(6, 14)), int(rng.integers(4, 11)), 1
    weights = rng.integers(-127, 128, (out_c, *window["kernel"], in_c)).astype(np.int8)
    spread = max(64, int(73 * 73 * weights[0].size ** 0.5))
    attrs = {**window, "weights": weights, **_requantize(rng, out_c, spread)}
    return _one("conv2d", [_s8(rng, (h, w, in_c))], _s8(rng, (1, 1, 1)), attrs)


def depthwise_conv2d(rng: Rng) -> Graph:
    """s8 depthwise convolution with a multiplier of 1 or more."""
    window = _window(rng, 0.1)
    h, w = _image(rng, window, 7)
    in_c, multiplier = int(_pick(rng, _CHANNELS[:-1])), _pick(rng, (1, 1, 1, 2, 3))
    weights = rng.integers(-127, 128, (*window["kernel"], in_c * multiplier)).astype(np.int8)
    spread = max(64, int(73 * 73 * (window["kernel"][0] * window["kernel"][1]) ** 0.5))
    attrs = {**window, "weights": weights, **_requantize(rng, in_c * multiplier, spread)}
    return _one("depthwise_conv2d", [_s8(rng, (h, w, in_c))], _s8(rng, (1, 1, 1)), attrs)


def quantize(rng: Rng) -> Graph:
    """s8 to bits, or to s8 with gains of its own per channel."""
    shape = (int(rng.integers(1, 10)), int(rng.integers(1, 8)), int(_pick(rng, _CHANNELS)))
    dtype = str(_pick(rng, ("b1", "b1", "u2", "u2", "u3", "u4", "s8")))
    attrs = _quantizer(rng, shape[2], dtype)
    return _one("quantize", [TensorType(shape, "s8", 0.1)], TensorType((1, 1, 1), dtype), attrs)


def layout(rng: Rng) -> Graph:
    """Change of the storage order, either way."""
    shape = (int(rng.integers(1, 10)), int(rng.integers(1, 8)), int(_pick(rng, _CHANNELS)))
    dtype = _pick(rng, ("b1", "u2", "u3", "u4", "s8", "s32"))
    orders = ["nhwc", "chw"] if dtype in ("s8", "s32") else ["nhwc", "planes", "nibbles"]
    rng.shuffle(orders)
    graph = _one("layout", [TensorType(shape, dtype)], TensorType((1, 1, 1), dtype), {})
    types = {
        "in0": TensorType(shape, dtype, layout=orders[0]),
        "out": TensorType(shape, dtype, layout=orders[1]),
    }
    return graph.replace(graph.ops, types)


def add(rng: Rng) -> Graph:
    """s8 + s8."""
    shape = (int(rng.integers(1, 8)), int(rng.integers(1, 8)), int(_pick(rng, _CHANNELS[:-2])))
    attrs: dict[str, Any] = {"act_min": int(rng.integers(-128, -60)), "act_max": int(rng.integers(60, 128))}
    for name in ("input1", "input2", "output"):
        attrs[f"{name}_multiplier"] = int(rng.integers(1 << 30, (1 << 31) - 1))
        attrs[f"{name}_shift"] = int(rng.integers(-2, 1)) - (18 if name == "output" else 0)
    return _one("add", [_s8(rng, shape), _s8(rng, shape)], _s8(rng, (1, 1, 1)), attrs)


def max_pool2d(rng: Rng) -> Graph:
    """Maximum of s8 or bits."""
    window = {**_window(rng, 0.0), "dilation": (1, 1)}
    window["pads"] = tuple(min(p, (window["kernel"][i // 2] - 1) // 2) for i, p in enumerate(window["pads"]))
    shape = (*_image(rng, window), int(_pick(rng, _CHANNELS)))
    dtype = _pick(rng, ("b1", "u2", "u4", "s8"))
    return _one(
        "max_pool2d",
        [TensorType(shape, dtype)],
        TensorType((1, 1, 1), dtype),
        {**window, "act_min": -128, "act_max": 127},
    )


def avg_pool2d(rng: Rng) -> Graph:
    """Average of s8."""
    graph = max_pool2d(rng)
    op = graph.ops[0]
    source = TensorType(graph.tensors["in0"].shape, "s8", 0.1, 3)
    return _one("avg_pool2d", [source], TensorType((1, 1, 1), "s8", 0.1, 3), dict(op.attrs))


def mean(rng: Rng) -> Graph:
    """Global mean of s8."""
    shape = (int(rng.integers(1, 10)), int(rng.integers(1, 8)), int(_pick(rng, _CHANNELS)))
    attrs = {
        "multiplier": int(rng.integers(1 << 30, (1 << 31) - 1)),
        "shift": -int(shape[0] * shape[1]).bit_length() + int(rng.integers(0, 2)),
        "act_min": -128,
        "act_max": 127,
    }
    return _one("mean", [_s8(rng, shape)], _s8(rng, (1, 1, 1)), attrs)


def softmax_(rng: Rng) -> Graph:
    """s8 softmax."""
    shape = (1, int(rng.integers(1, 4)), int(rng.integers(2, 40)))
    scale = float(rng.choice([0.02, 0.1, 0.5, 1.5]))
    attrs = softmax.parameters(scale)
    out = TensorType((1, 1, 1), "s8", 1 / 256, -128)
    return _one("softmax", [TensorType(shape, "s8", scale)], out, dict(attrs))


LAYERS: dict[str, Callable[[Rng], Graph]] = {
    "bconv2d": bconv2d,
    "conv2d": conv2d,
    "depthwise_conv2d": depthwise_conv2d,
    "quantize": quantize,
    "layout": layout,
    "add": add,
    "max_pool2d": max_pool2d,
    "avg_pool2d": avg_pool2d,
    "mean": mean,
    "softmax": softmax_,
}
"""Generators by op type."""


def random_codes(rng: Rng, tensor: TensorType) -> np.ndarray:
    """Random codes (H, W, C) of a tensor's type."""
    if tensor.dtype == "b1":
        return 1 - 2 * rng.integers(0, 2, tensor.shape)
    if tensor.is_bits:
        return rng.integers(0, _LIMITS[tensor.dtype] + 1, tensor.shape)
    limit = 128 if tensor.dtype == "s8" else 1 << 31
    return rng.integers(-limit, limit, tensor.shape)


def check(graph: Graph) -> None:
    """The verifier's rules for the op, with every input taken as written."""
    op = graph.ops[0]
    if len(op.inputs) == 1:
        verify(graph, integer=True)
