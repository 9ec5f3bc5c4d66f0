"""What the packers of the bucketed low-bit kernels share: weight patterns and slots
(pack_lanes.py, pack_bits.py). The layouts are those of ``cmsis_kernels/include/ebnn_planes.h``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Int = npt.NDArray[np.int64]
Params = dict[str, Any]

KINDS = {"binary": 1, "ternary": 2, "two_plane": 3}
NO_WEIGHTS = 5
"""Pattern of a ternary element whose weights are all 0."""


@dataclass(frozen=True)
class Unfit:
    """Why a kernel does not take a layer, as a sentence for reports."""

    reason: str


@dataclass(frozen=True)
class Packed:
    """A kernel's params struct as field values, and its bytes of flash (arrays) and scratch."""

    params: Params
    flash: int
    scratch: int


def sign_planes(codes: npt.NDArray[np.int8], kind: str) -> npt.NDArray[np.int8]:
    """Weight codes (out_c, ...) as planes of signs (planes, K), planes rounded up to groups of 4.

    ternary: w = (s0 + s1) / 2, 0 as (+, -) or (-, +) such that an element and its negation have complementary
    patterns; two_plane: w = 2 * s0 + s1. Unused planes repeat the last one.
    """
    w = codes.reshape(codes.shape[0], -1).astype(np.int8)
    if kind == "binary":
        planes = np.where(w < 0, -1, 1).astype(np.int8)
    else:
        if w.shape[0] % 2:
            w = np.concatenate([w, w[-1:]])
        if kind == "two_plane":
            s0 = np.where(w < 0, -1, 1)
            pairs = np.stack([s0, w - 2 * s0], axis=1)
        else:
            both = w.reshape(-1, 2, w.shape[1])
            lead = np.where(both[:, 0] != 0, both[:, 0], both[:, 1])
            zero = np.where(lead < 0, -1, 1)[:, None]  # the sign of s0 where w is 0
            s0 = np.where(both == 0, zero, both)
            pairs = np.stack([s0, 2 * both - s0], axis=2).reshape(w.shape[0], 2, -1)
        planes = pairs.reshape(-1, w.shape[1]).astype(np.int8)
    if missing := -planes.shape[0] % 4:
        planes = np.concatenate([planes, np.repeat(planes[-1:], missing, axis=0)])
    return planes


def patterns(codes: npt.NDArray[np.int8], kind: str) -> npt.NDArray[np.uint8]:
    """The 4-bit pattern of every group and element (groups, K): bit i is 1 where the sign of plane i is positive."""
    bits = (sign_planes(codes, kind) > 0).reshape(-1, 4, codes[0].size).astype(np.uint8)
    result = bits[:, 0] | bits[:, 1] << 1 | bits[:, 2] << 2 | bits[:, 3] << 3
    return np.asarray(result, np.uint8)


def slots(pattern: npt.NDArray[np.uint8], kind: str) -> npt.NDArray[np.int64]:
    """Slot 2 * class + (1 where positive) of every element; -1 where it has no weights."""
    positive = pattern & 1
    slot = np.where(positive, pattern, 14 - pattern.astype(np.int64)).astype(np.int64)
    return np.where((pattern == NO_WEIGHTS) & (kind == "ternary"), -1, slot)


def pack_nibbles(pattern: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint32]:
    """(groups, K) -> uint32 (groups, ceil(K / 8)), LSB first."""
    groups, k = pattern.shape
    padded = np.zeros((groups, -(-k // 8) * 8), np.uint32)
    padded[:, :k] = pattern
    shifts = 4 * np.arange(8, dtype=np.uint32)
    return np.bitwise_or.reduce(padded.reshape(groups, -1, 8) << shifts, axis=2).astype(np.uint32)


def slot_counts(slot: Int, chunk_k: int) -> Int:
    """Entries of every slot, (groups, chunks, 16)."""
    groups, k = slot.shape
    chunks = -(-k // chunk_k)
    counts = np.zeros((groups, chunks, 16), np.int64)
    for chunk in range(chunks):
        part = slot[:, chunk * chunk_k : (chunk + 1) * chunk_k]
        for s in range(16):
            counts[:, chunk, s] = (part == s).sum(axis=1)
    return counts


def array_bytes(params: Mapping[str, Any]) -> int:
    """Flash of the arrays of a params struct."""
    return sum(v.nbytes for v in params.values() if isinstance(v, np.ndarray))
