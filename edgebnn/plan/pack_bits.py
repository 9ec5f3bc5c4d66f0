"""Offline packing for the bits kernels (b1 in and out, bit planes). The layouts are those of
``cmsis_kernels/include/ebnn_planes.h``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebnn.plan.pack_lanes import reads_past
from edgebnn.plan.pack_planes import (
    Int,
    Packed,
    Params,
    Unfit,
    array_bytes,
    pack_nibbles,
    patterns,
    slot_counts,
    slots,
)

BITS_WIDTHS = (7, 9, 12)
"""Bits of the sums that kernels take."""
MOST_BORDERS = 64
BORDER_WORDS = 60
"""EBNN_BITS_BORDER of bits.h."""
LEAST_BITS = 6
"""Bits of the smallest class sums, of the kernels that take them."""
BITS_MOST = 13
_SIGNS = np.array([[-1 if bin(~j & u).count("1") % 2 else 1 for j in range(8)] for u in range(8)])


def _reach(acc_at_one: Int, threshold: Int, k: int) -> Int:
    """t such that bit = (T >= t), T = sum of w * x over bits x, from bit = (acc < threshold), acc = sum w - 2 T."""
    return np.clip((acc_at_one - threshold) // 2 + 1, -(k + 1), k + 1)


def bits_threshold(epilogue: Mapping[str, Any], reach: Int) -> Int | Unfit:
    """The integer threshold of every channel: bit = acc < threshold."""
    if epilogue.get("threshold") is not None:
        return np.asarray(epilogue["threshold"], np.int64)
    if epilogue.get("mul") is None or epilogue.get("combine"):
        return Unfit("its output is not one threshold a channel")
    mul, add = np.asarray(epilogue["mul"], np.int64), np.asarray(epilogue["add"], np.int64)
    if (mul < 0).any():
        return Unfit("a channel's gain is negative")
    always = np.where(add < 0, reach + 1, -reach - 1)
    return np.where(
        mul > 0, -(add // np.maximum(mul, 1)), always
    )  # acc * mul + add < 0: acc < ceil(-add / mul)


def _stretches(dims: Mapping[str, int], axis: str) -> list[tuple[int, int, tuple[int, ...]]]:
    """Rows (axis "h") or columns ("w") of the output with the same taps outside the image: first, behind, taps."""
    found: list[tuple[int, int, tuple[int, ...]]] = []
    for at in range(dims[f"out_{axis}"]):
        start = at * dims[f"stride_{axis}"] - dims[f"pad_{axis}"]
        places = [start + i * dims[f"dilation_{axis}"] for i in range(dims[f"kernel_{axis}"])]
        taps = tuple(i for i, place in enumerate(places) if not 0 <= place < dims[f"in_{axis}"])
        if found and found[-1][2] == taps:
            found[-1] = (found[-1][0], at + 1, taps)
        else:
            found.append((at, at + 1, taps))
    return found


def border_weights(
    codes: npt.NDArray[np.int8], dims: Mapping[str, int]
) -> tuple[npt.NDArray[np.uint16], Int]:
    """Rectangles of output pixels with the same taps outside the image (n, 4): first row, row behind, first column,
    column behind; and for each the sum of the weights (out_c, kh, kw, in_c) outside: (n, out_c)."""
    w = codes.astype(np.int64).sum(axis=3)
    rectangles, sums = [], []
    for y0, y1, rows in _stretches(dims, "h"):
        for x0, x1, columns in _stretches(dims, "w"):
            inside = np.delete(np.delete(w, rows, axis=1), columns, axis=2)
            rectangles.append((y0, y1, x0, x1))
            sums.append(w.sum(axis=(1, 2)) - inside.sum(axis=(1, 2)))
    return np.array(rectangles, np.uint16), np.array(sums, np.int64)


_FIXED, _FREE = [0, 1, 2, 4], [3, 5, 6, 7]


def _grid(most: int) -> Int:
    """The eight sums of d for all 4-tuples of -most .. most in the free signed sums: (8, n)."""
    tuples = np.meshgrid(*[np.arange(-most, most + 1)] * 4, indexing="ij")
    return np.asarray(_SIGNS[_FREE].T @ np.stack(tuples).reshape(4, -1))


_COARSE, _FINE = _grid(4), _grid(6)


def _solve_starts(total: int, rest: Int, caps: Int) -> Int | None:
    """Integers 0 <= d_j <= caps_j, j = 0 .. 7, with sum d_j = total and sum +-d_j = rest_i (+ where bit i of j is 1).

    The eight sums of d with the signs of all products of the three bits determine d; four are given, four are free:
    they are searched on a coarse grid for the d that is furthest inside its bounds, then around it for integers.
    """
    best = np.array([total, *rest]) @ _SIGNS[_FIXED]  # 8 d
    width = max(1, total // 4)
    for step in (width, max(1, width // 4)):
        d = best[:, None] + step * _COARSE
        best = d[:, np.argmax(np.minimum(d, (8 * caps)[:, None] - d).min(axis=0))]
    d = best[:, None] + _FINE
    d = d[:, np.bitwise_or.reduce(d, axis=0) & 7 == 0] // 8
    d = d[:, (d >= 0).all(axis=0) & (d <= caps[:, None]).all(axis=0)]
    if not d.size:
        return None
    return np.asarray(d[:, np.argmin((d / np.maximum(caps, 1)[:, None]).max(axis=0))])


def _bucket_starts(counts: Int, t: Int, bits: int) -> tuple[Int, int] | None:
    """Start values of the 8 classes of one group and its flags, or None where ``bits`` are too few."""
    entries = counts[0::2] + counts[1::2]
    caps = 2**bits - 1 - (entries + 1)
    if (caps < 0).any():
        return None
    total, rest, flags = _bucket_targets(counts, t, bits)
    starts = _solve_starts(total, rest, caps)
    return None if starts is None else (starts, flags)


def _bucket_targets(counts: Int, t: Int, bits: int) -> tuple[int, Int, int]:
    """What the sum of the start values of the 8 classes and their three signed sums must be, and the flags."""
    negative = counts[0::2]
    total = 2 ** (bits + 2) - int(t[0]) - int(negative.sum())
    rest, flags = np.zeros(3, np.int64), 0
    for i in range(3):
        sign = np.where(np.arange(8) >> i & 1, 1, -1)
        rest[i] = -int(t[i + 1]) - int((sign * negative).sum())
        if (rest[i] ^ total) & 1:
            rest[i] += 1
            flags |= 1 << i
    return total, rest, flags


def _constant(starts: Int) -> Int:
    """The first border's starts, 0xFFFF where they are not the same at all borders."""
    return np.where((starts == starts[0]).all(axis=0), starts[0], 0xFFFF)


