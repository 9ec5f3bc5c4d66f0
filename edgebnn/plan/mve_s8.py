"""Candidates of the s8 kernels and the quantiser for cores with MVE (Cortex-M55, M85). Costs are rough cycles."""

from __future__ import annotations

from edgebnn.plan import pack_s8
from edgebnn.plan.geometry import bit_count, params_bytes
from edgebnn.plan.portable import conv_s8_params, quantize_params
from edgebnn.plan.types import Candidate, Choice, Context


def _conv(c: Context) -> list[Choice]:
    dims = conv_s8_params(c)["dims"]
    k = dims["kernel_h"] * dims["kernel_w"] * dims["in_c"]
    groups = (dims["out_c"] + 3) // 4
    cost = dims["out_h"] * dims["out_w"] * (groups * (12.0 * -(-k // 16) + 60.0) + 0.6 * k + 150.0)
    bias = pack_s8.fold_bias(c.op.attrs["weights"], c.op.attrs["bias"], -c.inputs[0].zero_point)
    choices = []
    for layout in ("nhwc", "chw"):
        params = {**conv_s8_params(c, layout), "bias": bias}
        choices.append(
            Choice(
                "ebnn_conv2d_s8__mve",
                ("nhwc",),
                (layout,),
                cost,
                lambda params=params: params,  # type: ignore[misc]
                params_bytes(params),
                (k + 3) // 4 * 4,
            )
        )
    return choices


def _depthwise(c: Context) -> list[Choice] | str:
    if c.inputs[0].shape[2] != c.outputs[0].shape[2]:
        return "takes one output channel per input channel"
    choices = []
    for layout in ("nhwc", "chw"):
        params = conv_s8_params(c, layout)
        d = params["dims"]
        groups = (d["out_c"] + 3) // 4
        cost = d["out_h"] * d["out_w"] * groups * (14.0 * d["kernel_h"] * d["kernel_w"] + 70.0)
        choices.append(
            Choice(
                "ebnn_depthwise_conv2d_s8__mve",
                ("nhwc",),
                (layout,),
                cost,
                lambda params=params: params,  # type: ignore[misc]
                params_bytes(params),
            )
        )
    return choices


#: as in src/mve/quantize_planes_mve.c
MOST_SHIFT = 24


def _quantize(c: Context) -> list[Choice] | str:
    out = c.outputs[0]
    if not out.is_bits:
        return f"writes bits, not {out.dtype}"
    if c.op.attrs["shift"] > MOST_SHIFT:
        return f"takes shifts of at most {MOST_SHIFT}"
    codes = 2 ** bit_count(out) - 1
    half = 24.0 if codes == 1 else 35.0 + 11.5 * codes  # of 16 pixels
    params = quantize_params(c, "chw", "planes")
    cost = out.channels * (60.0 + 30.0 * codes + 2.0 * -(-out.pixels // 32) * half)
    return [
        Choice("ebnn_quantize_planes__mve", ("chw",), ("planes",), cost, lambda: params, params_bytes(params))
    ]


CANDIDATES = (
    Candidate("MVE quantiser", ("quantize",), "mve", _quantize),
    Candidate("MVE s8 convolution", ("conv2d",), "mve", _conv),
    Candidate("MVE s8 depthwise", ("depthwise_conv2d",), "mve", _depthwise),
)
