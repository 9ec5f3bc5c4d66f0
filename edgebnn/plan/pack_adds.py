"""Addends of affine maps in few bytes (ebnn_bconv_lanes_params_t): an addend may take any value that changes no
output, and its low bits are dropped where all channels allow it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Int = npt.NDArray[np.int64]

MOST_INPUTS = 1 << 13
"""Maps with more inputs a channel keep their addends as they are: looking at every input takes too long."""


@dataclass(frozen=True)
class PackedAdds:
    """Addends (channels,) as used, and as stored: [channel][width] bytes of value >> shift, signed, least byte first,
    with zeros behind such that every element can be read as a 32-bit word."""

    values: tuple[Int, ...]
    stored: tuple[npt.NDArray[np.uint8], ...]
    width: int
    shift: int


def free_range(
    mul: Int, add: Int, shift: int, first: Int, last: Int, low: int = -(2**31), high: int = 2**31
) -> tuple[Int, Int]:
    """The least and the largest addend with which clamp((v * mul + addend) >> shift, low, high) is what it is with
    ``add`` for every integer v from first to last; at most 2^shift away from ``add``, and no sum
    exceeds 32 bits.

    mul, add, first, last: (channels,); returns two arrays (channels,).
    """
    least, largest = add.copy(), add.copy()
    for c in np.flatnonzero(last - first < MOST_INPUTS):
        t = np.arange(first[c], last[c] + 1) * mul[c] + add[c]
        room = min(int(t.min()) + 2**31, 2**31 - 1 - int(t.max()), 1 << shift)
        # t falls to the start of its step, from above `high` to the start of that; the clamp takes all below `low`
        below = t - (np.minimum(t >> shift, high) << shift)
        above = ((np.maximum(t >> shift, low) + 1) << shift) - 1 - t
        least[c] -= int(below[t >> shift > low].min(initial=room))
        largest[c] += int(above[t >> shift < high].min(initial=room))
    return least, largest


def pack_adds(ranges: Sequence[tuple[Int, Int]], adds: Sequence[Int]) -> PackedAdds:
    """The fewest bytes in which all ``adds`` (int32 values) can be stored, each within its range of
    :func:`free_range`."""
    for width in (1, 2, 3, 4):
        limit = 1 << (8 * width - 1)
        for shift in range(33 - 8 * width):
            found = []
            for (least, largest), add in zip(ranges, adds, strict=True):
                low, high = -(-least >> shift), largest >> shift
                v = np.clip(add >> shift, low, high)
                if (low > high).any() or (v < -limit).any() or (v >= limit).any():
                    break
                found.append(v)
            else:
                stored = tuple(_bytes(v, width) for v in found)
                return PackedAdds(tuple(v << shift for v in found), stored, width, shift)
    raise ValueError("an addend exceeds 32 bits")


def _bytes(v: Int, width: int) -> npt.NDArray[np.uint8]:
    raw = v.astype("<i4").view(np.uint8).reshape(-1, 4)[:, :width].reshape(-1)
    return np.concatenate([raw, np.zeros(4 - width, np.uint8)])
