"""Candidates of the NEON kernels that are not on bit planes (ebnn_neon.h): counting, 2-bit weights with s8
activations, and s8 layers. Costs are cycles of a Cortex-A76, from llvm-mca (benchmarks/neon)."""

from __future__ import annotations

from edgebnn.plan import pack_neon
from edgebnn.plan.geometry import bit_count, params_bytes
from edgebnn.plan.types import Candidate, Choice, Context, Params

#: cycles of a vector of 128 products of a tile's pixel and four channels; a pixel alone shares no load of weights
COUNT, COUNT_ALONE = 1.5, 2.8
#: cycles of four outputs: the sums of the lanes and the epilogue
FINISH = 14.0
#: cycles a product (SMULL and SMLAL) and a requantised output
S8_MAC, S8_OUTPUT = 0.12, 3.0
DEPTHWISE_MAC = 0.4
LOW_BIT_MAC = 0.08


def _count(c: Context) -> list[Choice] | str:
    source, out = c.inputs[0], c.outputs[0]
    if source.dtype == "s8":
        return "takes b1 and u2..u4 activations, not s8"
    if len(c.outputs) > 1 and c.outputs[1].dtype == "s8":
        return "does not write a second s8 output"
    params = pack_neon.pack_count(c)
    if isinstance(params, str):
        return params
    planes = (1.0 if params["weight_kind"] == 1 else 2.0) * bit_count(source)
    groups = -(-out.channels // 4)
    vector = 4.0 * (COUNT if out.pixels > 1 else COUNT_ALONE) * planes
    cost = out.pixels * groups * (vector * params["row"] / 16 + FINISH * (1 if planes == 1 else 2))
    gather = out.pixels * bit_count(source) * (0.5 * params["row"] + 20.0)
    return [_choice("bconv2d_dot", c, "nhwc", cost + gather, params, pack_neon.count_scratch(params))]


def _low_bit(c: Context) -> list[Choice] | str:
    if c.inputs[0].dtype != "s8":
        return "takes s8 activations"
    if len(c.outputs) > 1:
        return "no second output"
    params, out = pack_neon.pack_low_bit(c), c.outputs[0]
    cost = out.pixels * params["row"] * (LOW_BIT_MAC * out.channels + 0.3) + FINISH * out.elements / 4
    scratch = pack_neon.LOW_BIT_PIXELS * params["row"]
    return [_choice("bconv2d_s8", c, "nhwc", cost, params, scratch)]


def _s8(c: Context) -> list[Choice] | str:
    if c.op.attrs["weights"].min() < -127:
        return "takes weights of -127..127"
    out, choices = c.outputs[0], []
    for layout in ("nhwc", "chw"):
        params = pack_neon.pack_s8(c, layout)
        extra = S8_OUTPUT * out.elements * (1.0 if layout == "nhwc" else 1.5)
        if c.op.type == "conv2d":
            cost = out.pixels * params["row"] * (S8_MAC * out.channels + 0.3)
            scratch = pack_neon.PIXELS * params["row"]
        else:
            taps = params["dims"]["kernel_h"] * params["dims"]["kernel_w"]
            cost, scratch = DEPTHWISE_MAC * taps * out.elements, pack_neon.depthwise_scratch(params)
        choices.append(_choice(f"{c.op.type}_s8", c, layout, cost + extra, params, scratch))
    return choices


def _choice(kernel: str, c: Context, layout: str, cost: float, params: Params, scratch: int) -> Choice:
    out = c.outputs[0]
    channels = {"bconv2d": 32, "conv2d": 8}.get(c.op.type)  # that a part has at least
    return Choice(
        f"ebnn_{kernel}__neon",
        ("nhwc",) * len(c.inputs),
        (layout,) * len(c.outputs),
        cost,
        lambda: params,
        params_bytes(params),
        scratch,
        parts=max(out.pixels, -(-out.channels // channels) if channels else 1),
    )


CANDIDATES = (
    Candidate("counting neon", ("bconv2d",), "neon", _count),
    Candidate("2-bit weights neon", ("bconv2d",), "neon", _low_bit),
    Candidate("s8 layers neon", ("conv2d", "depthwise_conv2d"), "neon", _s8),
)