def _border_starts(counts: Int, t: Int, bits: int) -> tuple[Int, Int] | None:
    """Start values (borders, 8) and flags (borders) of one group at all borders, where possible with only four
    classes' start values that vary.

    t: (borders, 4). The starts of the last border are shifted at the classes c, c ^ 1, c ^ 2, c ^ 4: four unknowns
    for a change of the sum and of three signed sums.
    """
    base = _bucket_starts(counts, t[-1], bits)
    if base is None or len(t) == 1:
        return None if base is None else (base[0][None], np.array([base[1]]))
    caps = 2**bits - 2 - (counts[0::2] + counts[1::2])
    targets = [_bucket_targets(counts, row, bits) for row in t]
    flags = np.array([flag for _, _, flag in targets])
    total = np.array([total for total, _, _ in targets]) - targets[-1][0]
    rest = np.stack([rest for _, rest, _ in targets]) - targets[-1][1]
    for centre in range(8):
        members = [centre ^ 1, centre ^ 2, centre ^ 4]
        sign = np.array([1 if centre >> i & 1 else -1 for i in range(3)])
        shift = (total[:, None] - sign * rest) // 2
        starts = np.repeat(base[0][None], len(t), axis=0)
        starts[:, members] += shift
        starts[:, centre] += total - shift.sum(axis=1)
        if (starts >= 0).all() and (starts <= caps).all():
            return starts, flags
    solved = [_bucket_starts(counts, row, bits) for row in t]
    if any(s is None for s in solved):
        return None
    return np.stack([s[0] for s in solved if s is not None]), flags


