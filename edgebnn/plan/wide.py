"""Candidates of the wide bit-plane kernels (ebnn_wide.h): low-bit convolutions on PLANES tensors, on processors with
64-bit words or SIMD lanes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from edgebnn.ir import TensorType
from edgebnn.plan.geometry import DTYPE_CODES, LAYOUT_CODES, bit_count, low_bit_operands, params_bytes
from edgebnn.plan.pack_wide import LUT_LANES, Lane, dot_scratch, pack_dot, pack_wide, wide_scratch
from edgebnn.plan.portable import layout_choice
from edgebnn.plan.types import Candidate, Choice, Context, Params
from edgebnn.targets import Target


@dataclass(frozen=True)
class _Isa:
    """A lane and its measured costs: cycles a plane added, and cycles a pixel and channel of an integer epilogue."""

    lane: Lane
    add: float
    epilogue: float


ISAS = {
    "word64": _Isa(Lane(8, 8), 2.6, 6.0),
    "neon": _Isa(Lane(16, 16), 3.2, 2.0),
    "avx2": _Isa(Lane(32, 8, ternary=True, pairs=True), 2.0, 0.8),
    "avx512": _Isa(Lane(64, 8, ternary=True, pairs=True), 1.75, 0.4),
}


#: additions of class sums in a group, by its classes
COMBINE = {4: 6.0, 8: 14.0, 13: 21.0}


def wide_cost(params: Params, isa: _Isa) -> float:
    """Estimated cycles: planes added and counted, classes combined, planes laid and filled, outputs."""
    d = params["dims"]
    pixels = d["out_h"] * d["out_w"]
    blocks = -(-pixels // isa.lane.pixels)
    elements = d["kernel_h"] * d["kernel_w"] * d["in_c"]
    passes = blocks * params["in_bits"]
    if (
        isa.lane.pairs
        and params["in_bits"] == 2
        and 2 * (pixels - (blocks - 1) * isa.lane.pixels) <= isa.lane.pixels
    ):
        passes -= 1  # both bits of the last block in one lane
    adds = float(8 * params["batches"].sum()) * passes
    combine = COMBINE[params["classes"]] * float((params["widths"].astype(int) + 2).sum())
    fill = 1.5 * elements * params["in_bits"] * max(1, isa.lane.bytes // 32)
    cost = isa.add * (adds + blocks * combine) + blocks * fill
    if d["stride_h"] * d["stride_w"] > 1 or d["out_w"] != d["in_w"]:  # grids are made row by row
        rows = min(d["in_h"], d["out_h"] * min(d["stride_h"], d["kernel_h"]))
        cost += 18.0 * d["in_c"] * params["in_bits"] * d["kernel_w"] * rows * -(-d["out_w"] // 32)
    if params.get("threshold") is not None:
        return cost + blocks * isa.add * d["out_c"] * params["threshold_bits"]
    return cost + isa.epilogue * d["out_c"] * blocks * isa.lane.pixels


def _next(c: Context) -> Params:
    a = c.op.attrs
    return {
        "next_mul": a["next_mul"],
        "next_add": a["next_add"],
        "next_shift": a["next_shift"],
        "next_dtype": DTYPE_CODES[c.outputs[1].dtype],
    }


def _propose(c: Context, name: str) -> list[Choice] | str:
    source, isa = c.inputs[0], ISAS[name]
    if source.dtype == "s8":
        return "takes b1 and u2..u4 activations, not s8"
    if len(c.outputs) > 1 and c.outputs[1].dtype == "s8":
        return "does not write a second s8 output"
    kind = c.op.attrs["weight_kind"]
    packings = [
        pack_wide(
            *low_bit_operands(c),
            isa.lane,
            group,
        )
        for group in ((0, 2, 3) if kind == "ternary" and isa.lane.ternary else (0,))
    ]
    if isinstance(packings[0], str):
        return packings[0]
    return [choice for p in packings if not isinstance(p, str) for choice in _choices(c, name, p)]


def _choices(c: Context, name: str, packed: Params) -> list[Choice]:
    """Choices of one packing."""
    out, isa = c.outputs[0], ISAS[name]
    params = {**packed, **(_next(c) if len(c.outputs) > 1 else {})}
    choices = []
    for layout in ("planes",) if out.is_bits else ("chw", "nhwc"):
        laid = {**params, "out_layout": LAYOUT_CODES[layout]}
        cost = wide_cost(laid, isa)
        if layout == "nhwc":
            cost += 1.0 * out.elements
        choices.append(
            Choice(
                f"ebnn_bconv2d_wide__{name}",
                ("planes", layout)[: len(c.inputs)],
                (layout, "planes")[: len(c.outputs)],
                cost,
                lambda laid=laid: laid,  # type: ignore[misc]
                params_bytes(laid),
                wide_scratch(laid, isa.lane),
                parts=max(-(-out.pixels // isa.lane.pixels), int(laid["groups"])),
            )
        )
    return choices


def _candidate(isa: str) -> Candidate:
    return Candidate(f"bit planes {isa}", ("bconv2d",), isa, lambda c: _propose(c, isa))


#: cycles of a word of one vector of channels in the counting kernels
DOT_COST = {"avx2": 1.7, "avx512": 1.35, "avx512_icl": 0.7}
#: the same with ternary weights, relative
TERNARY_COST = {"avx2": 1.6, "avx512": 1.3, "avx512_icl": 1.28}
#: the same of one pixel, which has to load weights for itself alone
SINGLE_COST = {"avx2": 1.2, "avx512": 1.2, "avx512_icl": 2.4}
#: cycles of a vector of channels for its thresholds
DOT_OUTPUT = {"avx2": 10.0, "avx512": 10.0, "avx512_icl": 2.5}
#: cycles of an s8 output
DOT_EPILOGUE = {"avx2": 2.0, "avx512": 1.0, "avx512_icl": 1.0}
#: channels of such a vector
DOT_LANES = {"avx2": 8, "avx512": 16, "avx512_icl": 16}


def _propose_dot(c: Context, isa: str, packed_lanes: int = 0) -> list[Choice] | str:
    source, out, kind = c.inputs[0], c.outputs[0], c.op.attrs["weight_kind"]
    if source.dtype == "s8" or kind == "two_plane":
        return "takes b1 and u2..u4 activations with binary or ternary weights"
    if len(c.outputs) > 1 and c.outputs[1].dtype != "b1":
        return "writes a second output of b1 only"
    bits = bit_count(source)
    lanes = DOT_LANES[isa]
    params = pack_dot(
        *low_bit_operands(c),
        packed_lanes or lanes,
        12 if packed_lanes and bits > 1 else 20 if isa != "avx512_icl" else 4 if bits == 2 else 7,
    )
    if isinstance(params, str):
        return params
    vectors = -(-out.channels // 32) * 32 // lanes
    words = c.op.attrs["weights"][0, ..., 0].size * -(-source.channels // 32) * bits
    cost = _dot_core(out, words, isa, kind == "ternary") + out.pixels * DOT_OUTPUT[isa] * vectors
    if c.op.attrs["kernel"] != (1, 1):
        cost += 0.5 * out.pixels * words
    if len(c.outputs) > 1:
        params = {**params, "next_mul": c.op.attrs["next_mul"], "next_add": c.op.attrs["next_add"]}
    if params.get("threshold") is None:
        fast = out.dtype == "s8" and out.channels % 8 == 0
        cost += (DOT_EPILOGUE[isa] if fast else 6.0) * out.elements
    layouts = ("nhwc",) * len(c.inputs)
    kernel = f"ebnn_bconv2d_dot__{isa}"
    return [
        Choice(
            kernel,
            layouts,
            ("nhwc",) * len(c.outputs),
            cost,
            lambda: params,
            params_bytes(params),
            dot_scratch(params),
            parts=max(out.pixels, -(-out.channels // 32)),
        )
    ]


#: pixels that the lookup kernel takes at a time, by the bits of a code
LUT_TILES = {1: 5, 2: 3, 3: 2, 4: 1}


def _propose_lut(c: Context) -> list[Choice] | str:
    """The lookup kernel takes what the counting one takes, with binary weights; it needs four pixels to pay."""
    if c.op.attrs["weight_kind"] != "binary" or c.inputs[0].dtype == "s8":
        return "takes b1 and u2..u4 activations with binary weights"
    found = _propose_dot(c, "avx2", LUT_LANES)
    if isinstance(found, str):
        return found
    counting, out = found[0], c.outputs[0]
    bits = bit_count(c.inputs[0])
    words = c.op.attrs["weights"][0, ..., 0].size * -(-c.inputs[0].channels // 32) * bits
    vectors, tile = -(-out.channels // 32), LUT_TILES[bits]
    rows = 5.2 * tile * -(-out.pixels // tile) if out.pixels >= tile else (14.0 / bits + 2.0) * out.pixels
    cost = vectors * words * rows + counting.cost - _dot_core(out, words, "avx2", False)
    return [replace(counting, kernel="ebnn_bconv2d_lut__avx2", cost=cost, scratch=3 * counting.scratch)]


def _dot_core(out: TensorType, words: int, isa: str, ternary: bool) -> float:
    per_word = DOT_COST[isa] * (TERNARY_COST[isa] if ternary else 1.0)
    if out.pixels == 1:
        per_word *= SINGLE_COST[isa]
    return out.pixels * -(-out.channels // 32) * 32 // DOT_LANES[isa] * per_word * words


def _dot(isa: str) -> Candidate:
    return Candidate(f"counting {isa}", ("bconv2d",), isa, lambda c: _propose_dot(c, isa))


def conversion(target: Target) -> Callable[[TensorType, str], Choice]:
    """The cheapest change of storage order on ``target``: (tensor as it is stored, wanted layout) -> choice."""
    fast = next((isa for isa in target.isa if isa in ISAS), None)

    def convert(source: TensorType, out_layout: str) -> Choice:
        plain = layout_choice(source, out_layout)
        if fast is None or {source.layout, out_layout} != {"nhwc", "planes"}:
            return plain
        tiles = -(-source.pixels // 32) * -(-source.channels // 32) * bit_count(source)
        cost = 300.0 * tiles * 8 / ISAS[fast].lane.bytes
        return replace(plain, kernel=f"ebnn_layout_planes__{fast}", cost=cost)

    return convert


def _layout(isa: str) -> Candidate:
    def propose(c: Context) -> list[Choice] | str:
        choice = conversion(replace(c.target, isa=(isa,)))(c.inputs[0], c.outputs[0].layout)
        return [choice] if choice.kernel.endswith(isa) else "changes bits between nhwc and planes only"

    return Candidate(f"transposes {isa}", ("layout",), isa, propose)


CANDIDATES = (
    *(_candidate(isa) for isa in ISAS),
    *(_dot(isa) for isa in DOT_COST),
    Candidate("lookup avx2", ("bconv2d",), "avx2", _propose_lut),
    *(_layout(isa) for isa in ISAS),
)
