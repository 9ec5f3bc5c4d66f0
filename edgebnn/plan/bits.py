"""Candidates of the bit-plane kernels: b1 -> b1 convolutions (ebnn_bconv_bits_params_t) and max pools on PLANES,
and dense layers on channel lanes (ebnn_bdense_bits_params_t)."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

from edgebnn.plan.geometry import DTYPE_CODES, bit_count, conv_dims, epilogue
from edgebnn.plan.pack_bits import BITS_WIDTHS, LEAST_BITS, BitsLayer, pack_bits_conv, solve_bits_conv
from edgebnn.plan.pack_bits_dense import pack_dense_bits, pack_dense_sums
from edgebnn.plan.pack_planes import Packed, Unfit
from edgebnn.plan.types import Candidate, Choice, Context, Params

BLOCK_BUDGETS = (None, 8192, 4096)
EITHER_WAY = (24, 96)
"""Elements of an output of binary layers between which both ways are worth a look."""

#: Cost relative to the Cortex-M4's kernels.
SLOWER = {"portable": 1.7, "cortex_m0": 1.4, "thumb2": 1.0, "cortex_m4": 1.0}


# Cycles of a way: per list entry and word, per bit of the sums above 7 of the same, per group of four channels
# (buckets) or per channel and word, per entry and per group or channel of lists built at run time.
_CYCLES = {
    1: (7.9, 0.6, 1350.0, 8.9, 160.0),
    2: (6.9, 0.5, 120.0, 7.1, 80.0),
    3: (7.9, 0.3, 77.0, 7.8, 69.0),
}


def bits_cost(packed: Packed, isa: str) -> float:
    """Estimated Cortex-M4 cycles, within 10 % of the instruction-level estimate: planes built, lists built, list
    entries summed, sums finished."""
    p = packed.params
    d = p["dims"]
    taps = d["kernel_h"] * d["kernel_w"]
    words = -(-d["out_h"] * d["out_w"] // 32)
    blocks = -(-words // p["block_words"])
    entry, bit, unit, build, build_unit = _CYCLES[p["way"]]
    entries = 2.0 * float(p["runs"][..., 0].sum())
    units = p["groups"] if p["way"] == 1 else d["out_c"]
    cycles = words * (entries * (entry + bit * (p["bits"] - 7)) + units * unit)
    cycles += words * taps * (10.5 * d["in_c"] + 170.0) + 1500.0 * blocks + 1000.0
    if p["lists"] is None:
        cycles += blocks * (entries * build + units * build_unit)
    if p["borders"] is not None:
        rows = p["borders"].astype(int)
        first = (rows[:, 0] * d["out_w"] + rows[:, 2]) // 32
        last = ((rows[:, 1] - 1) * d["out_w"] + rows[:, 3] - 1) // 32
        runs = 1.0 if p["way"] == 1 else 0.5  # eight a group of four channels, or one a channel
        cycles += runs * units * (480.0 * words + 145.0 * float((last - first + 1).sum()))
        cycles += 110.0 * len(rows) * words
    return cycles * SLOWER[isa]


def _dtypes(c: Context) -> str | None:
    """What is wrong with the types of an op."""
    source, out = c.inputs[0], c.outputs[0]
    if source.dtype != "b1" or out.dtype != "b1" or len(c.outputs) > 1:
        return f"takes b1 and writes b1, not {source.dtype} to {out.dtype}"
    return None


def _narrow(packed: Packed) -> bool:
    """Whether -64 <= 2 S + odd - T < 64 in all channels, so that the sums modulo 64 do (``ebnn_bits_narrow``)."""
    p = packed.params
    d = p["dims"]
    entries = 2 * p["runs"][:, 0, 0].astype(int)  # or one less: an entry of zeros
    offset = 2 * p["runs"][:, 0, 1].astype(int) + (p["flags"] & 1) - p["total_start"]
    low = offset + entries - 1 - d["kernel_h"] * d["kernel_w"] * d["in_c"]
    return bool((offset + entries <= 63).all() and (low >= -64).all())


def bits_kernel(packed: Packed, isa: str) -> str | Unfit:
    """The kernel that has no more code than the packed layer needs."""
    p, form, thumb2 = packed.params, "", isa in ("cortex_m4", "thumb2")
    if p["borders"] is not None:
        if isa != "portable" and not thumb2:
            return Unfit("pads with +1, not with 0")
        form = "_zero_any" if thumb2 and (p["way"] != 1 or p["bits"] > 7) else "_zero"
    elif thumb2:
        if p["way"] == 1 and p["bits"] <= 7:
            form = "_buckets"
        elif p["way"] == 2 and _narrow(packed):
            form = "_minority"
    return f"ebnn_bconv2d_bits{form}__{isa}"


def _solve(c: Context, way: str | None = None, least_bits: int = BITS_WIDTHS[0]) -> BitsLayer | Unfit:
    attrs = c.op.attrs
    dims = conv_dims(c.op, c.inputs[0], c.outputs[0])
    return solve_bits_conv(
        attrs["weights"], attrs["weight_kind"], bool(attrs["pad_one"]), dims, epilogue(c), way, least_bits
    )


def _propose(c: Context, isa: str) -> list[Choice] | str:
    if wrong := _dtypes(c):
        return wrong
    choices: dict[tuple[str | None, str, int], Choice] = {}
    reason = "no packing fits"
    k = c.op.attrs["weights"][0].size
    either = c.op.attrs["weight_kind"] == "binary" and EITHER_WAY[0] <= k <= EITHER_WAY[1]
    for way in ("minority", "buckets") if either else (None,):
        layer = _solve(c, way, 7 if isa == "cortex_m0" else LEAST_BITS)
        if isinstance(layer, Unfit):
            reason = layer.reason
            continue
        for lists, budget in itertools.product(("flash", "ram"), BLOCK_BUDGETS):
            packed = pack_bits_conv(layer, lists, budget)
            if isinstance(packed, Unfit):
                reason = packed.reason
                continue
            kernel = bits_kernel(packed, isa)
            if isinstance(kernel, Unfit):
                reason = kernel.reason
                continue
            choice = _choice(c, kernel, lists, packed, bits_cost(packed, isa))
            choices.setdefault((way, lists, packed.scratch), choice)
    return list(choices.values()) or reason


def _mve_scratch(packed: Packed) -> int:
    """``ebnn_bconv2d_bits__mve_get_buffer_size``."""
    p = packed.params
    d = p["dims"]
    k = d["kernel_h"] * d["kernel_w"] * d["in_c"]
    quads = -(-p["block_words"] // 4)
    words = (8 * (k + 1) + 8) * quads + 32 * p["bits"]
    if p["way"] == 1:
        words += 20 * (p["bits"] + 3)
    elif p["way"] == 2:
        words += 48 * quads + k // 2 + 1
    return int(4 * words + ((2 * p["list_size"] + 3) // 4 * 4 if p["lists"] is None else 0))


def mve_cost(packed: Packed) -> float:
    """Estimated instructions (fitted to counts in the emulator): entries, runs, groups, planes, lists built."""
    p = packed.params
    d = p["dims"]
    k = d["kernel_h"] * d["kernel_w"] * d["in_c"]
    words = -(-d["out_h"] * d["out_w"] // 32)
    blocks = -(-words // p["block_words"])
    quads = blocks * -(-p["block_words"] // 4)
    entries = 2.0 * float(p["runs"][..., 0].sum())
    sums = 9.0 * entries + 35.0 * p["runs"].size + {1: 1250.0, 2: 900.0, 3: 200.0}[p["way"]] * p["groups"]
    build = (
        {1: 6.5 * k * p["groups"], 2: 8.0 * entries, 3: 8.0 * entries}[p["way"]]
        if p["lists"] is None
        else 0.0
    )
    return quads * (sums + 16.0 * k) + blocks * build + 2000.0


def _block_words(words: int, k: int) -> Iterator[int]:
    """Words of a block: all, or as many quads as fit the budgets, evenly."""
    quads = -(-words // 4)
    most = {max(1, min(quads, quads if b is None else b // (32 * (k + 1)))) for b in BLOCK_BUDGETS}
    for n in sorted(most, reverse=True):
        yield min(words, 4 * -(-quads // -(-quads // n)))


def _propose_mve(c: Context) -> list[Choice] | str:
    if wrong := _dtypes(c):
        return wrong
    layer = _solve(c)
    if isinstance(layer, Unfit):
        return layer.reason
    if layer.borders is not None:
        return "pads with +1, not with 0"
    choices = []
    for lists in ("flash", "ram"):
        packed = pack_bits_conv(layer, lists)
        if isinstance(packed, Unfit):
            return packed.reason
        for words in _block_words(-(-c.outputs[0].pixels // 32), c.op.attrs["weights"][0].size):
            blocked = dataclasses.replace(packed, params={**packed.params, "block_words": words})
            blocked = dataclasses.replace(blocked, scratch=_mve_scratch(blocked))
            choices.append(_choice(c, "ebnn_bconv2d_bits__mve", lists, blocked, mve_cost(blocked)))
    return choices


def _choice(c: Context, kernel: str, lists: str, packed: Packed, cost: float) -> Choice:
    blocks = -(-c.outputs[0].pixels // (32 * packed.params["block_words"]))
    way = {1: "buckets", 2: "rarer sign", 3: "direct"}[packed.params["way"]]
    variant = f"{way}, lists in {'flash' if lists == 'flash' else 'RAM'}" + (
        f", {blocks} blocks" if blocks > 1 else ""
    )
    return Choice(
        kernel, ("planes",), ("planes",), cost, lambda: packed.params, packed.flash, packed.scratch, variant
    )


def _propose_dense(c: Context, kernel: str) -> list[Choice] | str:
    source, out = c.inputs[0], c.outputs[0]
    if wrong := _dtypes(c):
        return wrong
    if tuple(c.op.attrs["kernel"]) != source.shape[:2] or any(c.op.attrs["pads"]):
        return "is for dense layers"
    packed = pack_dense_bits(c.op.attrs["weights"], c.op.attrs["weight_kind"], epilogue(c))
    if isinstance(packed, Unfit):
        return packed.reason
    words = -(-out.channels // 32)
    cost = 150.0 + source.elements * (1.4 + 3.0 + 4.3 * words) + 150.0 * words
    cost *= SLOWER[kernel.rpartition("__")[2]]
    return [Choice(kernel, ("nhwc",), ("nhwc",), cost, lambda: packed.params, packed.flash, packed.scratch)]


def _propose_dense_sums(c: Context, kernel: str) -> list[Choice] | str:
    source, out = c.inputs[0], c.outputs[0]
    a = c.op.attrs
    if not source.is_bits or len(c.outputs) > 1:
        return "takes b1 and u2..u4 and has one output"
    if a["weights"].shape[1:] != source.shape or out.pixels != 1 or any(a["pads"]):
        return "is for dense layers"
    packed = pack_dense_sums(a["weights"], a["weight_kind"], bit_count(source), epilogue(c))
    if isinstance(packed, Unfit):
        return packed.reason
    layouts = ("nhwc",) * len(c.inputs)
    cost = dense_sums_cost(packed.params) * SLOWER[kernel.rpartition("__")[2]]
    return [Choice(kernel, layouts, ("nhwc",), cost, lambda: packed.params, packed.flash, packed.scratch)]


def dense_sums_cost(p: Params) -> float:
    """Estimated Cortex-M4 cycles of ``ebnn_bdense_sums__*``, within 10 % for inputs of which half are 1."""
    sums = len(p["weights"]) * -(-p["outputs"] // 32)
    lanes = 32 * p["pixels"] * p["words_per_pixel"]
    per_bit = 270.0 + 4.0 * lanes + sums * (4.6 * p["inputs"] + 430.0)
    return 250.0 + p["in_bits"] * per_bit + 62.0 * p["outputs"]


def _propose_pool(c: Context) -> list[Choice] | str:
    source, out = c.inputs[0], c.outputs[0]
    if source.dtype != "b1":
        return f"pools b1, not {source.dtype}"
    a = c.op.attrs
    pieces = out.shape[0] * -(-out.shape[1] // (31 // a["stride"][1] + 1))
    cost = pieces * source.channels * (20.0 * a["kernel"][0] * a["kernel"][1] + 35.0) + 500.0
    params = {"dims": conv_dims(c.op, source, out), "dtype": DTYPE_CODES["b1"]}
    scratch = 4 * source.channels
    return [
        Choice("ebnn_max_pool2d_planes__portable", ("planes",), ("planes",), cost, lambda: params, 0, scratch)
    ]


def _candidate(isa: str) -> Candidate:
    def propose(c: Context) -> list[Choice] | str:
        return _propose(c, isa)

    return Candidate(f"bit planes {isa}", ("bconv2d",), isa, propose)


def _dense_candidate(isa: str) -> Candidate:
    def propose(c: Context) -> list[Choice] | str:
        return _propose_dense(c, f"ebnn_bdense_bits__{isa}")

    return Candidate(f"dense on channel lanes {isa}", ("bconv2d",), isa, propose)


def _sums_candidate(isa: str) -> Candidate:
    def propose(c: Context) -> list[Choice] | str:
        return _propose_dense_sums(c, f"ebnn_bdense_sums__{isa}")

    return Candidate(f"dense on channel lanes, any codes {isa}", ("bconv2d",), isa, propose)


CANDIDATES = (
    Candidate("max pool on bit planes", ("max_pool2d",), "portable", _propose_pool),
    Candidate("bit planes mve", ("bconv2d",), "mve", _propose_mve),
    *(
        make(isa)
        for isa in ("portable", "cortex_m0", "thumb2", "cortex_m4")
        for make in (_candidate, _dense_candidate)
    ),
    *(_sums_candidate(isa) for isa in ("cortex_m0", "thumb2", "cortex_m4")),
)
