"""Candidates of the s8 kernels for cores with the DSP extension (Cortex-M4, M7, M33)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from edgebnn.plan import pack_s8, pack_s8_dense, pack_s8_lists, portable
from edgebnn.plan.geometry import LAYOUT_CODES, conv_dims, epilogue, params_bytes
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
    dims = pack_s8.merged_rows(base["dims"])
    flash = params_bytes(base) + 4 * (c.outputs[0].shape[2] % 2)

    def packed(layout: str, dims: Params) -> Params:
        p = pack_s8.pack_conv(c.op.attrs["weights"], c.op.attrs["bias"], -c.inputs[0].zero_point)
        return {**conv_s8_params(c, layout), "dims": dims, "weights": p.weights, "bias": p.bias}

    # maps with less than a tile of pixels leave room for one in the rows of CHW only
    layouts = ("nhwc", "chw") if dims["out_h"] * dims["out_w"] >= 4 else ("chw",)
    choices = [
        Choice(
            "ebnn_conv2d_s8__cortex_m4",
            ("nhwc",),
            (layout,),
            pack_s8.conv_cycles(dims),
            lambda layout=layout: packed(layout, dims),  # type: ignore[misc]
            flash,
            pack_s8.conv_scratch(dims),
        )
        for layout in layouts
    ]
    if c.op.attrs["weights"][0].shape == c.inputs[0].shape and not any(c.op.attrs["pads"]):
        dense = {**dict.fromkeys(dims, 1), "pad_h": 0, "pad_w": 0, "out_c": dims["out_c"]}
        dense["in_c"] = c.inputs[0].elements
        cost = pack_s8.dense_cycles(dense)
        choices.append(
            Choice(
                "ebnn_dense_s8__cortex_m4", ("nhwc",), ("nhwc",), cost, lambda: packed("nhwc", dense), flash
            )
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


def _lists(c: Context) -> list[Choice] | str:
    source, out = c.inputs[0], c.outputs[0]
    if source.dtype != "s8":
        return f"takes s8 activations, not {source.dtype}"
    if len(c.outputs) > 1:
        return "has one output"
    packed = pack_s8_lists.pack_lists(c.op.attrs["weights"], c.op.attrs["weight_kind"], -source.zero_point)
    if isinstance(packed, str):
        return packed
    dims = conv_dims(c.op, source, out)

    def params(layout: str) -> Params:
        return {
            "dims": dims,
            "lists": packed.lists,
            "counts": packed.counts,
            "coefficients": packed.coefficients,
            "bias": packed.bias,
            "input_offset": -source.zero_point,
            "pass_depth": packed.pass_depth,
            "passes": packed.passes,
            "classes": packed.classes,
            "group": packed.group,
            "out_layout": LAYOUT_CODES[layout],
            "epilogue": epilogue(c),
        }

    cost = pack_s8_lists.cycles(dims, packed)
    return [
        Choice(
            "ebnn_bconv2d_s8_lists__cortex_m4",
            ("nhwc", layout)[: len(c.inputs)],
            (layout,),
            cost,
            lambda layout=layout: params(layout),  # type: ignore[misc]
            params_bytes(params(layout)),
            pack_s8_lists.scratch(dims, packed.classes),
        )
        for layout in (("nhwc", "chw") if out.dtype in ("s8", "s32") else ("nhwc",))
    ]


def _low_bit_dense(c: Context) -> list[Choice] | str:
    source, out = c.inputs[0], c.outputs[0]
    if source.dtype != "s8":
        return f"takes s8 activations, not {source.dtype}"
    if len(c.outputs) > 1:
        return "has one output"
    codes, kind = c.op.attrs["weights"], c.op.attrs["weight_kind"]
    if out.pixels != 1 or codes.shape[1:] != source.shape or any(c.op.attrs["pads"]):
        return "not a dense layer: one output pixel of all inputs"
    flat = codes.reshape(len(codes), -1)
    params = {**pack_s8_dense.pack_dense(flat, kind, -source.zero_point), "epilogue": epilogue(c)}
    return [
        Choice(
            "ebnn_bdense_s8__cortex_m4",
            ("nhwc",) * len(c.inputs),
            ("nhwc",),
            pack_s8_dense.cycles(flat.shape[1], len(flat), kind),
            lambda: params,
            params_bytes(params),
            pack_s8_dense.scratch(flat.shape[1], kind),
        )
    ]


def _as_portable(op_type: str, cost_ratio: float) -> Callable[[Context], list[Choice] | str]:
    """The portable kernel's choices for a kernel with the same params."""
    rule = next(c.propose for c in portable.CANDIDATES if op_type in c.op_types)

    def propose(c: Context) -> list[Choice] | str:
        choices = rule(c)
        if isinstance(choices, str):
            return choices
        return [
            replace(o, kernel=o.kernel.replace("__portable", "__cortex_m4"), cost=cost_ratio * o.cost)
            for o in choices
        ]

    return propose


#: pixels of an average's window, as in src/cortex_m/pool_s8.c
AVERAGE_MOST = 256


def _pool(c: Context) -> list[Choice] | str:
    source, out = c.inputs[0], c.outputs[0]
    rows = c.op.attrs["kernel"][0]
    taps = rows * c.op.attrs["kernel"][1]
    average = c.op.type == "avg_pool2d"
    if source.dtype != "s8" or source.channels < 4:
        return f"takes s8 of 4 channels or more, not {source.dtype} of {source.channels}"
    if average and taps > AVERAGE_MOST:
        return f"takes windows of at most {AVERAGE_MOST} pixels"
    words = -(-source.channels // 4)
    word = 67.0 + 9.0 * taps + 7.5 * rows if average else 15.0 + 7.0 * taps + 6.0 * rows
    cost = out.pixels * (90.0 + words * word)
    params = portable.pool_params(c)
    kernel = f"ebnn_{c.op.type}_s8__cortex_m4"
    return [Choice(kernel, ("nhwc",), ("nhwc",), cost, lambda: params, params_bytes(params))]


def _mean(c: Context) -> list[Choice] | str:
    choices = _as_portable("mean", 0.25)(c)
    if isinstance(choices, str):
        return choices
    return [
        replace(o, kernel="ebnn_mean_s8_chw__cortex_m4") if o.in_layouts == ("chw",) else o for o in choices
    ]


CANDIDATES = (
    Candidate("DSP s8 convolution", ("conv2d",), "cortex_m4", _conv),
    Candidate("DSP s8 depthwise", ("depthwise_conv2d",), "cortex_m4", _depthwise),
    Candidate("DSP low-bit x s8 lists", ("bconv2d",), "cortex_m4", _lists),
    Candidate("DSP low-bit x s8 dense", ("bconv2d",), "cortex_m4", _low_bit_dense),
    Candidate("DSP s8 add", ("add",), "cortex_m4", _as_portable("add", 0.5)),
    Candidate("DSP s8 pools", ("max_pool2d", "avg_pool2d"), "cortex_m4", _pool),
    Candidate("DSP s8 mean", ("mean",), "cortex_m4", _mean),
)
