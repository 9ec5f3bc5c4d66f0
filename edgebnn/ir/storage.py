"""Arrays of codes <-> stored bytes (SPEC.md section 3)."""

from __future__ import annotations

import numpy as np

from edgebnn.ir.types import DTYPE_BITS, TensorType


def _pack_words(bits: np.ndarray) -> np.ndarray:
    """(..., n) of 0/1 -> (..., ceil(n / 32)) little-endian words, LSB first, unused bits 0."""
    n = bits.shape[-1]
    padded = np.zeros((*bits.shape[:-1], -(-n // 32) * 32), np.uint8)
    padded[..., :n] = bits
    return np.packbits(padded, axis=-1, bitorder="little").view("<u4")


def _unpack_words(words: np.ndarray, n: int) -> np.ndarray:
    return np.unpackbits(np.ascontiguousarray(words).view(np.uint8), axis=-1, bitorder="little")[..., :n]


def to_bytes(values: np.ndarray, tensor: TensorType) -> bytes:
    """Stored bytes of codes (H, W, C)."""
    values = np.asarray(values).reshape(tensor.shape)
    if not tensor.is_bits:
        dtype = "<i1" if tensor.dtype == "s8" else "<i4"
        if tensor.layout == "chw":
            flat = values.reshape(-1, tensor.channels).T
            padded = np.zeros((tensor.channels, -(-tensor.pixels // 4) * 4), dtype)
            padded[:, : tensor.pixels] = flat
            return padded.tobytes()
        return values.astype(dtype).tobytes()
    codes = (values < 0).astype(np.uint8) if tensor.dtype == "b1" else values.astype(np.uint8)
    if tensor.layout == "nibbles":
        padded = np.zeros((tensor.channels, -(-tensor.pixels // 8) * 8), np.uint8)
        padded[:, : tensor.pixels] = codes.reshape(-1, tensor.channels).T
        return (padded[:, 0::2] | (padded[:, 1::2] << 4)).tobytes()
    planes = [(codes >> b) & 1 for b in range(DTYPE_BITS[tensor.dtype])]
    if tensor.layout == "planes":
        return b"".join(_pack_words(p.reshape(-1, tensor.channels).T).tobytes() for p in planes)
    return np.stack([_pack_words(p) for p in planes], axis=2).tobytes()


def from_bytes(data: bytes, tensor: TensorType) -> np.ndarray:
    """Codes int64 (H, W, C) of stored bytes."""
    h, w, c = tensor.shape
    if not tensor.is_bits:
        raw = np.frombuffer(data, "<i1" if tensor.dtype == "s8" else "<i4").astype(np.int64)
        if tensor.layout == "chw":
            return raw.reshape(c, -1)[:, : h * w].T.reshape(h, w, c)
        return raw.reshape(h, w, c)
    bits = DTYPE_BITS[tensor.dtype]
    if tensor.layout == "nibbles":
        pairs = np.frombuffer(data, np.uint8).reshape(c, -1).astype(np.int64)
        codes = np.stack([pairs & 15, pairs >> 4], axis=2).reshape(c, -1)[:, : h * w].T.reshape(h, w, c)
        return 1 - 2 * codes if tensor.dtype == "b1" else codes
    words = np.frombuffer(data, "<u4")
    if tensor.layout == "planes":
        planes = _unpack_words(words.reshape(bits, c, -1), h * w).transpose(2, 1, 0).reshape(h, w, c, bits)
    else:
        planes = _unpack_words(words.reshape(h, w, bits, -1), c).transpose(0, 1, 3, 2)
    codes = (planes.astype(np.int64) << np.arange(bits)).sum(-1)
    return 1 - 2 * codes if tensor.dtype == "b1" else codes
