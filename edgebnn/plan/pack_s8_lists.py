"""Offline packing of low-bit weights x s8 activations by lists (``ebnn_bconv_s8_params_t``)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

MAX_CLASS = 255
"""Products in one class of a pass: 255 * 128 fits 16 bits, and so does their number 8 bits."""
GROUPS = {"binary": 4, "ternary": 3, "two_plane": 2}
_VALUES = {"binary": (1, -1), "ternary": (0, 1, -1), "two_plane": (1, -1, 3, -3)}


@dataclass(frozen=True)
class PackedLists:
    """Fields of ``ebnn_bconv_s8_params_t`` that the packing decides."""

    lists: npt.NDArray[np.uint8]
    counts: npt.NDArray[np.uint8]
    coefficients: npt.NDArray[np.int8]
    bias: npt.NDArray[np.int32]
    pass_depth: int
    passes: int
    group: int

    @property
    def classes(self) -> int:
        return len(self.coefficients)


def coefficients(kind: str) -> npt.NDArray[np.int8]:
    """[classes, group]: the weight patterns of a group, one of every pair (w, -w), without the zero pattern."""
    patterns = itertools.product(_VALUES[kind], repeat=GROUPS[kind])
    kept = [p for p in patterns if next((w for w in p if w), 0) > 0]
    return np.array(kept, np.int8)


def _classify(codes: npt.NDArray[np.int8], table: npt.NDArray[np.int8]) -> npt.NDArray[np.int64]:
    """codes [group, K] -> per product 1 + class, negative where the class's coefficients are negated, 0 for none."""
    signed: npt.NDArray[np.int64] = np.zeros(codes.shape[1], np.int64)
    for j, pattern in enumerate(table, start=1):
        signed[(pattern == codes.T).all(axis=1)] = j
        signed[(-pattern == codes.T).all(axis=1)] = -j
    return signed


def _close_gaps(minus: list[int], plus: list[int]) -> tuple[list[int], list[int]]:
    """Distances must be below 256: a product added to both runs cancels out and bridges a gap."""
    runs = [sorted(minus), sorted(plus)]
    changed = True
    while changed:
        changed = False
        for run in runs:
            before = 0
            for k in run:
                if k - before > 255:
                    for r in runs:
                        r.append(before + 255)
                        r.sort()
                    changed = True
                    break
                before = k
            if changed:
                break
    return runs[0], runs[1]


def _fillers(last: npt.NDArray[np.int8], n: int, value: int) -> npt.NDArray[np.int8]:
    """n channels that complete the last group: ``value``, or the last channel's codes in other parts of it, which
    spreads the products over more classes without adding any."""
    part = np.arange(len(last)) * 8 // len(last)
    return np.array([np.where(part >> i & 1, last, value) for i in range(n)], np.int8).reshape(n, len(last))


def pack_lists(
    codes: npt.NDArray[np.int8], kind: str, input_offset: int, most_passes: int = 16
) -> PackedLists | str:
    """Packs weight codes [out_c, kernel_h, kernel_w, in_c] of ``kind`` "binary", "ternary" or "two_plane".

    Returns a reason (a clause) when they cannot be packed.
    """
    group, table = GROUPS[kind], coefficients(kind)
    flat = codes.reshape(len(codes), -1)
    depth = flat.shape[1]
    padded = np.concatenate([flat, _fillers(flat[-1], -len(flat) % group, _VALUES[kind][0])])
    signed = [_classify(g, table) for g in padded.reshape(-1, group, depth)]
    bias = (input_offset * flat.astype(np.int64).sum(axis=1)).astype(np.int32)
    for passes in range(1, most_passes + 1):
        pass_depth = -(-depth // passes)
        lists: list[int] = []
        counts: list[int] = []
        for products in signed:
            for start in range(0, pass_depth * passes, pass_depth):
                part = products[start : start + pass_depth]
                for j in range(1, len(table) + 1):
                    runs = _close_gaps(np.nonzero(part == -j)[0].tolist(), np.nonzero(part == j)[0].tolist())
                    for run in runs:
                        lists += np.diff(run, prepend=0).tolist() if run else []
                        counts.append(len(run))
        pairs = np.array(counts, np.int64).reshape(-1, 2)
        if int(pairs.sum(axis=1).max(initial=0)) <= MAX_CLASS:
            return PackedLists(
                np.array(lists or [0], np.uint8),
                np.array(counts, np.uint8),
                table,
                bias,
                pass_depth,
                passes,
                group,
            )
    return "a class holds more products than the lists can number"


def scratch(dims: Mapping[str, int], classes: int) -> int:
    """Bytes of scratch of ebnn_bconv2d_s8_lists__cortex_m4; dims: fields of ebnn_conv_dims_t."""
    return 16 * dims["kernel_h"] * dims["kernel_w"] * dims["in_c"] + 32 * classes + 256


def cycles(dims: Mapping[str, int], packed: PackedLists) -> float:
    """Estimated cycles of ebnn_bconv2d_s8_lists__cortex_m4."""
    blocks = -(-dims["out_h"] * dims["out_w"] // 16)
    groups = -(-dims["out_c"] // packed.group)
    nonzero = np.count_nonzero(packed.coefficients) * packed.passes
    runs = len(packed.counts)
    per_block = 17.6 * len(packed.lists) + 45.0 * runs + groups * 75.0 * nonzero + 260.0 * dims["out_c"]
    gather = (
        28.0 * dims["kernel_h"] * dims["kernel_w"] * dims["in_c"]
        + 500.0 * dims["kernel_h"] * dims["kernel_w"]
    )
    return blocks * (per_block + gather)
