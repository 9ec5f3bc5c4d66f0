"""Candidates of the s8 kernels for cores with the DSP extension (Cortex-M4, M7, M33)."""

from __future__ import annotations

from edgebnn.plan import pack_s8
from edgebnn.plan.geometry import params_bytes
from edgebnn.plan.portable import conv_s8_params
from edgebnn.plan.types import Candidate, Choice, Context, Params


def _misfit(c: Context) -> str | None:
    a = c.op.attrs
    weights = a["weights"]
    if c.op.type == "depthwise_conv2d":
        weights = weights.reshape(-1, weights.shape[-1]).T
    return pack_s8.misfit(weights, a["bias"], -c.inputs[0].zero_point, a["shift"])


def _conv(c: Context) -> list[Choice] | str:
    if reason := _misfit(c):
        return reason
    base = conv_s8_params(c)
    dims = base["dims"]
    dense = c.inputs[0].shape[:2] == (1, 1) and (dims["kernel_h"], dims["kernel_w"]) == (1, 1)
    flash = params_bytes(base) + 4 * (c.outputs[0].shape[2] % 2)

    def packed(layout: str) -> Params:
        p = pack_s8.pack_conv(c.op.attrs["weights"], c.op.attrs["bias"], -c.inputs[0].zero_point)
        return {**conv_s8_params(c, layout), "weights": p.weights, "bias": p.bias}

    choices = [
        Choice(
            "ebnn_conv2d_s8__cortex_m4",
            ("nhwc",),
            (layout,),
            pack_s8.conv_cycles(dims),
            lambda layout=layout: packed(layout),  # type: ignore[misc]
            flash,
            pack_s8.conv_scratch(dims),
        )
        for layout in ("nhwc", "chw")
    ]
    if dense:
        cost = pack_s8.dense_cycles(dims)
        choices.append(
            Choice("ebnn_dense_s8__cortex_m4", ("nhwc",), ("nhwc",), cost, lambda: packed("nhwc"), flash)
        )
    return choices


def _depthwise(c: Context) -> list[Choice] | str:
    if reason := _misfit(c):
        return reason
    choices = []
    for layout in ("nhwc", "chw"):
        params = conv_s8_params(c, layout)
        choices.append(
            Choice(
                "ebnn_depthwise_conv2d_s8__cortex_m4",
                ("nhwc",),
                (layout,),
                pack_s8.depthwise_cycles(params["dims"]),
                lambda params=params: params,  # type: ignore[misc]
                params_bytes(params),
                pack_s8.depthwise_scratch(params["dims"]),
            )
        )
    return choices


CANDIDATES = (
    Candidate("DSP s8 convolution", ("conv2d",), "cortex_m4", _conv),
    Candidate("DSP s8 depthwise", ("depthwise_conv2d",), "cortex_m4", _depthwise),
)
