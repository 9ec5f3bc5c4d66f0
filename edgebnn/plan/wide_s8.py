"""Candidates of the kernels with s8 activations for SIMD lanes (ebnn_wide.h): convolution, dense and depthwise layers
with s8 weights, and low-bit weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgebnn.plan.geometry import conv_dims, epilogue, params_bytes
from edgebnn.plan.portable import conv_s8_params
from edgebnn.plan.types import Candidate, Choice, Context, Params

#: pixels that the convolution gathers at a time
PIXELS = 42


@dataclass(frozen=True)
class _Isa:
    """Lanes of output channels, products that go to one at a time, and measured cycles of such a step."""

    lanes: int
    step: int
    cycles: float


ISAS = {"avx2": _Isa(8, 2, 0.6), "avx512": _Isa(16, 2, 0.6), "avx512_icl": _Isa(16, 4, 0.55)}


def pack_conv(c: Context, layout: str, isa: _Isa) -> Params:
    """Fields of ebnn_conv_s8_wide_params_t."""
    plain = dict(conv_s8_params(c, layout))
    codes = plain["weights"].astype(np.int64)
    taps = codes.reshape(*codes.shape[:2], -1)  # out_c, kernel row, values
    weights = np.pad(taps, ((0, 0), (0, 0), (0, -taps.shape[2] % isa.step))).reshape(taps.shape[0], -1)
    row = weights.shape[1]
    channels = -(-weights.shape[0] // (2 * isa.lanes)) * 2 * isa.lanes
    wide = np.zeros((channels, row), np.int64)
    wide[: weights.shape[0], : weights.shape[1]] = weights
    shape = (channels // (2 * isa.lanes), 2, isa.lanes, row // isa.step, isa.step)
    laid = np.ascontiguousarray(wide.reshape(shape).transpose(0, 3, 1, 2, 4))
    shift = plain["input_offset"] - (128 if isa.step == 4 else 0)
    bias = np.zeros(channels, np.int64)
    bias[: weights.shape[0]] = plain["bias"]
    bias += shift * wide.sum(axis=1)
    spare = (0, channels - weights.shape[0])
    return {
        **plain,
        "weights": laid.astype("<i2").view(np.int8) if isa.step == 2 else laid.astype(np.int8),
        "bias": bias.astype(np.int32),  # wraps as the sums do
        "multiplier": np.pad(plain["multiplier"], spare),
        "shift": np.pad(plain["shift"], spare),
        "row": row,
        "lanes": isa.lanes,
        "step": isa.step,
    }


def by_rows(d: Params) -> bool:
    """Whether the kernel keeps rows of the image (wide_conv_s8.h); else it gathers pixels."""
    plain = d["dilation_h"] == 1 and d["dilation_w"] == 1 and d["kernel_h"] * d["kernel_w"] > 1
    return bool(plain and d["kernel_h"] <= 16 and d["out_w"] >= 24)


def conv_scratch(params: Params, isa: _Isa) -> int:
    """The convolutions' *_get_buffer_size."""
    d = params["dims"]
    values = PIXELS * params["row"]
    if by_rows(d):
        reach = (d["out_w"] - 1) * d["stride_w"] + d["kernel_w"]
        values = d["kernel_h"] * (reach * d["in_c"] + isa.step)
    return int(4 // isa.step * values)


def _conv(c: Context, name: str) -> list[Choice] | str:
    if (c.op.attrs["multiplier"] < 0).any():
        return "takes multipliers of at least 0"
    isa, out = ISAS[name], c.outputs[0]
    choices = []
    for layout in ("nhwc", "chw"):
        params = pack_conv(c, layout, isa)
        pairs = params["bias"].size // (2 * isa.lanes)
        cost = out.pixels * pairs * (2 * isa.cycles * params["row"] / isa.step + 20.0)
        if not by_rows(params["dims"]):
            cost += (0.2 * params["row"] + 20.0) * out.pixels
        if layout == "chw":
            cost += 3.0 * out.elements
        choices.append(
            Choice(
                f"ebnn_conv2d_s8_wide__{name}",
                ("nhwc",),
                (layout,),
                cost,
                lambda params=params: params,  # type: ignore[misc]
                params_bytes(params),
                conv_scratch(params, isa),
                parts=max(out.pixels, -(-out.channels // (2 * isa.lanes))),
            )
        )
    return choices


#: products of an output of the 2-bit kernel: 4 * u * x is at most 4 * 3 * 128 in size, its sum stays below 2^31
LOW_BIT_PRODUCTS = (2**31 - 1) // (4 * 3 * 128)

#: cycles of a depthwise output
PER_OUTPUT = 2.5


def _depthwise(c: Context, isa: str) -> list[Choice] | str:
    if (c.op.attrs["multiplier"] < 0).any():
        return "takes multipliers of at least 0"
    choices = []
    for layout in ("nhwc", "chw"):
        params = conv_s8_params(c, layout)
        taps = params["dims"]["kernel_h"] * params["dims"]["kernel_w"]
        repeats = params["dims"]["in_c"] != params["dims"]["out_c"]
        cost = (2.0 if repeats else 0.25) * taps * c.outputs[0].elements + PER_OUTPUT * c.outputs[0].elements
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


def _conv_candidate(isa: str) -> Candidate:
    return Candidate(f"s8 convolution {isa}", ("conv2d",), isa, lambda c: _conv(c, isa))


def _depthwise_candidate(isa: str) -> Candidate:
    return Candidate(f"s8 depthwise {isa}", ("depthwise_conv2d",), isa, lambda c: _depthwise(c, isa))


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
    if c.op.attrs["weights"][0].size > LOW_BIT_PRODUCTS:
        return (
            f"{c.op.attrs['weights'][0].size} products per output are too many for 32-bit sums of 4 * u * x"
        )
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
    *(_conv_candidate(isa) for isa in ISAS),
    *(_depthwise_candidate(isa) for isa in ("avx2", "avx512")),
)
