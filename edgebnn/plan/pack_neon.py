"""Offline packing for the NEON kernels that are not on bit planes. The layouts are those of
``cmsis_kernels/include/ebnn_neon.h``."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgebnn.plan.geometry import (
    DTYPE_CODES,
    LAYOUT_CODES,
    WEIGHT_KIND_CODES,
    bit_count,
    conv_dims,
    epilogue,
    pack_bits,
    weight_planes,
)
from edgebnn.plan.pack_wide import INT32, Int, acc_thresholds, borders
from edgebnn.plan.types import Context, Params

#: bytes of gathered pixels that stay in the first-level cache beside the weights
BLOCK_BYTES = 12288
#: pixels that the s8 convolution gathers at a time, and the low-bit one
PIXELS, LOW_BIT_PIXELS = 16, 2


def _round_up(n: int, unit: int) -> int:
    return -(-n // unit) * unit


def _pad(values: npt.NDArray[Any], n: int, fill: int) -> Int:
    """The last axis filled up to ``n``."""
    out = np.full((*values.shape[:-1], n), fill, np.int64)
    out[..., : values.shape[-1]] = values
    return out


def _count_weights(codes: npt.NDArray[np.int8], kind: str, row: int) -> npt.NDArray[np.uint8]:
    """[group][plane][row / 16][parts][4][16] bytes."""
    planes = weight_planes(codes, kind)  # ternary: nonzero, sign
    if kind == "ternary":
        planes = planes[:, ::-1]
    channels, n = planes.shape[:2]
    octets = np.ascontiguousarray(planes.reshape(channels, n, -1)).astype("<u4").view(np.uint8)
    full = np.zeros((_round_up(channels, 4), n, row), np.uint8)
    full[:channels, :, : octets.shape[2]] = octets
    grouped = full.reshape(-1, 4, n, row // 16, 16)
    order = (0, 3, 2, 1, 4) if kind == "ternary" else (0, 2, 3, 1, 4)
    return np.ascontiguousarray(grouped.transpose(order))


def _offsets(c: Context, dims: Params) -> tuple[Int, npt.NDArray[np.uint8] | None]:
    """(offset (kinds, out_c), kind of each pixel): what D leaves out of the accumulators."""
    codes, kind = c.op.attrs["weights"].astype(np.int64), c.op.attrs["weight_kind"]
    axes = (1, 2, 3)
    if c.inputs[0].dtype != "b1":  # sum w x = bits(x ^ sign) - bits(sign), a bit of the input after the other
        negative = (np.abs(codes).sum(axis=axes) - codes.sum(axis=axes)) // 2
        if kind == "two_plane":  # w = 2 s0 + s1: 3 = 2 + 1 in size for every element
            negative = (3 * codes[0].size - codes.sum(axis=axes)) // 2
        return -(2 ** bit_count(c.inputs[0]) - 1) * negative[None], None
    size = 3 * np.ones_like(codes) if kind == "two_plane" else np.abs(codes)
    total = size.sum(axis=axes)[None]
    if c.op.attrs["pad_one"]:
        return total, None
    kinds = borders(dims)  # a tap outside the image counts as +1
    outside = np.einsum("bhw,ohwi->bo", 1 - kinds.inside.astype(np.int64), codes)
    return total - outside, kinds.of.astype(np.uint8) if kinds.of.any() else None


def pack_count(c: Context) -> Params | str:
    """Fields of ebnn_bconv_neon_params_t, or why the layer does not fit."""
    source, kind = c.inputs[0], c.op.attrs["weight_kind"]
    dims = conv_dims(c.op, source, c.outputs[0])
    row = _round_up(4 * dims["kernel_h"] * dims["kernel_w"] * -(-source.channels // 32), 16)
    offset, kinds = _offsets(c, dims)
    if len(offset) > 255:
        return f"{len(offset)} kinds of border pixels are too many"
    padded = _round_up(dims["out_c"], 32)
    tail = epilogue(c)
    params: dict[str, Any] = {
        "dims": dims,
        "weights": _count_weights(c.op.attrs["weights"], kind, row),
        "epilogue": {**tail, "threshold": None},
        "gain": -2 if source.dtype == "b1" else 1,
        "row": row,
        "block_pixels": max(1, min(64, BLOCK_BYTES // (row * bit_count(source)) // 4)) * 4,
        "in_bits": bit_count(source),
        "weight_kind": WEIGHT_KIND_CODES[kind],
    }
    if kinds is not None:
        params["kinds"] = kinds
    if len(c.outputs) > 1:
        params |= {k: c.op.attrs[k] for k in ("next_mul", "next_add", "next_shift")}
        params["next_dtype"] = DTYPE_CODES[c.outputs[1].dtype]
    found = acc_thresholds(tail) if tail["out_dtype"] == DTYPE_CODES["b1"] else None
    if found is None:
        return {**params, "offset": _pad(offset, padded, 0).astype(np.int32)}
    t, inverted = found
    if source.dtype == "b1":  # offset - 2 D < t where D >= floor((offset - t) / 2) + 1
        limits, flip = (offset - t) // 2 + 1, inverted
    else:  # offset + D < t is not D >= t - offset
        limits, flip = t - offset, ~inverted
    limits = _pad(np.clip(limits, INT32.min, INT32.max), padded, INT32.max)
    return {**params, "threshold": limits.astype(np.int32), "flip": pack_bits(flip.astype(np.uint8))}


def count_scratch(params: Params) -> int:
    """The counting kernel's *_get_buffer_size."""
    return int(params["block_pixels"] * params["in_bits"] * params["row"])


