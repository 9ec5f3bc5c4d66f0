"""Candidates of the s8 kernels for SIMD lanes (ebnn_wide.h): convolution, dense and depthwise layers."""

from __future__ import annotations

import numpy as np

from edgebnn.plan.geometry import params_bytes
from edgebnn.plan.portable import conv_s8_params
from edgebnn.plan.types import Candidate, Choice, Context, Params

#: pixels that the convolution gathers at a time, and 16-bit products of a row
PIXELS, ROW = 16, 32

#: cycles a product, and cycles a requantised output
PER_MAC = {"neon": 0.3, "avx2": 0.06, "avx512": 0.03}
PER_OUTPUT = 10.0


def pack_conv(c: Context, layout: str) -> Params:
    """Fields of ebnn_conv_s8_wide_params_t."""
    plain = dict(conv_s8_params(c, layout))
    weights = plain["weights"].reshape(plain["weights"].shape[0], -1)
    row = -(-weights.shape[1] // ROW) * ROW
    wide = np.zeros((-(-weights.shape[0] // 4) * 4, row), np.int16)
    wide[: weights.shape[0], : weights.shape[1]] = weights
    return {**plain, "weights": wide, "row": row}


def _conv(c: Context, isa: str) -> list[Choice]:
    choices = []
    for layout in ("nhwc", "chw"):
        params = pack_conv(c, layout)
        cost = PER_MAC[isa] * c.outputs[0].elements * params["row"] + PER_OUTPUT * c.outputs[0].elements
        choices.append(
            Choice(
                f"ebnn_conv2d_s8_wide__{isa}",
                ("nhwc",),
                (layout,),
                cost + 1.0 * c.outputs[0].pixels * params["row"],
                lambda params=params: params,  # type: ignore[misc]
                params_bytes(params),
                2 * PIXELS * params["row"],
            )
        )
    return choices


def _depthwise(c: Context, isa: str) -> list[Choice]:
    choices = []
    for layout in ("nhwc", "chw"):
        params = conv_s8_params(c, layout)
        taps = params["dims"]["kernel_h"] * params["dims"]["kernel_w"]
        repeats = params["dims"]["in_c"] != params["dims"]["out_c"]
        cost = (2.0 if repeats else 0.5) * taps * c.outputs[0].elements + PER_OUTPUT * c.outputs[0].elements
        choices.append(
            Choice(
                f"ebnn_depthwise_conv2d_s8_wide__{isa}",
                ("nhwc",),
                (layout,),
                cost,
                lambda params=params: params,  # type: ignore[misc]
                params_bytes(params),
                params["dims"]["out_c"] if repeats else 0,
            )
        )
    return choices


def _candidates(isa: str) -> tuple[Candidate, ...]:
    return (
        Candidate(f"s8 convolution {isa}", ("conv2d",), isa, lambda c: _conv(c, isa)),
        Candidate(f"s8 depthwise {isa}", ("depthwise_conv2d",), isa, lambda c: _depthwise(c, isa)),
    )


CANDIDATES = tuple(candidate for isa in PER_MAC for candidate in _candidates(isa))
