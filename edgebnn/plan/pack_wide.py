"""Offline packing for the wide bit-plane kernels: class lists, thresholds, borders. The layout is that of
``cmsis_kernels/include/ebnn_wide.h``; patterns and classes are those of the Cortex-M kernels (pack_planes.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebnn.plan.geometry import WEIGHT_KIND_CODES, pack_bits
from edgebnn.plan.pack_planes import patterns, slots
from edgebnn.plan.types import Params

Int = npt.NDArray[np.int64]

#: widths of class sums that the kernels have instances for
WIDTHS = (4, 5, 6, 7, 8, 9, 10, 12, 14, 18)
#: the same by the channels of a group of ternary ones
TERNARY_WIDTHS = {2: (4, 5, 6, 7, 8), 3: (6, 7, 8, 9, 10, 12)}
RUN = 8
INT32 = np.iinfo(np.int32)


@dataclass(frozen=True)
class Lane:
    """What the lists depend on: bytes of a lane, and bytes that a list entry counts in."""

    bytes: int
    unit: int
    ternary: bool = False  # whether the kernels take groups of two and three ternary channels as they are
    pairs: bool = False  # whether the planes of two bits of an activation lie side by side

    @property
    def pixels(self) -> int:
        """Output pixels of a block."""
        return 8 * self.bytes

    def step(self, in_bits: int) -> int:
        """Planes from an element's to the next one's in an area of ``in_bits`` activations."""
        return 2 if self.pairs and in_bits > 1 else 1


def class_counts(codes: npt.NDArray[np.int8], kind: str) -> tuple[Int, Int]:
    """(slots (groups, K), entries of each slot (groups, 16)); slot 2 * class + (1 where positive), -1 no weights."""
    slot = slots(patterns(codes, kind), kind)
    counts = np.stack([(slot == s).sum(axis=1) for s in range(16)], axis=1)
    return slot, counts


def ternary_counts(codes: npt.NDArray[np.int8], group: int) -> tuple[Int, Int]:
    """The same for groups of ternary channels: with three, a, b, c, class 9 a + 3 b + c - 1 of 13; with two 3 a + b - 1
    of 4."""
    rows = codes.reshape(codes.shape[0], -1).astype(np.int64)
    rows = np.pad(rows, ((0, -rows.shape[0] % group), (0, 0))).reshape(-1, group, rows.shape[1])
    number = np.einsum("gck,c->gk", rows, 3 ** np.arange(group)[::-1])
    slot = np.where(number == 0, -1, 2 * (np.abs(number) - 1) + (number > 0))
    return slot, np.stack([(slot == s).sum(axis=1) for s in range(3**group - 1)], axis=1)


def class_widths(counts: Int, code_max: int, widths: tuple[int, ...] = WIDTHS) -> Int:
    """Bits of the signed class sums of each group, 0 where there is no instance for them."""
    low, high = (counts[:, 0::2] * code_max).max(axis=1), (counts[:, 1::2] * code_max).max(axis=1)
    pairs = zip(low, high, strict=True)
    bits = [max(int(h).bit_length(), int(n - 1).bit_length() if n else 0) + 1 for n, h in pairs]
    return np.array([next((w for w in widths if w >= b), 0) for b in bits], np.int64)


def _lists(slot: Int, counts: Int, scale: int) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint16]]:
    """(lists, batches of 8): each slot's planes, ``scale`` units apart, filled up with the zero plane."""
    batches = -(-counts // RUN)
    parts = []
    for row, count, runs in zip(slot, counts, batches, strict=True):
        order = np.argsort(row, kind="stable")
        order = order[row[order] >= 0]
        start = 0
        for n, m in zip(count, runs, strict=True):
            entries = np.zeros(RUN * m, np.int64)
            entries[:n] = (order[start : start + n] + 1) * scale
            parts.append(entries)
            start += n
    return np.concatenate(parts).astype(np.uint16), batches.astype(np.uint16)


@dataclass(frozen=True)
class Borders:
    """Kinds of output pixels by the taps that lie inside the image. ``inside``: (kinds, kh, kw) bool, kind 0 first;
    ``of``: kind of each output pixel."""

    inside: npt.NDArray[np.bool_]
    of: Int


def borders(dims: Mapping[str, int]) -> Borders:
    """The kinds of a convolution's pixels; kind 0 is the most frequent."""

    def axis(out: int, size: int, kernel: int, stride: int, pad: int, dilation: int) -> npt.NDArray[np.bool_]:
        at = np.arange(out)[:, None] * stride + np.arange(kernel) * dilation - pad
        return np.asarray((at >= 0) & (at < size))

    keys = (("h", "h"), ("w", "w"))
    rows, cols = (
        axis(
            dims[f"out_{a}"],
            dims[f"in_{a}"],
            dims[f"kernel_{a}"],
            dims[f"stride_{a}"],
            dims[f"pad_{a}"],
            dims[f"dilation_{a}"],
        )
        for a, _ in keys
    )
    row_kinds, row_of = np.unique(rows, axis=0, return_inverse=True)
    col_kinds, col_of = np.unique(cols, axis=0, return_inverse=True)
    kind = (row_of.reshape(-1, 1) * len(col_kinds) + col_of.reshape(1, -1)).ravel()
    inside = (row_kinds[:, None, :, None] & col_kinds[None, :, None, :]).reshape(
        -1, rows.shape[1], cols.shape[1]
    )
    order = np.argsort(-np.bincount(kind, minlength=len(inside)), kind="stable")
    number = np.empty(len(order), np.int64)
    number[order] = np.arange(len(order))
    return Borders(inside[order], number[kind])


def _border_masks(of: Int, lane: Lane) -> Params:
    """border_masks, border_ids and border_starts; nothing where every pixel is of kind 0."""
    if not of.any():
        return {}
    masks, ids, starts = [], [], [0]
    for first in range(0, len(of), lane.pixels):
        block = np.zeros(lane.pixels, np.int64)
        part = of[first : first + lane.pixels]
        block[: len(part)] = part
        for kind in np.unique(block[block > 0]):
            bits = np.packbits((block == kind).astype(np.uint8), bitorder="little")
            masks.append(bits.view("<u4").astype(np.uint32))
            ids.append(int(kind))
        starts.append(len(ids))
    return {
        "border_masks": np.concatenate(masks) if masks else np.zeros(1, np.uint32),
        "border_ids": np.array(ids or [0], np.uint8),
        "border_starts": np.array(starts, np.uint16),
    }


def acc_thresholds(epilogue: Params) -> tuple[Int, npt.NDArray[np.bool_]] | None:
    """A b1 epilogue as (threshold, inverted): bit = (acc < threshold) ^ inverted, per channel; None where the map is
    not monotone."""
    if epilogue["threshold"] is not None:
        t = epilogue["threshold"].astype(np.int64)
        return t, np.zeros(len(t), bool)
    if epilogue["combine"]:
        return None
    mul, add = epilogue["mul"].astype(np.int64), epilogue["add"].astype(np.int64)
    safe = np.where(mul == 0, 1, mul)
    rising = -(add // safe)  # acc * mul + add < 0 where acc < ceil(-add / mul)
    falling = (-add) // safe + 1  # mul < 0: where acc > floor(-add / mul)
    constant = np.where(add < 0, INT32.max, INT32.min)
    return np.where(mul > 0, rising, np.where(mul < 0, falling, constant)), mul < 0


def _threshold_masks(t: Int, bits: int) -> npt.NDArray[np.uint32]:
    """(kinds, channels) -> [kind][channel][bits] 0 or ~0: the complement of T's bits, the sign bit as it is."""
    t = np.clip(t, -(1 << (bits - 1)), (1 << (bits - 1)) - 1)
    set_ = (t[..., None] >> np.arange(bits)) & 1
    set_[..., :-1] ^= 1
    return (set_.astype(np.uint32) * np.uint32(0xFFFFFFFF)).astype(np.uint32)


def _thresholds(epilogue: Params, offset: Int, gain: int, bits: int) -> Params | None:
    """threshold, flip and threshold_bits: bit = (D >= T) ^ flip."""
    found = acc_thresholds(epilogue)
    if found is None:
        return None
    t, inverted = found
    if gain < 0:  # acc = offset - 2 D < t where D >= floor((offset - t) / 2) + 1
        t, flip = (offset - t) // 2 + 1, inverted
    else:  # acc = D < t is not D >= t
        t, flip = np.broadcast_to(t, offset.shape), ~inverted
    return {
        "threshold": _threshold_masks(np.asarray(t), bits),
        "flip": flip.astype(np.uint32) * np.uint32(0xFFFFFFFF),
        "threshold_bits": bits,
    }


def pack_wide(
    codes: npt.NDArray[np.int8],
    kind: str,
    in_bits: int,
    is_b1: bool,
    pad_one: bool,
    dims: Params,
    epilogue: Params,
    lane: Lane,
    ternary: int = 0,
) -> Params | str:
    """Fields of ebnn_bconv_wide_params_t except out_layout and next_*, or why the layer does not fit. ``codes`` int8
    [out_c, kh, kw, in_c] of ``kind``; ``in_bits`` 1..4, ``is_b1``: the one bit is a sign; ``ternary``: channels of a
    group of ternary ones, 2 or 3, 0: their signs in groups of four."""
    elements = codes[0].size
    scale = lane.step(in_bits) * lane.bytes // lane.unit
    if elements * scale > 0xFFFF:
        return f"{elements} products per output are too many for 16-bit lists"
    slot, counts = ternary_counts(codes, ternary) if ternary else class_counts(codes, kind)
    instances = TERNARY_WIDTHS.get(ternary, WIDTHS)
    widths = class_widths(counts, 2**in_bits - 1, instances)
    if not widths.all():
        return f"a class sum needs more than {instances[-1]} bits"
    lists, batches = _lists(slot, counts, scale)
    params: dict[str, Any] = {
        "dims": dims,
        "lists": lists if lists.size else np.zeros(8, np.uint16),
        "batches": batches,
        "widths": widths.astype(np.uint8),
        "epilogue": {**epilogue, "threshold": None},
        "gain": -2 if is_b1 else 1,
        "groups": len(widths),
        "in_bits": in_bits,
        "weight_kind": WEIGHT_KIND_CODES[kind],
        "lane_bytes": lane.bytes,
        "classes": {2: 4, 3: 13}.get(ternary, 8),
    }
    total = codes.astype(np.int64).sum(axis=(1, 2, 3))
    offset = (total if is_b1 else np.zeros_like(total))[None]
    if is_b1 and not pad_one:
        kinds = borders(dims)
        offset = np.einsum("bhw,ohwi->bo", kinds.inside.astype(np.int64), codes.astype(np.int64))
        if len(offset) > 255:
            return f"{len(offset)} kinds of border pixels are too many"
        params |= _border_masks(kinds.of, lane)
    extra = 5 if kind == "two_plane" else {2: 2, 3: 4}.get(ternary, 3)
    if epilogue["out_dtype"] == 1:
        found = _thresholds(epilogue, offset, params["gain"], int(widths.max()) + extra + 1)
        if found is not None:
            return {**params, **found}
    return {**params, "offset": offset.astype(np.int32)}


def wide_scratch(params: Params, lane: Lane) -> int:
    """The kernels' *_get_buffer_size."""
    d, pixels, bits = params["dims"], lane.pixels, params["in_bits"]
    rows = [ky * d["dilation_h"] - d["pad_h"] for ky in range(d["kernel_h"])]
    whole = [v // d["stride_h"] for v in rows]
    phases = len({v % d["stride_h"] for v in rows})
    low, high = min(0, *whole), max(0, *whole)
    blocks = -(-d["out_h"] * d["out_w"] // pixels)
    front = (-low * d["out_w"] + 63) // 64
    content = (min(d["in_h"], d["out_h"] + high) * d["out_w"] + 63) // 64 + pixels // 64 - 1
    grid = front + max((blocks * pixels + high * d["out_w"]) // 64 + 2, content)
    reach = max(d["kernel_w"] * d["dilation_w"], d["pad_w"])
    margin = (reach + d["stride_w"] * d["out_w"]) // 64 + 2
    copy = (d["in_h"] * d["in_w"] + 63) // 64 + 2 * margin + pixels // 64
    grids = grid * d["in_c"] * d["kernel_w"] * phases * bits
    elements = d["kernel_h"] * d["kernel_w"] * d["in_c"]
    step = lane.step(bits)
    planes = (-(-bits // step) * step * (elements + 1) + 1) * lane.bytes
    return int(8 * (copy + grid * d["kernel_w"] + grids) + planes)


#: output channels of a vector of the lookup kernel
LUT_LANES = 32
#: the largest count of an output: 16 bits
LUT_COUNT = 0xFFFF

#: words of a pixel block of the counting kernels: what stays in the first-level cache beside the weights
DOT_BLOCK_WORDS = 3072


def pack_dot(
    codes: npt.NDArray[np.int8],
    kind: str,
    in_bits: int,
    is_b1: bool,
    pad_one: bool,
    dims: Params,
    epilogue: Params,
    lanes: int,
    tile: int,
) -> Params | str:
    """Fields of ebnn_bconv_dot_params_t, or why the layer does not fit. ``codes`` int8 [out_c, kh, kw, in_c], binary or
    ternary; ``in_bits`` 1..4, ``is_b1``: the one bit is a sign; ``lanes``: output channels of a vector; ``tile``:
    blocks are multiples of so many pixels."""
    channels = codes.shape[0]
    if lanes == LUT_LANES and codes[0].size * (2**in_bits - 1) > LUT_COUNT:
        return f"{codes[0].size} products per output are too many for 16-bit counts"
    padded = -(-channels // 32) * 32
    planes = [codes < 0] if kind == "binary" else [codes < 0, codes != 0]
    words = np.stack([pack_bits(plane.astype(np.uint8)) for plane in planes], axis=-1)
    words = words.reshape(channels, -1, len(planes))  # [out_c][kh, kw, words][plane]
    full = np.zeros((padded, *words.shape[1:]), np.uint32)
    full[:channels] = words
    if lanes == LUT_LANES:
        octets = full[..., 0].astype("<u4").view(np.uint8).reshape(padded // lanes, lanes, -1)
        halves = np.stack([octets & 15, octets >> 4], axis=-1).transpose(0, 2, 3, 1)  # byte, half, channel
        weights = np.ascontiguousarray(halves).view("<u4").astype(np.uint32)
    else:
        weights = full.reshape(padded // lanes, lanes, *words.shape[1:]).transpose(0, 2, 3, 1)
    params: dict[str, Any] = {
        "dims": dims,
        "weights": np.ascontiguousarray(weights),
        "epilogue": {**epilogue, "threshold": None},
        "weight_kind": WEIGHT_KIND_CODES[kind],
        "lanes": lanes,
        "block_pixels": max(1, min(250 // tile, DOT_BLOCK_WORDS // (words.shape[1] * in_bits) // tile))
        * tile,
        "in_bits": in_bits,
        "gain": -2 if is_b1 else 1,
    }
    outputs = dot_outputs(codes, in_bits, is_b1, pad_one, dims, epilogue)
    return outputs if isinstance(outputs, str) else {**params, **outputs}


def dot_outputs(
    codes: npt.NDArray[np.int8], in_bits: int, is_b1: bool, pad_one: bool, dims: Params, epilogue: Params
) -> Params | str:
    """threshold and flip, or offset, and kinds of ebnn_bconv_dot_params_t, or why there are none; arguments as
    pack_dot's."""
    padded = -(-codes.shape[0] // 32) * 32
    params: dict[str, Any] = {}
    wide = codes.astype(np.int64)
    negative = (wide < 0).astype(np.int64)
    if is_b1:
        inside = np.ones((1, *codes.shape[1:3]), np.int64)
        if not pad_one:
            kinds = borders(dims)
            inside = kinds.inside.astype(np.int64)
            if len(inside) > 256:
                return f"{len(inside)} kinds of border pixels are too many"
            if kinds.of.any():
                params["kinds"] = kinds.of.astype(np.uint8)
        # taps outside count their negative weights: acc = (taps inside) + 2 * (negative outside) - 2 * count
        offset = np.einsum("bhw,ohwi->bo", inside, (wide != 0).astype(np.int64))
        offset += 2 * np.einsum("bhw,ohwi->bo", 1 - inside, negative)
    else:  # sum of w * bit = bits of (bit ^ negative) - negative weights, 0 outside too
        offset = -((1 << in_bits) - 1) * negative.sum(axis=(1, 2, 3))[None]
    found = acc_thresholds(epilogue) if epilogue["out_dtype"] == 1 else None
    if found is None:
        return {**params, "offset": _pad(offset, padded, 0).astype(np.int32)}
    t, inverted = found
    if is_b1:  # acc < t where count >= floor((offset - t) / 2) + 1
        limits, flip = (offset - t) // 2 + 1, inverted
    else:  # acc < t is not count >= t - offset
        limits, flip = t - offset, ~inverted
    limits = np.clip(limits, INT32.min, INT32.max)
    return {
        **params,
        "threshold": _pad(limits, padded, INT32.max).astype(np.int32),
        "flip": pack_bits(flip.astype(np.uint8)),
    }


def _pad(values: Int, n: int, fill: int) -> Int:
    out = np.full((values.shape[0], n), fill, np.int64)
    out[:, : values.shape[1]] = values
    return out


def dot_scratch(params: Params) -> int:
    """The counting kernels' *_get_buffer_size."""
    d = params["dims"]
    words = d["kernel_h"] * d["kernel_w"] * -(-d["in_c"] // 32)
    return int(4 * params["block_pixels"] * params["in_bits"] * words)
