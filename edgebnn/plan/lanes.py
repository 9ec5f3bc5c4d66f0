"""Candidates of the bucketed kernels in integer lanes (ebnn_planes.h): low-bit convolutions on NIBBLES tensors."""

from __future__ import annotations

from edgebnn.plan.geometry import bit_count, conv_dims, epilogue
from edgebnn.plan.pack_lanes import lanes_cost, pack_lanes, tuned_kernel
from edgebnn.plan.pack_planes import Packed, Unfit
from edgebnn.plan.types import Candidate, Choice, Context

#: bytes of planes a block may take; larger maps are worked through block by block
BLOCK_BUDGETS = (None, 8192, 4096)

#: instruction sets whose bit planes are faster than portable integer lanes (1.3 to 10 times with 64-bit words on x86);
#: the latter also take long to pack
WIDER = {"word64", "neon"}


def _following(c: Context) -> dict[str, object] | None:
    if len(c.outputs) < 2:
        return None
    a, out = c.op.attrs, c.outputs[1]
    return {
        "mul": a["next_mul"],
        "add": a["next_add"],
        "shift": a["next_shift"],
        "bits": bit_count(out),
        "b1": out.dtype == "b1",
    }


def _propose(c: Context, isa: str) -> list[Choice] | str:
    source, out = c.inputs[0], c.outputs[0]
    if isa == "portable" and WIDER & set(c.target.isa):
        return "its words of 32 bits are no match for wider lanes"
    if source.dtype == "s8":
        return "takes b1 and u2..u4 activations, not s8"
    if out.dtype not in ("b1", "s8", "s32"):
        return f"does not write {out.dtype}"
    if len(c.outputs) > 1 and c.outputs[1].dtype == "s8":
        return "does not write a second s8 output"
    choices: dict[tuple[str, int], Choice] = {}
    reason = "no packing fits"
    for lists in ("flash", "ram"):
        smallest: int | None = None
        for budget in BLOCK_BUDGETS:
            if budget is not None and smallest is not None and smallest <= budget:
                break  # blocks of this size are no smaller
            packed = pack_lanes(
                c.op.attrs["weights"],
                c.op.attrs["weight_kind"],
                source.dtype,
                bool(c.op.attrs["pad_one"]),
                conv_dims(c.op, source, out),
                epilogue(c),
                lists,
                budget,
                _following(c),
                tuned=isa == "cortex_m4",
            )
            if isinstance(packed, Unfit):
                reason = packed.reason
                continue
            smallest = packed.scratch
            kernel = f"ebnn_bconv2d_lanes__{isa}"
            if isa == "cortex_m4":
                kernel = tuned_kernel(packed.params)
            choices.setdefault((lists, packed.scratch), _choice(c, kernel, lists, packed))
    return list(choices.values()) or reason


def _choice(c: Context, kernel: str, lists: str, packed: Packed) -> Choice:
    out = c.outputs[0]
    ins = ("nibbles", "chw")[: len(c.inputs)]
    first = "nibbles" if out.dtype == "b1" else "chw"
    blocks = -(-out.pixels // (8 * packed.params["block_words"]))
    variant = f"lists in {'flash' if lists == 'flash' else 'RAM'}" + (
        f", {blocks} blocks" if blocks > 1 else ""
    )
    return Choice(
        kernel,
        ins,
        (first, "nibbles")[: len(c.outputs)],
        lanes_cost(packed.params, kernel),
        lambda: packed.params,
        packed.flash,
        packed.scratch,
        variant,
        over_residual=len(c.inputs) > 1 and out.dtype == "s8",
    )


def _candidate(isa: str) -> Candidate:
    def propose(c: Context) -> list[Choice] | str:
        return _propose(c, isa)

    return Candidate(f"lanes {isa}", ("bconv2d",), isa, propose)


CANDIDATES = tuple(_candidate(isa) for isa in ("portable", "cortex_m4"))
