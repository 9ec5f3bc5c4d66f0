"""Candidates of the wide bit-plane kernels (ebnn_wide.h): low-bit convolutions on PLANES tensors, on processors with
64-bit words or SIMD lanes."""

from __future__ import annotations

from dataclasses import dataclass

from edgebnn.plan.geometry import DTYPE_CODES, LAYOUT_CODES, bit_count, conv_dims, epilogue, params_bytes
from edgebnn.plan.pack_wide import Lane, pack_wide, wide_scratch
from edgebnn.plan.types import Candidate, Choice, Context, Params


@dataclass(frozen=True)
class _Isa:
    """A lane and its measured costs: cycles a plane added, and cycles a pixel and channel of an integer epilogue."""

    lane: Lane
    add: float
    epilogue: float


ISAS = {
    "word64": _Isa(Lane(8, 8), 2.6, 6.0),
    "neon": _Isa(Lane(16, 16), 2.6, 2.0),
    "avx2": _Isa(Lane(32, 8), 2.0, 0.8),
    "avx512": _Isa(Lane(64, 8), 1.1, 0.4),
}


def wide_cost(params: Params, isa: _Isa) -> float:
    """Estimated cycles: planes added and counted, classes combined, planes filled, outputs."""
    d = params["dims"]
    pixels = d["out_h"] * d["out_w"]
    blocks = -(-pixels // isa.lane.pixels)
    elements = d["kernel_h"] * d["kernel_w"] * d["in_c"]
    adds = float(8 * params["batches"].sum()) * params["in_bits"]
    combine = 14.0 * float((params["widths"].astype(int) + 2).sum())
    fill = 1.5 * elements * params["in_bits"] * max(1, isa.lane.bytes // 32)
    cost = blocks * (isa.add * (adds + combine) + fill)
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
    source, out, isa = c.inputs[0], c.outputs[0], ISAS[name]
    if source.dtype == "s8":
        return "takes b1 and u2..u4 activations, not s8"
    if len(c.outputs) > 1 and c.outputs[1].dtype == "s8":
        return "does not write a second s8 output"
    packed = pack_wide(
        c.op.attrs["weights"],
        c.op.attrs["weight_kind"],
        bit_count(source),
        source.dtype == "b1",
        bool(c.op.attrs["pad_one"]),
        conv_dims(c.op, source, out),
        epilogue(c),
        isa.lane,
    )
    if isinstance(packed, str):
        return packed
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
                wide_scratch(laid),
            )
        )
    return choices


def _candidate(isa: str) -> Candidate:
    return Candidate(f"bit planes {isa}", ("bconv2d",), isa, lambda c: _propose(c, isa))


CANDIDATES = tuple(_candidate(isa) for isa in ISAS)
