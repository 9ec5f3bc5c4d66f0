"""Offline packing for the dense kernels on channel lanes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebnn.plan.geometry import WEIGHT_KIND_CODES, params_bytes
from edgebnn.plan.pack_bits import BITS_WIDTHS, bit_words, bits_threshold
from edgebnn.plan.pack_planes import (
    Packed,
    Params,
    Unfit,
    array_bytes,
)


def _rows(negative: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint32]:
    """Sign bits (out_c, h, w, in_c) as rows of the inputs: [ceil(out_c / 64)][K + 1][2], K with padding bits."""
    out_c, h, w, in_c = negative.shape
    rows = np.zeros((h * w, -(-in_c // 32) * 32, -(-out_c // 64) * 64), bool)
    rows[:, :in_c, :out_c] = negative.transpose(1, 2, 3, 0).reshape(-1, in_c, out_c)
    flat = np.concatenate([rows.reshape(-1, rows.shape[2]), np.zeros((1, rows.shape[2]), bool)])
    return np.ascontiguousarray(bit_words(flat).reshape(len(flat), -1, 2).transpose(1, 0, 2))


def pack_dense_sums(
    codes: npt.NDArray[np.int8], kind: str, in_bits: int, epilogue: Mapping[str, Any]
) -> Packed | Unfit:
    """Parameters of ``ebnn_bdense_sums__*``: weights (out_c, kh, kw, in_c) whose kernel covers the whole NHWC input
    of ``in_bits`` bits a code."""
    out_c, h, w, in_c = codes.shape
    pixel_words = -(-in_c // 32)
    words, k = h * w * pixel_words, codes[0].size
    bits = next((b for b in BITS_WIDTHS if 2**b > k // 2), None)
    if 256 * words + 8 > 65535 or bits is None:
        return Unfit(f"K = {k} exceeds 16-bit offsets")
    signs = {
        "binary": (codes < 0,),
        "ternary": (codes < 0, codes <= 0),  # w = (a + b) / 2, zeros are 1 - 1
        "two_plane": (codes < 0, (codes == 1) | (codes == -3)),
    }[kind]
    params: Params = {
        "weights": np.stack([_rows(s) for s in signs]),
        "totals": codes.reshape(out_c, -1).sum(axis=1, dtype=np.int32),
        "tail_mask": 2 ** (in_c - 32 * (pixel_words - 1)) - 1,
        "inputs": k,
        "outputs": out_c,
        "pixels": h * w,
        "words_per_pixel": pixel_words,
        "in_bits": in_bits,
        "weight_kind": WEIGHT_KIND_CODES[kind],
        "bits": bits,
        "epilogue": epilogue,
    }
    return Packed(params, params_bytes(params), 128 * -(-out_c // 32) + 68 * words + 4)


def pack_dense_bits(codes: npt.NDArray[np.int8], kind: str, epilogue: Mapping[str, Any]) -> Packed | Unfit:
    """Parameters of ``ebnn_bdense_bits__*``: binary weights (out_c, kh, kw, in_c) whose kernel covers the whole NHWC
    b1 input; b1 NHWC out."""
    out_c, in_c, k = codes.shape[0], codes.shape[3], codes[0].size
    if kind != "binary" or epilogue["out_dtype"] != 1:
        return Unfit("it takes binary weights and gives b1")
    pixel_words = -(-in_c // 32)
    words = codes.shape[1] * codes.shape[2] * pixel_words
    if 256 * words + 8 > 65535:
        return Unfit(f"K = {k} exceeds 16-bit offsets")
    w = codes.reshape(out_c, -1).astype(np.int64)
    threshold = bits_threshold(epilogue, np.full(out_c, k))
    if isinstance(threshold, Unfit):
        return threshold
    bits = next((b for b in BITS_WIDTHS if 2**b > 3 * k // 4 + 2), None)
    if bits is None:
        return Unfit("its sums need more than 12 bits")
    threshold = np.clip(threshold, -k - 1, k + 1)
    # acc < threshold, the -1 inputs summed: 2 S < ceil((threshold - sum w) / 2) + n; the +1 inputs:
    # 2 S >= n + floor(-(threshold + sum w) / 2) + 1; both sides shifted by (number of inputs) - n
    total = w.sum(axis=1)
    limits = np.stack([-((total - threshold) // 2), -(threshold + total) // 2 + 1]) + k
    limits = np.clip(limits, 0, 2 ** (bits + 1) - 1)
    lanes = np.zeros((2, -(-out_c // 32) * 32), np.int64)
    lanes[:, :out_c] = limits
    planes = (lanes[:, None, :] >> np.arange(bits + 1)[None, :, None]) & 1
    packed = bit_words(planes.reshape(-1, lanes.shape[1]).astype(bool)).reshape(2, bits + 1, -1)
    params: Params = {
        "weights": _rows(codes < 0),
        "limits": np.ascontiguousarray(packed.transpose(0, 2, 1)),
        "tail_mask": 2 ** (in_c - 32 * (pixel_words - 1)) - 1,
        "words": words,
        "words_per_pixel": pixel_words,
        "out_c": out_c,
        "start": k,
        "bits": bits,
    }
    return Packed(params, array_bytes(params), 68 * words + 4)
