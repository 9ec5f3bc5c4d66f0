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
) -> Packed | Unfit:
    """Parameters of ``ebnn_bconv2d_lanes__*``.

    ``codes``: weights (out_c, kh, kw, in_c) of ``kind`` "binary", "ternary" or "two_plane"; ``dims``: fields of
    ebnn_conv_dims_t; ``epilogue``: fields of ebnn_epilogue_t (out_dtype as EBNN_* code); ``lists``: "flash" or "ram";
    ``budget``: bytes of planes in scratch; ``following``: "mul", "add", "shift" and "bits" of the quantiser that is
    fused behind an s8 output (b1: bits 1 and ``b1`` True, bit = t < 0).
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
    stride = words * field_bits
    plane_bound = c.code_max * k * (3 if kind == "two_plane" else 1)
    bound = np.abs(w).sum(axis=1) * c.code_max
    folded = _fold(epilogue, c.gain, offset, bound)
    if isinstance(folded, Unfit):
        return folded
    fast = plane_bound <= 32767 and folded["out_dtype"] == 8
    fast = fast and counts.shape[1] <= FAST_CHUNKS
    shift = int(folded["shift"])
    for m, a in (("mul", "add"), ("mul2", "add2")):
        if folded[m] is not None:
            fast = fast and _fits16(_affine_bound(bound, folded[m], folded[a]) >> shift)
    fast = fast and (folded["act_min"], folded["act_max"]) == (-128, 127)
    after = _following(following, int(folded["act_min"]), int(folded["act_max"]))
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
        "fast": int(fast and after["fast"]),
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
    for m, (mul, add) in pairs.items():
        if np.abs(mul).max() > 32767 or (_affine_bound(bound, mul, add) >= 2**31).any():
            return Unfit("the folded multipliers or sums exceed their integers")
        folded[m] = mul.astype(np.int16)
        folded[m.replace("mul", "add")] = add.astype(np.int32)
    return folded


def _following(following: Mapping[str, Any] | None, low: int, high: int) -> Params:
    """Fields of the fused quantiser; b1 becomes a clamp to 0 .. 1: t < 0 is clamp((-t + 2^s - 1) >> s, 0, 1) = 1."""
    if following is None:
        return {"next_mul": None, "next_add": None, "next_shift": 0, "next_bits": 0, "fast": True}
    mul, add = np.asarray(following["mul"], np.int64), np.asarray(following["add"], np.int64)
    shift = int(following["shift"])
    largest = int((max(-low, high) * np.abs(mul) + np.abs(add)).max())
    if following.get("b1"):
        shift = max(0, largest.bit_length() - 15)
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
    """Estimated Cortex-M4 cycles of a layer in integer lanes (a rough count of its loops)."""
    k = params["dims"]["kernel_h"] * params["dims"]["kernel_w"] * params["dims"]["in_c"]
    pixels = params["dims"]["out_h"] * params["dims"]["out_w"]
    words = -(-pixels // 8) * (params["field_bits"] // 4)
    build = 0.0 if params["lists"] is not None else 10.0 * k
    slow = 1.0 if kernel.endswith("cortex_m4") else 1.6
    per_group = k * (3.0 + 2.0 * words) + build + 4 * pixels * 8.0
    return slow * (params["groups"] * per_group + k * words * 4.0)
