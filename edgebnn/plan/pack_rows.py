"""Offline packing for the kernels of weight rows: ebnn_bconv_rows_params_t of ebnn_wide.h."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebnn.plan.geometry import WEIGHT_KIND_CODES, pack_bits
from edgebnn.plan.pack_wide import Int, dot_outputs
from edgebnn.plan.types import Params

#: widths of sums that the kernels have instances for
WIDTHS = (8, 10, 12, 14, 16)
#: bytes of the lists of a block of pixels: what stays in the second-level cache beside the rows
BLOCK_BYTES = 96 * 1024

Bools = npt.NDArray[np.bool_]


def _inputs(bits: Bools) -> Bools:
    """(out_c, kh, kw, in_c) -> (out_c, K), every tap filled up to whole words."""
    out_c, _, _, in_c = bits.shape
    padded = np.pad(bits, ((0, 0), (0, 0), (0, 0), (0, -in_c % 32)))
    return padded.reshape(out_c, -1)


def _lanes(rows: Bools, lanes: int) -> npt.NDArray[np.uint32]:
    """(out_c, ...) bits -> [vector][...][lanes / 32], channels that are missing 0."""
    full = np.pad(rows, ((0, -rows.shape[0] % lanes), *[(0, 0)] * (rows.ndim - 1)))
    split = full.reshape(-1, lanes, *rows.shape[1:])
    return pack_bits(np.moveaxis(split, 1, -1).astype(np.uint8))


def _planes(values: Int, width: int, lanes: int) -> npt.NDArray[np.uint32]:
    """(sets, kinds, lanes) numbers, modulo 2^width -> [set][kind][vector][width][lanes / 32]."""
    bits = (values[..., None] >> np.arange(width) & 1).astype(bool)
    sets = [[_lanes(kind, lanes) for kind in one] for one in bits]
    return np.ascontiguousarray(np.array(sets, np.uint32))


def pack_rows(
    codes: npt.NDArray[np.int8],
    kind: str,
    in_bits: int,
    is_b1: bool,
    pad_one: bool,
    dims: Params,
    epilogue: Params,
    lane_bytes: int,
    alone: bool = True,
) -> Params | str:
    """Fields of ebnn_bconv_rows_params_t, or why the layer does not fit. ``codes`` int8 [out_c, kh, kw, in_c],
    binary or ternary; ``in_bits`` 1 or 2, ``is_b1``: the one bit is a sign; ``alone``: there is no second output."""
    binary, lanes = kind == "binary", 8 * lane_bytes
    negative = _inputs(codes < 0)
    channels, k = negative.shape
    if (1 + k) * (lane_bytes // 8) * (1 if binary else 2) > 0xFFFF:
        return f"{codes[0].size} products per output are too many for 16-bit lists"
    top, gain = 2**in_bits - 1, -2 if is_b1 else 1
    nonzero = int((codes != 0).sum(axis=(1, 2, 3)).max())
    most = max(1, nonzero) * top  # of a sum without its sign, and of binary weights' inputs
    missing = (0, -channels % lanes)  # channels
    signs = np.pad(negative.sum(axis=1), missing)
    total = signs if binary else np.pad(codes.sum(axis=(1, 2, 3), dtype=np.int64), missing)  # of all rows
    layer: dict[str, Any] = {
        "dims": dims,
        "epilogue": {**epilogue, "threshold": None},
        "weight_kind": WEIGHT_KIND_CODES[kind],
        "in_bits": in_bits,
        "gain": gain,
        "block_pixels": _block_pixels(k, in_bits, binary),
    }
    found = [
        dot_outputs(codes, in_bits, is_b1, pad_one, dims, e)
        for e in (_levels(epilogue) if alone else [epilogue])
    ]
    for outputs in found:
        if isinstance(outputs, str):
            return outputs
        layer |= {name: outputs[name] for name in ("kinds", "flip", "offset") if name in outputs}
    # the counting kernels' count is top * signs + n - 2 T, or, ternary, top * signs + T
    levels = 0 if "offset" in layer else len(found)
    if levels:
        limits = [
            np.pad(o["threshold"][:, :channels], ((0, 0), missing)) for o in found if not isinstance(o, str)
        ]
        starts = [_start(t.astype(np.int64) - top * signs, most, binary) for t in limits]
        for start in starts:
            start[..., channels:] = 0
        flip = np.unpackbits(layer["flip"].astype("<u4").view(np.uint8), bitorder="little")[:channels]
        layer["flip"] = pack_bits(np.pad(flip ^ (binary == (levels == 1)), missing))
    else:
        starts = [np.full((1 + binary, 1, len(signs)), 0 if binary else most, np.int64)]
        layer["offset"][:, :channels] += (gain * top * signs[:channels]).astype(np.int32)
    largest = most + max(int(start.max()) for start in starts)
    width = next((w for w in WIDTHS if 2**w > largest), None)
    if width is None:
        return f"sums up to {largest} need more than {WIDTHS[-1]} bits"
    steps = [_planes(after - before, width, lanes) for before, after in itertools.pairwise(starts)]
    rows = [negative] if binary else [_inputs(codes > 0), negative]
    layer["weights"] = _lanes(np.stack([np.pad(plane, ((0, 0), (1, 0))) for plane in rows], axis=2), lanes)
    return {
        "layer": layer,
        "start": _planes(np.concatenate([starts[0] + i * total for i in range(top + 1)]), width, lanes),
        "steps": np.stack(steps) if steps else None,
        "least": most + 1 if binary else most + bool(levels) * (most + 1),
        "kinds": starts[0].shape[1],
        "levels": levels,
        "width": width,
        "lane_bytes": lane_bytes,
    }


def _levels(epilogue: Params) -> list[Params]:
    """Epilogues to b1 whose bits are 0 where the output's code is at least 1, 2, 3; the epilogue itself where the
    output is not such a u2."""
    if epilogue["out_dtype"] != 2 or epilogue["combine"] or epilogue["residual"]:
        return [epilogue]
    if epilogue["act_min"] > 0 or epilogue["act_max"] < 3:
        return [epilogue]
    add = epilogue["add"].astype(np.int64)
    return [{**epilogue, "out_dtype": 1, "add": add - (i << epilogue["shift"])} for i in (1, 2, 3)]


def _start(limit: Int, most: int, binary: bool) -> Int:
    """Limits (kinds, lanes) of n - 2 T, or of ternary T, as starts of sums (odd n, kinds, lanes)."""
    if binary:  # n - 2 T >= limit where T + limit / 2 <= n / 2
        return np.stack([(limit + 1) // 2, limit // 2]).clip(-most, most // 2 + 1) + most
    return (2 * most + 1 - limit.clip(-most, most + 1))[None]


def _group_bytes(k: int, in_bits: int, binary: bool) -> int:
    """Bytes of a group's lists."""
    return 2 * (k // 2 + 32 if binary and in_bits == 1 else k + 128) + 60


def _block_pixels(k: int, in_bits: int, binary: bool) -> int:
    """Pixels of a block, whole groups."""
    together = 1 if binary or in_bits == 2 else 3
    return int(min(1000, max(1, BLOCK_BYTES // _group_bytes(k, in_bits, binary)))) * together


def rows_scratch(params: Params) -> int:
    """The kernels' *_get_buffer_size."""
    layer = params["layer"]
    d, bits = layer["dims"], layer["in_bits"]
    words = d["kernel_h"] * d["kernel_w"] * -(-d["in_c"] // 32)
    binary = layer["weight_kind"] == WEIGHT_KIND_CODES["binary"]
    pixels = layer["block_pixels"]
    groups = pixels if binary or bits == 2 else pixels // 3 + 2
    return int(4 * words * (bits * pixels + 1) + groups * _group_bytes(32 * words, bits, binary))
