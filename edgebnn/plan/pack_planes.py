"""Offline packing for the bucketed low-bit kernels ("lanes" and "bits"): weight patterns, lists, folded epilogues,
scratch sizes. The layouts are those of ``cmsis_kernels/include/ebnn_planes.h``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Int = npt.NDArray[np.int64]
Params = dict[str, Any]

KINDS = {"binary": 1, "ternary": 2, "two_plane": 3}
BIAS = {4: 128, 8: 8192}
"""EBNN_LANES_BIAS4 and 8 of lanes.h: what a class sum must stay below."""
FAST_CHUNKS = 4
"""EBNN_FAST_CHUNKS of lanes.h."""
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
    notes: tuple[str, ...] = field(default=())


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


def slot_lists(slot: Int, chunk_k: int, stride: int) -> npt.NDArray[np.uint16]:
    """Byte offsets of the planes of every group and chunk, slot by slot, one after another."""
    parts: list[Int] = []
    for row in slot:
        for start in range(0, len(row), chunk_k):
            part = row[start : start + chunk_k]
            order = np.argsort(part, kind="stable")
            parts.append((order[part[order] >= 0] + start) * stride)
    return np.concatenate(parts).astype(np.uint16)


def _flash(params: Mapping[str, Any]) -> int:
    return sum(v.nbytes for v in params.values() if isinstance(v, np.ndarray))


# --- lanes ------------------------------------------------------------------------------------------------------


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


def _choose_chunk(slot: Int, code_max: int, field_bits: int) -> int | None:
    """Largest chunk of elements for which every class sum fits and every count fits a byte."""
    limit = min(255, (BIAS[field_bits] - 1) // code_max)
    k = slot.shape[1]
    for chunks in range(1, k + 1):
        chunk_k = -(-k // (8 * chunks)) * 8
        counts = slot_counts(slot, chunk_k)
        if counts.max() <= limit:
            return chunk_k
        if chunk_k == 8:
            break
    return None


def _fits16(*bounds: Int) -> bool:
    return all(bool((np.abs(b) <= 32767 - 128).all()) for b in bounds)


def _affine_bound(d: Int, mul: Any, add: Any) -> Int:
    """Largest |D * mul + add| for |D| <= d."""
    return d * np.abs(np.asarray(mul, np.int64)) + np.abs(np.asarray(add, np.int64))


def block_words(pixels: int, k: int, field_bits: int, budget: int | None) -> int | None:
    """Words of a block: the largest that 16-bit offsets and the budget (bytes of planes) allow, evenly cut."""
    words = -(-pixels // 16) * 2
    most = (65536 // k) // field_bits
    if budget is not None:
        most = min(most, budget // (k * field_bits))
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
    apart: bool = False,
) -> Packed | Unfit:
    """Parameters of ``ebnn_bconv2d_lanes__*``.

    ``codes``: weights (out_c, kh, kw, in_c) of ``kind`` "binary", "ternary" or "two_plane"; ``dims``: fields of
    ebnn_conv_dims_t; ``epilogue``: fields of ebnn_epilogue_t (out_dtype as EBNN_* code); ``lists``: "flash" or "ram";
    ``budget``: bytes of planes in scratch; ``following``: "mul", "add", "shift" and "bits" of the quantiser that is
    fused behind an s8 output (b1: bits 1 and ``b1`` True, bit = t < 0); ``apart``: the kernel can sum positive and
    negative entries apart, which takes one chunk where signed sums take several.
    """
    out_c, k = codes.shape[0], codes[0].size
    padded = bool(dims["pad_h"] or dims["pad_w"]) or _reads_past(dims)
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
    chunk_k = _choose_chunk(slot, c.code_max, field_bits)
    if chunk_k is None:
        return Unfit("class sums do not fit their fields")
    counts = slot_counts(slot, chunk_k)
    whole_k = -(-k // 8) * 8
    whole = slot_counts(slot, whole_k)
    apart = apart and len(counts[0]) > 1 and 1 < c.code_max <= 3 and bool(whole.max() <= 255 // c.code_max)
    stride = words * field_bits
    plane_bound = c.code_max * k * (3 if kind == "two_plane" else 1)
    bound = np.abs(w).sum(axis=1) * c.code_max
    folded = _fold(epilogue, c.gain, offset, bound)
    if isinstance(folded, Unfit):
        return folded
    fast = plane_bound <= 32767 and folded["out_dtype"] == 8
    few = apart or counts.shape[1] <= FAST_CHUNKS
    fast = fast and few
    shift = int(folded["shift"])
    for m, a in (("mul", "add"), ("mul2", "add2")):
        if folded[m] is not None:
            fast = fast and _fits16(_affine_bound(bound, folded[m], folded[a]) >> shift)
    # the fast epilogue narrows what it has stored, so a fused quantiser must see the full range
    fast = fast and (following is None or (folded["act_min"], folded["act_max"]) == (-128, 127))
    if folded["out_dtype"] == 1:
        fast = plane_bound <= 16383 and not folded["combine"] and few
    after = _following(following, int(folded["act_min"]), int(folded["act_max"]))
    fast = bool(fast and after["fast"])
    apart = apart and fast
    if apart:
        chunk_k, counts = whole_k, whole
    params: Params = {
        "dims": dict(dims),
        "lists": slot_lists(slot, chunk_k, stride) if lists == "flash" else None,
        "codes": pack_nibbles(pattern) if lists == "ram" else None,
        "counts": counts.astype(np.uint8),
        **folded,
        **{name: after[name] for name in ("next_mul", "next_add", "next_shift", "next_bits")},
        "groups": slot.shape[0],
        "chunks": counts.shape[1],
        "chunk_k": chunk_k,
        "list_size": int(counts.sum(axis=2).max()),
        "block_words": words,
        "weight_kind": KINDS[kind],
        "field_bits": field_bits,
        "code_max": c.code_max,
        "code_shift": c.code_shift,
        "pad_code": c.pad_code,
        "fast": int(fast),
        "apart": int(apart),
    }
    scratch = (
        k * stride + (72 if params["fast"] else 8) * words + (0 if lists == "flash" else (2 * k + 3) // 4 * 4)
    )
    return Packed(params, _flash(params), scratch)


def _reads_past(dims: Mapping[str, int]) -> bool:
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


def _as_threshold(mul: Int, add: Int, reach: int) -> tuple[Int, Int]:
    """(+-1, add') with the same sign of mul * D + add for every |D| < reach; |add'| <= reach."""
    quotient = add // np.maximum(np.abs(mul), 1)  # D < -(add / mul) is D + floor(add / mul) < 0
    constant = np.where(add < 0, -reach, reach)
    return np.where(mul < 0, -1, 1), np.clip(np.where(mul == 0, constant, quotient), -reach, reach)


def _following(following: Mapping[str, Any] | None, low: int, high: int) -> Params:
    """Fields of the fused quantiser; b1 becomes a clamp to 0 .. 1: t < 0 is clamp((-t + 2^s - 1) >> s, 0, 1) = 1."""
    if following is None:
        return {"next_mul": None, "next_add": None, "next_shift": 0, "next_bits": 0, "fast": True}
    mul, add = np.asarray(following["mul"], np.int64), np.asarray(following["add"], np.int64)
    shift = int(following["shift"])
    largest = int((max(-low, high) * np.abs(mul) + np.abs(add)).max())
    if following.get("b1"):
        shift = 16 if largest + 2**16 < 2**31 else largest.bit_length() - 15
        mul, add = -mul, -add + 2**shift - 1
        largest += 2**shift
    return {
        "next_mul": mul.astype(np.int16),
        "next_add": add.astype(np.int32),
        "next_shift": shift,
        "next_bits": int(following["bits"]),
        "fast": largest >> shift <= 32767 - 128,
    }


def lanes_cost(params: Params, kernel: str) -> float:
    """Estimated Cortex-M4 cycles of a layer in integer lanes: sums, totals and epilogue, planes, lists; the
    coefficients are fitted to the estimator's figures of the tuned kernel."""
    d = params["dims"]
    k = d["kernel_h"] * d["kernel_w"] * d["in_c"]
    pixels = d["out_h"] * d["out_w"]
    narrow, chunks = params["field_bits"] == 4, params["chunks"]
    units = -(-pixels // 8)
    passes = -(-pixels // 16) if narrow else units
    sums = passes * (7.0 * k + 460.0 * chunks if narrow else 6.1 * k + 660.0)
    if not params["fast"]:
        finish = 4300.0
    else:
        finish = 170.0 + 185.0 * (chunks - 1) if narrow else 250.0
        block = (
            params["next_bits"] == 2
            and params["shift"] == params["next_shift"] == 16
            and not params["combine"]
        )
        finish += (
            210.0 if params["out_dtype"] == 1 else 590.0 if block else 1100.0 + 60.0 * params["next_bits"]
        )
    build = 0.0 if params["lists"] is not None else 8.4 * k + 170.0
    fill = k * units * (12.0 if narrow else 21.0) * (1.0 if d["stride_h"] == d["stride_w"] == 1 else 8.0)
    slow = 1.0 if kernel.endswith("cortex_m4") else 1.6
    return slow * (params["groups"] * (sums + units * finish + build) + fill)


# --- bits -------------------------------------------------------------------------------------------------------

BITS_WIDTHS = (7, 9, 12)
BITS_MOST = 13
_SIGNS = np.array([[-1 if bin(~j & u).count("1") % 2 else 1 for j in range(8)] for u in range(8)])


def _reach(acc_at_one: Int, threshold: Int, k: int) -> Int:
    """t such that bit = (T >= t), T = sum of w * x over bits x, from bit = (acc < threshold), acc = sum w - 2 T."""
    return np.clip((acc_at_one - threshold) // 2 + 1, -(k + 1), k + 1)


def _bits_threshold(epilogue: Mapping[str, Any], reach: Int) -> Int | Unfit:
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


def _grid(values: npt.NDArray[np.int64]) -> Int:
    """All 4-tuples of ``values``."""
    return np.asarray(np.stack(np.meshgrid(*[values] * 4, indexing="ij"), -1).reshape(-1, 4))


_COARSE, _FINE = _grid(np.arange(-4, 5)), _grid(np.arange(-6, 7))


def _solve_starts(total: int, rest: Int, caps: Int) -> Int | None:
    """Integers 0 <= d_j <= caps_j, j = 0 .. 7, with sum d_j = total and sum +-d_j = rest_i (+ where bit i of j is 1).

    The eight sums of d with the signs of all products of the three bits determine d; four are given, four are free:
    they are searched on a coarse grid for the d that is furthest inside its bounds, then around it for integers.
    """
    free, fixed = [3, 5, 6, 7], [0, 1, 2, 4]
    base = np.array([total, *rest]) @ _SIGNS[fixed]
    steps = _COARSE * max(1, total // 4)
    for width in (max(1, total // 4), max(1, total // 16)):
        d = base + steps @ _SIGNS[free]
        best = steps[np.argmax(np.minimum(d, 8 * caps - d).min(axis=1))]
        steps = best + _COARSE * max(1, width // 4)
    d = base + (best + _FINE) @ _SIGNS[free]
    d = d[(d % 8 == 0).all(axis=1)] // 8
    d = d[((d >= 0) & (d <= caps)).all(axis=1)]
    if not len(d):
        return None
    return np.asarray(d[np.argmin((d / np.maximum(caps, 1)).max(axis=1))])


def _bucket_starts(counts: Int, t: Int, bits: int) -> tuple[Int, int] | None:
    """Start values of the 8 classes of one group and its flags, or None where ``bits`` are too few."""
    negative, entries = counts[0::2], counts[0::2] + counts[1::2]
    caps = 2**bits - 1 - (entries + 1)
    if (caps < 0).any():
        return None
    total = 2 ** (bits + 2) - int(t[0]) - int(negative.sum())
    rest, flags = np.zeros(3, np.int64), 0
    for i in range(3):
        sign = np.where(np.arange(8) >> i & 1, 1, -1)
        rest[i] = -int(t[i + 1]) - int((sign * negative).sum())
        if (rest[i] ^ total) & 1:
            rest[i] += 1
            flags |= 1 << i
    starts = _solve_starts(total, rest, caps)
    return None if starts is None else (starts, flags)


def _bucket_runs(pattern: npt.NDArray[np.uint8], t: Int) -> Params | Unfit:
    slot = slots(pattern, "binary")
    counts = slot_counts(slot, -(-pattern.shape[1] // 8) * 8)[:, 0]
    for bits in BITS_WIDTHS:
        solved = [_bucket_starts(counts[g], t[4 * g : 4 * g + 4], bits) for g in range(len(slot))]
        if all(s is not None for s in solved):
            starts = np.stack([s[0] for s in solved if s is not None])
            flags = np.array([s[1] for s in solved if s is not None], np.uint8)
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
    """Runs of one channel each: the rarer sign's elements (minority) or all that are not 0 (direct)."""
    out_c, k = w.shape
    if way == "minority":
        positive = (w > 0).sum(axis=1) * 2 <= k
        chosen = np.where(positive[:, None], w > 0, w < 0)
        need = np.where(positive, t, 1 - t)  # 2 S >= T + need, or its complement
        top = int(need.max())
        start, odd = (top - need) // 2, (top - need) % 2
        total_start = top
        if total_start < 0:
            start, total_start = start - (total_start - 1) // 2, total_start - 2 * ((total_start - 1) // 2)
        largest = max(int((chosen.sum(axis=1) + start).max()) + 1, (k + total_start) // 2 + 1)
        flags = odd | np.where(positive, 0, 2)
        codes = _bit_words(chosen)
        entries = [8 * np.flatnonzero(row) + 4 for row in chosen]
    else:
        chosen = w != 0
        n = chosen.sum(axis=1)
        need = np.clip(t + (w < 0).sum(axis=1), 0, n + 1)
        total_start, flags = 0, np.zeros(out_c, np.int64)
        below, above = int(need.max()), int((n - need).max()) + 1  # room under and over the top bit's value
        bits = next((b for b in BITS_WIDTHS if 2 ** (b - 1) > max(below, above)), None)
        if bits is None:
            return Unfit("its sums need more than 12 bits")
        start = 2 ** (bits - 1) - need
        largest = 2**bits - 1
        codes = np.stack([_bit_words(w > 0), _bit_words(w < 0)], axis=1)
        entries = [8 * np.flatnonzero(row) + 4 * (row[row != 0] > 0) for row in w]
    bits = next((b for b in BITS_WIDTHS if 2**b > largest), None)
    if bits is None or (way == "minority" and bits > 9):
        return Unfit("its sums need more than 12 bits")
    padded = [np.append(e, 8 * k) if len(e) % 2 else e for e in entries]
    return {
        "bits": bits,
        "starts": start[:, None],
        "pairs": np.array([[len(e) // 2] for e in padded]),
        "flags": flags.astype(np.uint8),
        "codes": codes,
        "entries": padded,
        "total_start": total_start,
    }


def _in_eights(entries: list[Int]) -> list[Int]:
    """The lists of eight channels each, one after another."""
    return [np.concatenate(entries[i : i + 8]) for i in range(0, len(entries), 8)]


def _bit_words(bits: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint32]:
    """(rows, K) of 0/1 -> uint32 (rows, ceil(K / 32)), LSB first."""
    padded = np.zeros((bits.shape[0], -(-bits.shape[1] // 32) * 32), np.uint8)
    padded[:, : bits.shape[1]] = bits
    return np.packbits(padded, axis=1, bitorder="little").view("<u4").astype(np.uint32)


def pack_bits_conv(
    codes: npt.NDArray[np.int8],
    kind: str,
    pad_one: bool,
    dims: Mapping[str, int],
    epilogue: Mapping[str, Any],
    lists: str = "flash",
    budget: int | None = None,
    way: str | None = None,
) -> Packed | Unfit:
    """Parameters of ``ebnn_bconv2d_bits__*``: b1 planes in and out. Arguments as of :func:`pack_lanes`; ``way``:
    "buckets", "minority" or "direct", by default the cheapest."""
    out_c, k = codes.shape[0], codes[0].size
    if kind == "two_plane" or epilogue["out_dtype"] != 1:
        return Unfit("it takes binary or ternary weights and gives b1")
    if not pad_one and (dims["pad_h"] or dims["pad_w"] or _reads_past(dims)):
        return Unfit("it pads with +1, not with 0")
    if 8 * (k + 1) > 65535:
        return Unfit(f"K = {k} exceeds 16-bit offsets")
    w = codes.reshape(out_c, -1).astype(np.int64)
    threshold = _bits_threshold(epilogue, np.full(out_c, k))
    if isinstance(threshold, Unfit):
        return threshold
    t = _reach(w.sum(axis=1), np.clip(threshold, -k - 1, k + 1), k)
    way = way or ("direct" if kind == "ternary" else "minority" if k <= 96 else "buckets")
    pixels = dims["out_h"] * dims["out_w"]
    words = -(-pixels // 32)
    per_word = 8 * (k + 1) + 8
    most = words if budget is None else min(words, budget // per_word)
    if most < 1:
        return Unfit("the planes of one block exceed the scratch budget")
    words = -(-words // -(-words // most))
    if way == "buckets":
        pattern = patterns(codes, kind)
        t4 = np.concatenate([t, np.repeat(t[-1:], 4 * len(pattern) - out_c)])
        runs = _bucket_runs(pattern, t4)
    else:
        runs = _channel_runs(w, t, way)
    if isinstance(runs, Unfit):
        return runs
    entries = _bucket_entries(pattern) if way == "buckets" else _in_eights(runs["entries"])
    ram = lists == "ram"
    size = max(len(e) for e in entries)
    stored = pack_nibbles(pattern) if way == "buckets" else runs["codes"]
    params: Params = {
        "dims": dict(dims),
        "lists": None if ram else np.concatenate(entries).astype(np.uint16),
        "codes": stored if ram else None,
        "counts": runs["counts"].astype(np.uint16) if ram and way == "buckets" else None,
        "runs": np.stack([runs["pairs"], runs["starts"]], axis=-1).astype(np.uint16),
        "flags": runs["flags"],
        "groups": len(entries),
        "block_words": words,
        "list_size": size,
        "total_start": runs.get("total_start", 0),
        "way": {"buckets": 1, "minority": 2, "direct": 3}[way],
        "bits": runs["bits"],
    }
    scratch = per_word * words + ((2 * size + 3) // 4 * 4 if ram else 0)
    if way == "minority":
        scratch += 4 * BITS_MOST * words + 4 * (k // 2 + 1)
    return Packed(params, _flash(params), scratch)


# --- dense ------------------------------------------------------------------------------------------------------


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
    threshold = _bits_threshold(epilogue, np.full(out_c, k))
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
    packed = _bit_words(planes.reshape(-1, lanes.shape[1]).astype(bool)).reshape(2, bits + 1, -1)
    rows = np.zeros((codes.shape[1] * codes.shape[2], pixel_words * 32, -(-out_c // 64) * 64), bool)
    rows[:, :in_c, :out_c] = (codes < 0).transpose(1, 2, 3, 0).reshape(-1, in_c, out_c)
    flat = np.concatenate([rows.reshape(32 * words, -1), np.zeros((1, rows.shape[2]), bool)])
    weights = _bit_words(flat).reshape(32 * words + 1, -1, 2).transpose(1, 0, 2)
    params: Params = {
        "weights": np.ascontiguousarray(weights),
        "limits": np.ascontiguousarray(packed.transpose(0, 2, 1)),
        "tail_mask": 2 ** (in_c - 32 * (pixel_words - 1)) - 1,
        "words": words,
        "words_per_pixel": pixel_words,
        "out_c": out_c,
        "start": k,
        "bits": bits,
    }
    return Packed(params, _flash(params), 68 * words + 4)