def _bucket_runs(pattern: npt.NDArray[np.uint8], t: Int, widths: tuple[int, ...]) -> Params | Unfit:
    """Runs of all groups: starts (borders, groups, 8), flags (borders, groups); t: (borders, 4 * groups)."""
    slot = slots(pattern, "binary")
    counts = slot_counts(slot, -(-pattern.shape[1] // 8) * 8)[:, 0]
    for bits in widths:
        solved = [_border_starts(counts[g], t[:, 4 * g : 4 * g + 4], bits) for g in range(len(slot))]
        if all(s is not None for s in solved):
            starts = np.stack([s[0] for s in solved if s is not None], axis=1)
            flags = np.stack([s[1] for s in solved if s is not None], axis=1).astype(np.uint8)
            pairs = (counts[:, 0::2] + counts[:, 1::2] + 1) // 2
            return {"bits": bits, "starts": starts, "flags": flags, "pairs": pairs, "counts": counts}
    return Unfit("its class sums need more than 12 bits")


def _bucket_entries(pattern: npt.NDArray[np.uint8]) -> list[Int]:
    """Entries of every group's classes, each filled up to an even number."""
    k = pattern.shape[1]
    result = []
    for row, slot in zip(pattern, slots(pattern, "binary"), strict=True):
        parts: list[Int] = []
        for j in range(8):
            for s in (2 * j, 2 * j + 1):
                ks = np.flatnonzero(slot == s)
                parts.append(8 * ks + 4 * (row[ks] & 1))
            if sum(len(p) for p in parts[-2:]) % 2:
                parts.append(np.array([8 * k]))
        result.append(np.concatenate(parts))
    return result


def _channel_runs(w: Int, t: Int, way: str) -> Params | Unfit:
    """Runs of one channel each: the rarer sign's elements (minority) or all that are not 0 (direct). t: (borders,
    out_c), one border for minority; starts: (borders, out_c, 1)."""
    out_c, k = w.shape
    if way == "minority":
        positive = (w > 0).sum(axis=1) * 2 <= k
        chosen = np.where(positive[:, None], w > 0, w < 0)
        need = np.where(positive, t[0], 1 - t[0])  # 2 S >= T + need, or its complement
        top = int(need.max())
        start, odd = (top - need) // 2, (top - need) % 2
        total_start = top
        if total_start < 0:
            start, total_start = start - (total_start - 1) // 2, total_start - 2 * ((total_start - 1) // 2)
        largest = max(int((chosen.sum(axis=1) + start).max()) + 1, (k + total_start) // 2 + 1)
        flags = odd | np.where(positive, 0, 2)
        codes = bit_words(chosen)
        entries = [8 * np.flatnonzero(row) + 4 for row in chosen]
    else:
        chosen = w != 0
        n = chosen.sum(axis=1)
        need = np.clip(t + (w < 0).sum(axis=1), 0, n + 1)
        total_start, flags = 0, np.zeros(out_c, np.int64)
        below, above = (
            int(need.max()),
            int((n[None] - need).max()) + 1,
        )  # room under and over the top bit's value
        bits = next((b for b in BITS_WIDTHS if 2 ** (b - 1) > max(below, above)), None)
        if bits is None:
            return Unfit("its sums need more than 12 bits")
        start = 2 ** (bits - 1) - need
        largest = 2**bits - 1
        codes = np.stack([bit_words(w > 0), bit_words(w < 0)], axis=1)
        entries = [8 * np.flatnonzero(row) + 4 * (row[row != 0] > 0) for row in w]
    bits = next((b for b in BITS_WIDTHS if 2**b > largest), None)
    if bits is None or (way == "minority" and bits > 9):
        return Unfit("its sums need more than 12 bits")
    padded = [np.append(e, 8 * k) if len(e) % 2 else e for e in entries]
    return {
        "bits": bits,
        "starts": np.broadcast_to(start, t.shape)[..., None],
        "pairs": np.array([[len(e) // 2] for e in padded]),
        "flags": flags.astype(np.uint8)[None],
        "codes": codes,
        "entries": padded,
        "total_start": total_start,
    }


def _in_eights(entries: list[Int]) -> list[Int]:
    """The lists of eight channels each, one after another."""
    return [np.concatenate(entries[i : i + 8]) for i in range(0, len(entries), 8)]


def bit_words(bits: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint32]:
    """(rows, K) of 0/1 -> uint32 (rows, ceil(K / 32)), LSB first."""
    padded = np.zeros((bits.shape[0], -(-bits.shape[1] // 32) * 32), np.uint8)
    padded[:, : bits.shape[1]] = bits
    return np.packbits(padded, axis=1, bitorder="little").view("<u4").astype(np.uint32)


@dataclass(frozen=True)
class BitsLayer:
    """What of a packed layer depends neither on where the lists are nor on the size of a block."""

    dims: Mapping[str, int]
    way: str
    runs: Params
    entries: list[Int]
    codes: npt.NDArray[Any]
    borders: npt.NDArray[np.uint16] | None


def solve_bits_conv(
    codes: npt.NDArray[np.int8],
    kind: str,
    pad_one: bool,
    dims: Mapping[str, int],
    epilogue: Mapping[str, Any],
    way: str | None = None,
    least_bits: int = BITS_WIDTHS[0],
) -> BitsLayer | Unfit:
    """Runs, start values and list entries of a layer. Arguments as of :func:`pack_lanes`; ``way``: "buckets",
    "minority" or "direct", by default the cheapest; ``least_bits``: of class sums."""
    out_c, k = codes.shape[0], codes[0].size
    if kind == "two_plane" or epilogue["out_dtype"] != 1:
        return Unfit("it takes binary or ternary weights and gives b1")
    if 8 * (k + 1) > 65535:
        return Unfit(f"K = {k} exceeds 16-bit offsets")
    w = codes.reshape(out_c, -1).astype(np.int64)
    threshold = bits_threshold(epilogue, np.full(out_c, k))
    if isinstance(threshold, Unfit):
        return threshold
    reach = np.clip(threshold, -k - 1, k + 1)
    t = _reach(w.sum(axis=1), reach, k)[None]
    zero = not pad_one and bool(dims["pad_h"] or dims["pad_w"] or reads_past(dims))
    way = way or ("direct" if kind == "ternary" else "minority" if k <= 96 and not zero else "buckets")
    if zero and way == "minority":
        return Unfit("it pads with +1, not with 0")
    borders = None
    if zero:
        borders, outside = border_weights(codes, dims)
        if len(borders) > MOST_BORDERS:
            return Unfit(f"its zero padding makes {len(borders)} kinds of borders")
        t = np.stack([_reach(w.sum(axis=1) - o, reach, k) for o in outside])
    if way == "buckets":
        pattern = patterns(codes, kind)
        rest = np.repeat(t[:, -1:], 4 * len(pattern) - out_c, axis=1)
        widths = (*range(least_bits, BITS_WIDTHS[0]), *BITS_WIDTHS)
        runs = _bucket_runs(pattern, np.concatenate([t, rest], axis=1), widths)
        if isinstance(runs, Unfit):
            return runs
        return BitsLayer(dims, way, runs, _bucket_entries(pattern), pack_nibbles(pattern), borders)
    runs = _channel_runs(w, t, way)
    if isinstance(runs, Unfit):
        return runs
    return BitsLayer(dims, way, runs, _in_eights(runs["entries"]), runs["codes"], borders)


def pack_bits_conv(layer: BitsLayer, lists: str = "flash", budget: int | None = None) -> Packed | Unfit:
    """Parameters of ``ebnn_bconv2d_bits__*``: b1 planes in and out. ``lists``: "flash", or "ram" for those built at
    run time; ``budget``: bytes that the planes of a block may take."""
    dims, runs, buckets = layer.dims, layer.runs, layer.way == "buckets"
    k = dims["kernel_h"] * dims["kernel_w"] * dims["in_c"]
    words = -(-dims["out_h"] * dims["out_w"] // 32)
    per_word = 8 * (k + 1) + 8
    most = words if budget is None else min(words, budget // per_word)
    if most < 1:
        return Unfit("the planes of one block exceed the scratch budget")
    words = -(-words // -(-words // most))
    ram, zero = lists == "ram", layer.borders is not None
    size = max(len(e) for e in layer.entries)
    border_count = 0 if layer.borders is None else len(layer.borders)
    params: Params = {
        "dims": dict(dims),
        "lists": None if ram else np.concatenate(layer.entries).astype(np.uint16),
        "codes": layer.codes if ram else None,
        "counts": runs["counts"].astype(np.uint16) if ram and buckets else None,
        "runs": np.stack([runs["pairs"], _constant(runs["starts"])], axis=-1).astype(np.uint16),
        "flags": runs["flags"][0],
        "borders": layer.borders,
        "border_starts": np.moveaxis(runs["starts"], 0, -1).astype(np.uint16) if zero else None,
        "border_flags": np.ascontiguousarray(runs["flags"].T) if zero and buckets else None,
        "border_count": border_count,
        "groups": len(layer.entries),
        "block_words": words,
        "list_size": size,
        "total_start": runs.get("total_start", 0),
        "way": {"buckets": 1, "minority": 2, "direct": 3}[layer.way],
        "bits": runs["bits"],
    }
    scratch = per_word * words + ((2 * size + 3) // 4 * 4 if ram else 0)
    if zero:
        scratch += 4 * (2 * border_count + 1 + BORDER_WORDS) * words
    if layer.way == "minority":
        scratch += 4 * BITS_MOST * words + 4 * (k // 2 + 1)
    return Packed(params, array_bytes(params), scratch)
