"""Candidates of the kernels with s8 activations for SIMD lanes (ebnn_wide.h): convolution, dense and depthwise layers
with s8 weights, and low-bit weights."""

from __future__ import annotations

import numpy as np

from edgebnn.plan.geometry import conv_dims, epilogue, params_bytes
from edgebnn.plan.portable import conv_s8_params
from edgebnn.plan.types import Candidate, Choice, Context, Params

#: pixels that the convolution gathers at a time, and 16-bit products of a row
PIXELS, ROW = 16, 32

#: cycles a product, and cycles a requantised output
PER_MAC = {"avx2": 0.06, "avx512": 0.03}
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
                parts=max(c.outputs[0].pixels, -(-c.outputs[0].channels // 4)),
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
                parts=c.outputs[0].pixels,
            )
        )
    return choices


def _candidates(isa: str) -> tuple[Candidate, ...]:
    return (
        Candidate(f"s8 convolution {isa}", ("conv2d",), isa, lambda c: _conv(c, isa)),
        Candidate(f"s8 depthwise {isa}", ("depthwise_conv2d",), isa, lambda c: _depthwise(c, isa)),
    )


def pack_low_bit(c: Context) -> Params:
    """Fields of ebnn_bconv_s8_wide_params_t: 2-bit weights, four output channels side by side."""
    codes, kind = c.op.attrs["weights"], c.op.attrs["weight_kind"]
    gain, minus = {"binary": (2, 1), "ternary": (1, 1), "two_plane": (2, 3)}[kind]
    rows = codes.reshape(codes.shape[0], -1).astype(np.int64)
    row = -(-rows.shape[1] // 128) * 128
    u = np.zeros((-(-rows.shape[0] // 4) * 4, row), np.uint8)
    u[: rows.shape[0], : rows.shape[1]] = (rows + minus) // gain
    parts = u.reshape(-1, 4, row // 128, 4, 32).transpose(0, 2, 1, 3, 4)  # group, block, channel, part, byte
    shifts = np.array([0, 2, 4, 6], np.uint8)[:, None]
    return {
        "dims": conv_dims(c.op, c.inputs[0], c.outputs[0]),
        "weights": np.ascontiguousarray(np.bitwise_or.reduce(parts << shifts, axis=3)),
        "offset": (-c.inputs[0].zero_point * rows.sum(axis=1)).astype(np.int32),
        "epilogue": epilogue(c),
        "gain": gain,
        "minus": minus,
        "zero_point": c.inputs[0].zero_point,
        "row": row,
    }


def _low_bit(c: Context) -> list[Choice] | str:
    if c.inputs[0].dtype != "s8":
        return "takes s8 activations"
    if len(c.outputs) > 1:
        return "no second output"
    params = pack_low_bit(c)
    cost = c.outputs[0].pixels * params["row"] * (0.06 * c.outputs[0].channels + 0.2)
    layouts = ("nhwc",) * len(c.inputs)
    kernel = "ebnn_bconv2d_s8_wide__avx2"
    cost += 10.0 * c.outputs[0].elements
    parts = max(c.outputs[0].pixels, -(-c.outputs[0].channels // 32))
    return [
        Choice(
            kernel,
            layouts,
            ("nhwc",),
            cost,
            lambda: params,
            params_bytes(params),
            params["row"],
            parts=parts,
        )
    ]


CANDIDATES = (
    Candidate("2-bit weights avx2", ("bconv2d",), "avx2", _low_bit),
    *(candidate for isa in PER_MAC for candidate in _candidates(isa)),
)
