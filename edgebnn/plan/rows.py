"""Candidates of the kernels of weight rows (ebnn_wide.h): low-bit convolutions with few pixels and many channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgebnn.plan.geometry import bit_count, low_bit_operands, params_bytes
from edgebnn.plan.pack_rows import pack_rows, rows_scratch
from edgebnn.plan.types import Candidate, Choice, Context


@dataclass(frozen=True)
class _Isa:
    """Bytes of a lane and measured cycles: of a row added, and of an output that is no threshold."""

    lane_bytes: int
    row: float
    epilogue: float


ISAS = {"avx2": _Isa(32, 1.85, 2.0), "avx512": _Isa(64, 1.9, 1.0)}


@dataclass(frozen=True)
class _Group:
    """Rows added for an input of a pixel, on average, and measured cycles: of an input for its lists, of a pixel and
    vector beside its rows."""

    rows: float
    lists: float
    vector: float


#: by the kind of weights and the bits of a code; ternary b1 pixels go in threes, single ones have fewer lists
GROUPS = {
    ("binary", 1): _Group(1 / 2, 0.3, 140.0),
    ("binary", 2): _Group(3 / 4, 1.05, 300.0),
    ("ternary", 1): _Group(7 / 12, 0.7, 240.0),
    ("ternary", 2): _Group(3 / 2, 1.05, 500.0),
}
SINGLE = _Group(1.0, 0.3, 200.0)


def _propose(c: Context, name: str) -> list[Choice] | str:
    source, out, kind, isa = c.inputs[0], c.outputs[0], c.op.attrs["weight_kind"], ISAS[name]
    if source.dtype not in ("b1", "u2") or kind == "two_plane":
        return "takes b1 and u2 activations with binary or ternary weights"
    if len(c.outputs) > 1 and c.outputs[1].dtype != "b1":
        return "writes a second output of b1 only"
    bits = bit_count(source)
    packed = pack_rows(
        *low_bit_operands(c),
        isa.lane_bytes,
        alone=len(c.outputs) == 1,
    )
    if isinstance(packed, str):
        return packed
    layer: dict[str, Any] = {**packed["layer"]}
    if len(c.outputs) > 1:
        layer |= {"next_mul": c.op.attrs["next_mul"], "next_add": c.op.attrs["next_add"]}
    params = {**packed, "layer": layer}
    vectors = -(-out.channels // (8 * isa.lane_bytes))
    elements = c.op.attrs["weights"][0, ..., 0].size * -(-source.channels // 32) * 32
    group = SINGLE if kind == "ternary" and bits == 1 and out.pixels < 3 else GROUPS[kind, bits]
    rows = vectors * (group.rows * elements * isa.row + group.vector)
    cost = out.pixels * (rows + group.lists * elements)
    if not packed["levels"]:
        fast = out.dtype == "s8" and out.channels % 8 == 0
        cost += (isa.epilogue if fast else 6.0) * out.elements
    return [
        Choice(
            f"ebnn_bconv2d_rows__{name}",
            ("nhwc",) * len(c.inputs),
            ("nhwc",) * len(c.outputs),
            cost,
            lambda: params,
            params_bytes(params),
            rows_scratch(params),
            parts=max(out.pixels, vectors),
        )
    ]


def _candidate(isa: str) -> Candidate:
    return Candidate(f"weight rows {isa}", ("bconv2d",), isa, lambda c: _propose(c, isa))


CANDIDATES = tuple(_candidate(isa) for isa in ISAS)
