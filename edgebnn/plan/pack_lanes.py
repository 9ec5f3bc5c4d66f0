"""Offline packing for the lanes kernels: lists, folded epilogues, scratch sizes, costs. The layouts are those of
``cmsis_kernels/include/ebnn_planes.h``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebnn.plan.pack_planes import (
    BIAS,
    FAST_CHUNKS,
    KINDS,
    Int,
    Packed,
    Params,
    Unfit,
    array_bytes,
    pack_nibbles,
    patterns,
    slot_counts,
    slot_lists,
    slots,
)


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
    return Packed(params, array_bytes(params), scratch)


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
