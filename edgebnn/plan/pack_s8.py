"""Offline packing for the s8 kernels of cores with the DSP extension: weights, biases, scratch sizes, costs.

The layouts are those of ``cmsis_kernels/src/cortex_m/ebnn_s8_core.h``; costs are estimated Cortex-M4 cycles
fitted to the emulator's figures (0 wait states).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

ACCUMULATOR_LIMIT = 1 << 30
"""The kernels double the accumulator before the rounding high multiply."""
MIN_SHIFT = -22
"""The kernels add the output's zero point before the right shift."""


@dataclass(frozen=True)
class PackedS8:
    """Operands of ``ebnn_conv_s8_params_t`` for one kernel."""

    weights: npt.NDArray[np.int8]
    """Bytes of the weights, in the kernel's order."""
    bias: npt.NDArray[np.int32]
    """[out_c rounded up to even], ``input_offset * sum(w)`` included."""


def fold_bias(
    weights: npt.NDArray[np.int8], bias: npt.NDArray[np.int32], input_offset: int
) -> npt.NDArray[np.int32]:
    """Biases for activations taken as stored: ``bias + input_offset * sum(w)``; weights [out_c, ...].

    One zero is appended to an odd number of channels: the kernels load biases in pairs.
    """
    sums = weights.reshape(len(weights), -1).astype(np.int64).sum(axis=1)
    folded = bias.astype(np.int64) + input_offset * sums
    return np.pad(folded, (0, len(folded) % 2)).astype(np.int32)


def misfit(
    weights: npt.NDArray[np.int8],
    bias: npt.NDArray[np.int32],
    input_offset: int,
    shift: npt.NDArray[np.int8],
) -> str | None:
    """Why the DSP kernels cannot compute a layer bit-exactly (a clause), or None when they can.

    weights [out_c, ...], bias and shift [out_c] as in ``ebnn_conv_s8_params_t``.
    """
    flat = weights.reshape(len(weights), -1).astype(np.int64)
    folded = np.abs(bias.astype(np.int64) + input_offset * flat.sum(axis=1))
    reach = folded + 128 * np.abs(flat).sum(axis=1)
    if np.any(reach << np.maximum(shift.astype(np.int64), 0) >= ACCUMULATOR_LIMIT):
        return "an accumulator can reach 2^30"
    if np.any(shift < MIN_SHIFT):
        return f"a requantisation shift is below {MIN_SHIFT}"
    return None


def pack_conv(weights: npt.NDArray[np.int8], bias: npt.NDArray[np.int32], input_offset: int) -> PackedS8:
    """Packs a convolution or dense layer: weights [out_c, kernel_h, kernel_w, in_c] or [out_c, in_c].

    Per pair of output channels (i, j) and step of products (a, b) one word: w_i[a], w_j[a], w_i[b], w_j[b].
    Steps are (0, 2), (1, 3) of every four products; both are padded with zeros.
    """
    out_c = len(weights)
    flat = weights.reshape(out_c, -1)
    k = flat.shape[1]
    padded = np.zeros(((out_c + 1) // 2 * 2, (k + 3) // 4 * 4), np.int8)
    padded[:out_c, :k] = flat
    fours = padded.reshape(-1, 2, padded.shape[1] // 4, 2, 2)  # pair, channel, four, (a, b), step
    packed = fours.transpose(0, 2, 4, 3, 1)  # pair, four, step, (a, b), channel
    return PackedS8(np.ascontiguousarray(packed).reshape(-1), fold_bias(weights, bias, input_offset))


def merged_rows(dims: Mapping[str, int]) -> dict[str, int]:
    """``dims`` of the same convolution with one row fewer dimension where every patch spans whole input rows: a row
    becomes a pixel, whose channels are those of the whole row. Neither input, weights nor output change their order.
    """
    d = dict(dims)
    whole = d["kernel_w"] == d["in_w"] and d["out_w"] == 1 and not d["pad_w"]
    if whole and (d["dilation_w"] == 1 or d["kernel_w"] == 1):
        row = {key: d[f"{key}_h"] for key in ("in", "out", "kernel", "stride", "pad", "dilation")}
        d["in_c"] *= d["in_w"]
        for key, value in row.items():
            d[f"{key}_w"], d[f"{key}_h"] = value, int(key != "pad")
    return d


def conv_scratch(dims: Mapping[str, int]) -> int:
    """Bytes of scratch of ebnn_conv2d_s8__cortex_m4; dims: fields of ebnn_conv_dims_t."""
    return (dims["out_c"] + 1) // 2 * 32 + 9 * _depth(dims)


def depthwise_scratch(dims: Mapping[str, int]) -> int:
    """Bytes of scratch of ebnn_depthwise_conv2d_s8__cortex_m4; dims: fields of ebnn_conv_dims_t."""
    d = dims

    def cost(row: str, column: str) -> int:
        pairs = d[f"stride_{column}"] == 1 and d[f"dilation_{column}"] == 1
        n = d[f"out_{column}"]
        return d[f"out_{row}"] * (4 + ((n + 1) // 2 * 2 if pairs else 3 * n))

    def touched(axis: str) -> int:
        n = (d[f"out_{axis}"] - 1) * d[f"stride_{axis}"]
        return n + (d[f"kernel_{axis}"] - 1) * d[f"dilation_{axis}"] + 1

    row, column = ("w", "h") if cost("w", "h") < cost("h", "w") else ("h", "w")
    taps = d[f"kernel_{column}"] // 2 + 1
    last = (d[f"out_{column}"] - 1) * d[f"stride_{column}"]
    row_words = max(last // 2 + taps, (touched(column) + 1) // 2)
    return 4 * (touched(row) * row_words + 2 * d[f"kernel_{row}"] * taps + d[f"out_{column}"] + 1)


def _depth(d: Mapping[str, int]) -> int:
    return (d["kernel_h"] * d["kernel_w"] * d["in_c"] + 3) // 4 * 4


def dense_cycles(dims: Mapping[str, int]) -> float:
    """Estimated cycles of ebnn_dense_s8__cortex_m4."""
    return (dims["out_c"] + 3) // 4 * (7.6 * _depth(dims) + 230.0) + 200.0


def conv_cycles(dims: Mapping[str, int]) -> float:
    """Estimated cycles of ebnn_conv2d_s8__cortex_m4."""
    k = _depth(dims)
    tiles = (dims["out_h"] * dims["out_w"] + 3) // 4
    pairs = (dims["out_c"] + 1) // 2
    tile = pairs * (8.9 * k + 130.0) + 4 * (4.0 * k + 80.0 + 50.0 * dims["kernel_h"])
    return tiles * tile + 25.0 * dims["out_c"] + 1000.0


def depthwise_cycles(dims: Mapping[str, int]) -> float:
    """Estimated cycles of ebnn_depthwise_conv2d_s8__cortex_m4."""
    d = dims
    unit = d["dilation_h"] == d["dilation_w"] == 1 and max(d["stride_h"], d["stride_w"]) <= 2
    taps = d["kernel_h"] * d["kernel_w"]
    fast = unit and d["kernel_h"] == d["kernel_w"] == 3 and d["stride_h"] == d["stride_w"] == 1
    per_output = 12.0 + (16.0 if fast else (5.0 if unit else 14.0) * taps)
    rows = min(d["out_h"], d["out_w"])
    outputs = d["out_h"] * d["out_w"]
    return d["out_c"] * (
        5.0 * d["in_h"] * d["in_w"] + 20.0 * taps + 150.0 + 75.0 * rows + per_output * outputs
    )
