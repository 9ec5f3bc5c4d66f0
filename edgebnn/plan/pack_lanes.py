"""Offline packing for the lanes kernels: lists, folded epilogues, scratch sizes, costs. The layouts are those of
``cmsis_kernels/include/ebnn_planes.h``.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebnn.plan.pack_adds import free_range, pack_adds
from edgebnn.plan.pack_planes import (
    KINDS,
    Int,
    Packed,
    Params,
    Unfit,
    array_bytes,
    pack_nibbles,
    patterns,
    slots,
)

_FAST, _UP, _MAPPED, _ALONE, _LIMITED, _NARROW, _FUSED, _CODES = (1 << i for i in range(8))
"""EBNN_LANES_* of lanes.h."""
UNIT = 5
"""EBNN_LANES_UNIT of lanes.h: runs are a multiple of this many entries."""


@dataclass(frozen=True)
class _Codes:
    """How activations become codes: acc = gain * (sum of w * code) + offset[c]."""

    code_max: int
    code_shift: int
    pad_code: int
    gain: int


def _lane_codes(in_dtype: str, pad_one: bool, padded: bool, doubles: bool) -> _Codes:
    """``doubles``: every multiplier may be doubled and still fit 16 bits."""
    if in_dtype != "b1":
        return _Codes(2 ** int(in_dtype[1]) - 1, 0, 0, 1)
    if padded and not pad_one:
        return _Codes(2, 1, 1, -1)  # +1, 0, -1 are 0, 1, 2
    return _Codes(1, 0, 0, -2) if doubles else _Codes(2, 1, 0, -1)


def top_code(code_max: int, field_bits: int) -> int:
    """ebnn_lanes_top of lanes.h: the largest code that the sums are made for."""
    return 15 if field_bits == 8 else 1 if code_max == 1 else 3


def _chunk_bounds(k: int, chunks: int) -> list[tuple[int, int]]:
    """First and last + 1 element of every chunk."""
    words = -(-k // 8)
    step = 8 * -(-words // chunks)
    return [(start, min(start + step, k)) for start in range(0, k, step)]


#: a chunk of a group: the elements of its 16 runs
_Runs = list[list[int]]


def _runs(row: Int, start: int, end: int) -> _Runs:
    codes = row[start:end].astype(np.int8)  # NumPy sorts bytes by radix
    order = np.argsort(codes, kind="stable")
    cuts = np.searchsorted(codes[order], np.arange(17, dtype=np.int8))
    elements = (start + order).tolist()
    return [elements[cuts[run] : cuts[run + 1]] for run in range(16)]


def _load(runs: _Runs, run: int) -> int:
    """What the class of a run takes of its field, in largest codes: negative runs count with their padding."""
    negative, positive = runs[run & 14], runs[run | 1]
    return UNIT * -(-len(negative) // UNIT) + len(positive)


def _over(runs: _Runs, class_limit: int) -> int | None:
    """A run that is too long, or the longer one of a class that is too large."""
    for j in range(0, 16, 2):
        longer = max((j, j + 1), key=lambda run: len(runs[run]))
        if len(runs[longer]) > UNIT * 15 or _load(runs, j) > class_limit:
            return longer
    return None


def _spread(runs: _Runs, class_limit: int) -> _Runs | None:
    """The same sums without runs or classes that are too large: an element with the signs s is also the sum of those
    with the signs s but a, s but b, and minus those with the signs s but a and b, for any two planes a and b."""
    runs = [list(run) for run in runs]
    while (run := _over(runs, class_limit)) is not None:
        pattern = run if run % 2 else 14 - run
        ways = []
        for a, b in itertools.combinations((1, 2, 4, 8), 2):
            patterns_ = (pattern ^ a, pattern ^ b, 15 ^ pattern ^ a ^ b)
            ways.append([p if p % 2 else 14 - p for p in patterns_])
        loads = [max(_load(runs, r) for r in way) for way in ways]
        best = int(np.argmin(loads))
        if loads[best] >= class_limit - UNIT:
            return None
        element = runs[run].pop()
        for r in ways[best]:
            runs[r].append(element)
    return runs


def _choose_chunks(row: Int, top: int, field_bits: int, spread: bool) -> list[_Runs] | None:
    """The runs of every chunk: the fewest chunks for which every class sum fits its field."""
    k = len(row)
    class_limit = (2 ** (2 * field_bits) - 1) // top
    for chunks in range(1, min(255, -(-k // 8)) + 1):
        bounds = _chunk_bounds(k, chunks)
        if len(bounds) != chunks:
            continue
        found = [_runs(row, *bound) for bound in bounds]
        if all(_over(runs, class_limit) is None for runs in found):
            return found
        if spread and chunks == 1 and (runs := _spread(found[0], class_limit)) is not None:
            return [runs]
    return None


@dataclass(frozen=True)
class _Lists:
    """What the weights become: lists (entries are element indices, K the plane of zeros), counts, and the largest
    sum that a total and its bias may reach."""

    chunks: int
    entries: Int
    counts: npt.NDArray[np.uint8]
    list_size: int
    reach: int


def _make_lists(slot: Int, top: int, field_bits: int, spread: bool) -> _Lists | None:
    """``spread``: elements may become three others (stored lists only)."""
    k = slot.shape[1]
    groups = [_choose_chunks(row, top, field_bits, spread) for row in slot]
    most = max(len(chunks) if chunks else 256 for chunks in groups)
    if most > 255:
        return None
    entries: list[int] = []
    counts: list[int] = []
    sizes, reach = [], 0
    for row, chunks in zip(slot, groups, strict=True):
        assert chunks is not None
        before = len(entries)
        counts += [len(chunks)] * (most > 1)
        for runs in chunks:
            units = [-(-len(run) // UNIT) for run in runs]
            for run, n in zip(runs, units, strict=True):
                entries += run + [k] * (UNIT * n - len(run))
            counts += [n | m << 4 for n, m in zip(units[::2], units[1::2], strict=True)]
        total = len(entries) - before
        sizes.append(total + int((row < 0).sum()))
        reach = max(reach, top * total)
    return _Lists(most, np.array(entries, np.int64), np.array(counts, np.uint8), max(sizes), reach)


def _fits16(*bounds: Int) -> bool:
    return all(bool((np.abs(b) <= 32767 - 256).all()) for b in bounds)


def _affine_bound(d: Int, mul: Any, add: Any) -> Int:
    """Largest |D * mul + add| for |D| <= d."""
    return d * np.abs(np.asarray(mul, np.int64)) + np.abs(np.asarray(add, np.int64))


def block_words(pixels: int, k: int, field_bits: int, budget: int | None) -> int | None:
    """Words of a block: the largest that 16-bit offsets and the budget (bytes of planes) allow, evenly cut."""
    words = -(-pixels // 16) * 2
    most = 65535 // k // field_bits
    if budget is not None:
        most = min(most, budget // ((k + 1) * field_bits))
    most -= most % 2
    if most < 2:
        return None
    blocks = -(-words // most)
    return -(-words // (2 * blocks)) * 2


def pack_lanes(
    codes: npt.NDArray[np.int8],
    kind: str,
    in_dtype: str,
    pad_one: bool,
    dims: Mapping[str, int],
    epilogue: Mapping[str, Any],
    lists: str = "flash",
    budget: int | None = None,
    following: Mapping[str, Any] | None = None,
    tuned: bool = False,
) -> Packed | Unfit:
    """Parameters of ``ebnn_bconv2d_lanes__*``.

    ``codes``: weights (out_c, kh, kw, in_c) of ``kind`` "binary", "ternary" or "two_plane"; ``dims``: fields of
    ebnn_conv_dims_t; ``epilogue``: fields of ebnn_epilogue_t (out_dtype as EBNN_* code); ``lists``: "flash" or "ram";
    ``budget``: bytes of planes in scratch; ``following``: "mul", "add", "shift" and "bits" of the quantiser that is
    fused behind an s8 output (b1: bits 1 and ``b1`` True, bit = t < 0); ``tuned``: for a Cortex-M4 kernel
    (:func:`tuned_kernel`), else for the portable one.
    """
    out_c, k = codes.shape[0], codes[0].size
    padded = bool(dims["pad_h"] or dims["pad_w"]) or reads_past(dims)
    w = codes.reshape(out_c, -1).astype(np.int64)
    muls = [np.asarray(epilogue[m], np.int64) for m in ("mul", "mul2") if epilogue.get(m) is not None]
    doubles = all(bool((np.abs(m) <= 16383).all()) for m in muls)
    c = _lane_codes(in_dtype, pad_one, padded, doubles)
    offset = w.sum(axis=1) if in_dtype == "b1" else np.zeros(out_c, np.int64)
    field_bits = 4 if c.code_max <= 3 else 8
    words = block_words(dims["out_h"] * dims["out_w"], k, field_bits, budget)
    if words is None:
        return Unfit(f"K = {k} planes of one block exceed the scratch budget or 16-bit offsets")
    pattern = patterns(codes, kind)
    slot = slots(pattern, kind)
    made = _make_lists(slot, top_code(c.code_max, field_bits), field_bits, lists == "flash")
    if made is None:
        return Unfit("class sums do not fit their fields")
    stride = words * field_bits
    bound = np.abs(w).sum(axis=1) * c.code_max
    folded = _fold(epilogue, c.gain, offset, bound)
    if isinstance(folded, Unfit):
        return folded
    first, last = (c.code_max * s.sum(axis=1) for s in (np.minimum(w, 0), np.maximum(w, 0)))
    exact, stored = _store_adds(folded, first, last)
    folded |= exact
    reach = made.reach * (3 if kind == "two_plane" else 1)
    fast = tuned and reach <= 32767 and folded["out_dtype"] == 8
    shift = int(folded["shift"])
    for m, a in (("mul", "add"), ("mul2", "add2")):
        if folded[m] is not None:
            fast = fast and _fits16(_affine_bound(bound, folded[m], folded[a]) >> shift)
    if folded["out_dtype"] == 1:
        fast = tuned and reach <= 16383 and not folded["combine"]
    after = _following(following, int(folded["act_min"]), int(folded["act_max"]))
    fast = bool(fast and after["fast"] and folded["act_min"] <= 0 <= folded["act_max"])
    params: Params = {
        "dims": dict(dims),
        "lists": (made.entries * stride).astype(np.uint16) if lists == "flash" else None,
        "codes": pack_nibbles(pattern) if lists == "ram" else None,
        "counts": made.counts,
        **folded,
        **stored,
        **{name: value for name, value in after.items() if name not in ("fast", "free")},
        "groups": slot.shape[0],
        "chunks": made.chunks,
        "list_size": made.list_size,
        "block_words": words,
        "weight_kind": KINDS[kind],
        "field_bits": field_bits,
        "code_max": c.code_max,
        "code_shift": c.code_shift,
        "pad_code": c.pad_code,
        "fast": 0,
    }
    if fast and folded["out_dtype"] == 1:
        params["fast"] = _FAST
    elif fast:
        params["fast"] = _s8_flags(params, reach, after["free"])
    scratch = (k + 1) * stride + (68 if params["fast"] else 4) * words
    if lists == "ram":
        scratch += (2 * made.list_size + 3) // 4 * 4
    return Packed(params, array_bytes(params), scratch)


def _s8_flags(params: Params, reach: int, free: bool) -> int:
    """Field fast of a layer with s8 output, 0 if it has none. ``reach``: largest total with its bias; ``free``: the
    next codes are those of the outputs before they are limited."""
    shift, flags = params["shift"], _FAST
    if params["combine"] or shift != 16:
        up = not params["combine"] and shift < 16 and reach << (16 - shift) <= 32767
        if not up and shift < 2:
            return 0
        flags |= _UP if up else _MAPPED
    flags |= 0 if params["residual"] else _ALONE
    limited = (params["act_min"], params["act_max"]) != (-128, 127)
    flags |= _LIMITED if limited else 0
    if params["next_bits"]:
        fused = params["next_bits"] <= 2 and params["next_shift"] == 16 and (free or not limited)
        flags |= _CODES if not fused else _FUSED | _NARROW if params["next_bits"] == 1 else _FUSED
    return flags


def reads_past(dims: Mapping[str, int]) -> bool:
    """True where taps of the last output row or column lie outside the image."""
    return any(
        (dims[f"out_{a}"] - 1) * dims[f"stride_{a}"] + (dims[f"kernel_{a}"] - 1) * dims[f"dilation_{a}"]
        - dims[f"pad_{a}"] >= dims[f"in_{a}"]
        for a in "hw"
    )  # fmt: skip


def _fold(epilogue: Mapping[str, Any], gain: int, offset: Int, bound: Int) -> Params | Unfit:
    """The epilogue with acc = gain * D + offset put into its affine maps; ``bound``: largest |D|."""
    folded: Params = {
        "mul2": None,
        "add2": None,
        "combine": epilogue.get("combine", 0),
        "shift": epilogue.get("shift", 0),
        "out_dtype": epilogue["out_dtype"],
        "residual": epilogue.get("residual", 0),
        "act_min": epilogue.get("act_min", 0),
        "act_max": epilogue.get("act_max", 0),
    }
    n = len(offset)
    pairs: dict[str, tuple[Int, Int]] = {}
    if epilogue.get("threshold") is not None:
        reach = np.abs(gain) * bound + np.abs(offset) + 1
        threshold = np.clip(np.asarray(epilogue["threshold"], np.int64), -reach, reach)
        pairs["mul"] = np.full(n, gain), offset - threshold
        folded["combine"] = 0
    elif epilogue.get("mul") is None:
        pairs["mul"] = np.full(n, gain), offset
        folded["combine"] = 0
    else:
        names = ("mul", "mul2") if folded["combine"] else ("mul",)
        for m in names:
            mul = np.asarray(epilogue[m], np.int64)
            pairs[m] = mul * gain, mul * offset + np.asarray(epilogue[m.replace("mul", "add")], np.int64)
    if epilogue["out_dtype"] == 1 and not folded["combine"]:
        pairs["mul"] = _as_threshold(*pairs["mul"], int(bound.max()) + 1)
    for m, (mul, add) in pairs.items():
        if np.abs(mul).max() > 32767 or (_affine_bound(bound, mul, add) >= 2**31).any():
            return Unfit("the folded multipliers or sums exceed their integers")
        folded[m] = mul.astype(np.int16)
        folded[m.replace("mul", "add")] = add.astype(np.int32)
    return folded


def _store_adds(folded: Params, first: Int, last: Int) -> tuple[Params, Params]:
    """The addends of the maps of D = first .. last as used, and the fields that hold them."""
    names = [name for name in ("add", "add2") if folded[name] is not None]
    adds = [folded[name].astype(np.int64) for name in names]
    ranges = [(add, add) for add in adds]
    if folded["out_dtype"] == 8 and not folded["combine"]:
        mul = folded["mul"].astype(np.int64)
        ranges = [free_range(mul, adds[0], int(folded["shift"]), first, last)]
    packed = pack_adds(ranges, adds)
    stored: Params = dict(zip(names, packed.stored, strict=True))
    stored |= {"add_bytes": packed.width, "add_shift": packed.shift}
    return dict(zip(names, packed.values, strict=True)), stored


def _as_threshold(mul: Int, add: Int, reach: int) -> tuple[Int, Int]:
    """(+-1, add') with the same sign of mul * D + add for every |D| < reach; |add'| <= reach."""
    quotient = add // np.maximum(np.abs(mul), 1)  # D < -(add / mul) is D + floor(add / mul) < 0
    constant = np.where(add < 0, -reach, reach)
    return np.where(mul < 0, -1, 1), np.clip(np.where(mul == 0, constant, quotient), -reach, reach)


def _following(following: Mapping[str, Any] | None, low: int, high: int) -> Params:
    """Fields of the fused quantiser; b1 becomes a clamp to 0 .. 1: t < 0 is clamp((-t + 2^s - 1) >> s, 0, 1) = 1."""
    if following is None:
        zeros = ("next_shift", "next_bits", "next_add_bytes", "next_add_shift")
        return {"next_mul": None, "next_add": None, **dict.fromkeys(zeros, 0), "fast": True, "free": True}
    mul, add = np.asarray(following["mul"], np.int64), np.asarray(following["add"], np.int64)
    shift, bits = int(following["shift"]), int(following["bits"])
    top = max(-low, high)
    if following.get("b1"):
        largest = int((top * np.abs(mul) + np.abs(add)).max())
        shift = 16 if largest + 2**16 < 2**31 else largest.bit_length() - 15
        mul, add = -mul, -add + 2**shift - 1
    ends = np.full(len(add), low), np.full(len(add), high)
    packed = pack_adds([free_range(mul, add, shift, *ends, 0, 2**bits - 1)], [add])
    largest = int((128 * np.abs(mul) + np.abs(packed.values[0])).max())
    y = np.arange(-128, 128)[:, None]
    codes = np.clip((np.stack([y, np.clip(y, low, high)]) * mul + packed.values[0]) >> shift, 0, 2**bits - 1)
    return {
        "next_mul": mul.astype(np.int16),
        "next_add": packed.stored[0],
        "next_shift": shift,
        "next_bits": bits,
        "next_add_bytes": packed.width,
        "next_add_shift": packed.shift,
        "fast": largest >> shift <= 32767 - 256,
        "free": np.array_equal(codes[0], codes[1]),
    }


def tuned_kernel(params: Params) -> str:
    """The Cortex-M4 kernel for ``params``."""
    name = "ebnn_bconv2d_lanes"
    if params["fast"]:
        top = top_code(params["code_max"], params["field_bits"])
        name += f"{top}_{'b1' if params['out_dtype'] == 1 else 's8'}"
    return name + "__cortex_m4"


def lanes_cost(params: Params, kernel: str) -> float:
    """Estimated Cortex-M4 cycles of a layer in integer lanes: sums, totals and epilogue, planes, lists; the
    coefficients are those of the tuned kernels' loops by the estimator's table."""
    d = params["dims"]
    k = d["kernel_h"] * d["kernel_w"] * d["in_c"]
    pixels = d["out_h"] * d["out_w"]
    narrow, groups = params["field_bits"] == 4, params["groups"]
    words = -(-pixels // 8)
    passes = -(-pixels // 16) if narrow else words
    blocks = -(-words // params["block_words"])
    units, chunks = _units(params["counts"], groups, params["chunks"])
    more = chunks - groups
    top = top_code(params["code_max"], params["field_bits"])
    sums = (33.8 * units + 292.0 * chunks) if top == 3 else (31.5 * units + 323.0 * chunks)
    sums += (291.0 if narrow else 191.0) * chunks + (338.0 if narrow else 0.0) * more
    if params["fast"]:
        rest = groups * (247.0 * blocks + 31.6 * passes) + more * (13.0 * passes + 155.0 * blocks)
        rest += _epilogue_cost(params, words, blocks)
    else:
        rest = groups * (650.0 * blocks + 4300.0 * words)
    build = 0.0 if params["lists"] is not None else groups * (7.9 * k + 215.0) + 446.0 * chunks
    slow = 1.0 if kernel.endswith("cortex_m4") else 1.6
    return slow * (passes * sums + rest + blocks * build + _fill_cost(params, blocks))


def _units(counts: npt.NDArray[np.uint8], groups: int, chunks: int) -> tuple[int, int]:
    """Units and chunks of all groups. ``chunks``: field of the params."""
    if chunks == 1:
        return int((counts % 16).sum() + (counts // 16).sum()), groups
    at = units = found = 0
    for _ in range(groups):
        n = int(counts[at])
        part = counts[at + 1 : at + 1 + 8 * n]
        units += int((part % 16).sum() + (part // 16).sum())
        found, at = found + n, at + 1 + 8 * n
    return units, found


def _epilogue_cost(params: Params, words: int, blocks: int) -> float:
    """Of a layer whose params say fast."""
    out_c, groups, flags = params["dims"]["out_c"], params["groups"], params["fast"]
    if params["out_dtype"] == 1:
        return out_c * (25.0 * words + 85.0 * blocks) + 21.0 * groups * blocks
    pairs = params["weight_kind"] != 1
    a_word, a_row = 64.0, 125.0
    for flag, word, row in (
        (_UP, 17.0, 30.0),
        (_MAPPED, 118.0, 75.0),
        (_ALONE, 8.0, 51.0),
        (_LIMITED, 32.0, 80.0),
        (_NARROW, 12.0, 50.0),
        (_FUSED, 0.0, 23.0),
        (_CODES, 155.0, 96.0),
    ):
        a_word, a_row = (a_word + word, a_row + row) if flags & flag else (a_word, a_row)
    return out_c * (a_word * words + a_row * blocks) + groups * (231.0 * blocks + 88.0 * pairs * words)


def _fill_cost(params: Params, blocks: int) -> float:
    """Of the planes: strips of four words of a tap by the tuned loops, others word by word (blanes_shift.c)."""
    d, narrow, words = params["dims"], params["field_bits"] == 4, params["block_words"]
    taps, channels = d["kernel_h"] * d["kernel_w"], d["in_c"]
    pads = 0.0
    if params[
        "pad_code"
    ]:  # words with pixels whose tap is outside: at the ends of rows, above and below, the last one
        for ky, kx in itertools.product(range(d["kernel_h"]), range(d["kernel_w"])):
            dy, dx = ky * d["dilation_h"] - d["pad_h"], kx * d["dilation_w"] - d["pad_w"]
            edge = (1.0 + abs(dy) * d["out_w"] / 8.0) / (words * blocks)
            share = min(1.0, 8.0 / d["out_w"] * (dx != 0) + edge)
            pads += (170.0 + 9.0 * share * channels) * words * blocks
    if (d["stride_h"], d["stride_w"]) != (1, 1) or d["out_w"] != d["in_w"]:
        return 150.0 * taps * channels * words * blocks + pads
    in_words = -(-d["in_h"] * d["in_w"] // 8)
    cost = 150.0 * words * blocks * (d["kernel_w"] - 1) + pads
    for block, ky, kx in itertools.product(range(blocks), range(d["kernel_h"]), range(d["kernel_w"])):
        shift = (ky * d["dilation_h"] - d["pad_h"]) * d["in_w"] + kx * d["dilation_w"] - d["pad_w"]
        start, fields = divmod(shift + 8 * words * block, 8)
        start += fields != 0
        for at in range(0, words, 4):
            n, first = min(4, words - at), start + at
            inside = first > 0 and first + 3 <= in_words
            if n == 4 and (inside or (first == 0 and in_words >= 4)):
                cost += (30.0 if narrow else 50.0) * channels + 110.0
            else:
                cost += n * (34.0 * channels + 30.0) + 110.0
    return cost