def pack_low_bit(c: Context) -> Params:
    """Fields of ebnn_bconv_s8_neon_params_t."""
    codes, kind = c.op.attrs["weights"], c.op.attrs["weight_kind"]
    gain, minus = {"binary": (2, 1), "ternary": (1, 1), "two_plane": (2, 3)}[kind]
    rows = codes.reshape(codes.shape[0], -1).astype(np.int64)
    row = _round_up(rows.shape[1], 64)
    u = np.zeros((_round_up(rows.shape[0], 4), row), np.uint8)
    u[: rows.shape[0], : rows.shape[1]] = (rows + minus) // gain
    parts = u.reshape(-1, 4, row // 64, 4, 16).transpose(0, 2, 1, 3, 4)  # group, block, channel, part, byte
    shifts = np.array([0, 2, 4, 6], np.uint8)[:, None]
    zero_point = c.inputs[0].zero_point
    return {
        "dims": conv_dims(c.op, c.inputs[0], c.outputs[0]),
        "weights": np.ascontiguousarray(np.bitwise_or.reduce(parts << shifts, axis=3)),
        "offset": _pad(-zero_point * rows.sum(axis=1), len(u), 0).astype(np.int32),
        "epilogue": epilogue(c),
        "gain": gain,
        "minus": minus,
        "zero_point": zero_point,
        "row": row,
    }


def pack_s8(c: Context, out_layout: str) -> Params:
    """Fields of ebnn_conv_s8_neon_params_t of a conv2d or depthwise_conv2d."""
    a, zero_point = c.op.attrs, c.inputs[0].zero_point
    weights = a["weights"]
    channels = c.outputs[0].channels
    padded = _round_up(channels, 8)
    if c.op.type == "conv2d":
        rows = weights.reshape(channels, -1)
        row = _round_up(rows.shape[1], 16)
        full = np.zeros((padded, row), np.int8)
        full[:channels, : rows.shape[1]] = rows
        packed = np.ascontiguousarray(full.reshape(-1, 8, row // 4, 4).transpose(0, 2, 1, 3))
        sums = rows.astype(np.int64).sum(axis=1)
    else:
        packed, row = weights, 0
        sums = weights.reshape(-1, channels).astype(np.int64).sum(axis=0)
    bias = a["bias"].astype(np.int64) - zero_point * sums
    return {
        "dims": conv_dims(c.op, c.inputs[0], c.outputs[0]),
        "weights": packed,
        "bias": _pad(bias, padded, 0).astype(np.int32),
        "multiplier": _pad(a["multiplier"], padded, 0).astype(np.int32),
        "shift": _pad(a["shift"], padded, 0).astype(np.int32),
        "zero_point": zero_point,
        "output_offset": c.outputs[0].zero_point,
        "act_min": a["act_min"],
        "act_max": a["act_max"],
        "row": row,
        "out_layout": LAYOUT_CODES[out_layout],
    }


def depthwise_scratch(params: Params) -> int:
    """The depthwise kernel's *_get_buffer_size."""
    d = params["dims"]
    taps = d["kernel_h"] * d["kernel_w"]
    return int(8 * taps + d["out_c"] * (1 if d["out_c"] == d["in_c"] else taps + 1))
