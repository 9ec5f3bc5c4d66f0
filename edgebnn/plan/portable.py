"""Candidates of the portable C kernels: every op, any shape. Costs are rough (cycles of a Cortex-M4)."""

from __future__ import annotations

from edgebnn.ir import TensorType
from edgebnn.ir.ops import REGISTRY
from edgebnn.plan.geometry import (
    DTYPE_CODES,
    LAYOUT_CODES,
    WEIGHT_KIND_CODES,
    bit_count,
    conv_dims,
    epilogue,
    params_bytes,
    weight_planes,
)
from edgebnn.plan.types import Candidate, Choice, Context, Params


def _choice(kernel: str, ins: tuple[str, ...], outs: tuple[str, ...], cost: float, params: Params) -> Choice:
    return Choice(f"ebnn_{kernel}__portable", ins, outs, cost, lambda: params, flash=params_bytes(params))


def _macs(c: Context) -> int:
    return REGISTRY[c.op.type].macs(c.op, c.outputs[0].shape)


def conv_s8_params(c: Context, out_layout: str = "nhwc") -> Params:
    """Fields of ebnn_conv_s8_params_t with the weights in the IR's order."""
    a = c.op.attrs
    return {
        "dims": conv_dims(c.op, c.inputs[0], c.outputs[0]),
        **{k: a[k] for k in ("weights", "bias", "multiplier", "shift", "act_min", "act_max")},
        "input_offset": -c.inputs[0].zero_point,
        "output_offset": c.outputs[0].zero_point,
        "out_layout": LAYOUT_CODES[out_layout],
    }


def _conv_s8(c: Context) -> list[Choice]:
    name = "conv2d_s8" if c.op.type == "conv2d" else "depthwise_conv2d_s8"
    return [
        _choice(name, ("nhwc",), (layout,), 12.0 * _macs(c), conv_s8_params(c, layout))
        for layout in ("nhwc", "chw")
    ]


def _bconv(c: Context) -> list[Choice] | str:
    if len(c.outputs) > 1:
        return "no second output"
    a = c.op.attrs
    params = {
        "dims": conv_dims(c.op, c.inputs[0], c.outputs[0]),
        "weights": weight_planes(a["weights"], a["weight_kind"]),
        "weight_kind": WEIGHT_KIND_CODES[a["weight_kind"]],
        "in_dtype": DTYPE_CODES[c.inputs[0].dtype],
        "pad_one": a["pad_one"],
        "input_offset": -c.inputs[0].zero_point,
        "epilogue": epilogue(c),
    }
    layouts = ("nhwc",) * len(c.inputs)
    return [_choice("bconv2d", layouts, ("nhwc",), c.outputs[0].elements * _bconv_output(c), params)]


def _bconv_output(c: Context) -> float:
    """Cycles of one output."""
    source, kind = c.inputs[0], c.op.attrs["weight_kind"]
    if source.dtype == "s8":
        return 60.0 + (8.0 if kind == "binary" else 16.0) * c.op.attrs["weights"][0].size
    words, bits = -(-source.channels // 32), bit_count(source)
    b1 = 20.0 * words * (2 if kind == "ternary" else 1)
    dot = b1 if source.dtype == "b1" else bits * (30.0 + 34.0 * words)
    taps = c.op.attrs["kernel"][0] * c.op.attrs["kernel"][1]
    return 175.0 + taps * (105.0 + dot * (2 if kind == "two_plane" else 1))


def quantize_params(c: Context, in_layout: str, out_layout: str) -> Params:
    """Fields of ebnn_quantize_params_t."""
    return {
        **dict(zip("hwc", c.inputs[0].shape, strict=True)),
        **{k: c.op.attrs[k] for k in ("mul", "add", "shift")},
        "out_dtype": DTYPE_CODES[c.outputs[0].dtype],
        "in_layout": LAYOUT_CODES[in_layout],
        "out_layout": LAYOUT_CODES[out_layout],
    }


def _quantize(c: Context) -> list[Choice]:
    if c.outputs[0].dtype == "s8":
        pairs = [("nhwc", "nhwc"), ("chw", "chw")]
    else:
        pairs = [(source, out) for source in ("nhwc", "chw") for out in ("nhwc", "planes", "nibbles")]
    cost = (40.0 + 35.0 * bit_count(c.outputs[0])) * c.inputs[0].elements
    return [_choice("quantize", (i,), (o,), cost, quantize_params(c, i, o)) for i, o in pairs]


def layout_choice(source: TensorType, out_layout: str) -> Choice:
    """The conversion of ``source`` to another storage order."""
    params = {
        **dict(zip("hwc", source.shape, strict=True)),
        "dtype": DTYPE_CODES[source.dtype],
        "in_layout": LAYOUT_CODES[source.layout],
        "out_layout": LAYOUT_CODES[out_layout],
    }
    cost = 12.0 * source.elements * (bit_count(source) if source.is_bits else 1)
    name = "layout_s32" if source.dtype == "s32" else "layout"
    return _choice(name, (source.layout,), (out_layout,), cost, params)


def _layout(c: Context) -> list[Choice]:
    return [layout_choice(c.inputs[0], c.outputs[0].layout)]


def _add(c: Context) -> list[Choice]:
    a = c.op.attrs
    params = {"n": 0, **a} | {
        "input1_offset": -c.inputs[0].zero_point,
        "input2_offset": -c.inputs[1].zero_point,
        "output_offset": c.outputs[0].zero_point,
    }
    choices = []
    # the kernel does not tell a CHW plane's tail, which must stay 0, from its pixels
    for layout in ("nhwc", "chw") if c.outputs[0].pixels % 4 == 0 else ("nhwc",):
        n = c.outputs[0].with_layout(layout).nbytes
        choices.append(_choice("add_s8", (layout, layout), (layout,), 60.0 * n, {**params, "n": n}))
    return choices


def pool_params(c: Context) -> Params:
    """Fields of ebnn_pool_params_t of a windowed pool."""
    a, t = c.op.attrs, c.inputs[0]
    return {
        "dims": conv_dims(c.op, t, c.outputs[0]),
        "dtype": DTYPE_CODES[t.dtype],
        "in_layout": 0,
        "act_min": a["act_min"],
        "act_max": a["act_max"],
    }


def _pool(c: Context) -> list[Choice]:
    a = c.op.attrs
    name = "max_pool2d" if c.op.type == "max_pool2d" else "avg_pool2d_s8"
    own = 0.0 if c.inputs[0].is_bits else (40.0 if name == "max_pool2d" else 60.0)
    cost = c.outputs[0].elements * (own + 12.0 * a["kernel"][0] * a["kernel"][1])
    return [_choice(name, ("nhwc",), ("nhwc",), cost, pool_params(c))]


def _mean(c: Context) -> list[Choice]:
    a, t = c.op.attrs, c.inputs[0]
    dims = {
        "in_h": t.shape[0],
        "in_w": t.shape[1],
        "in_c": t.shape[2],
        "out_h": 1,
        "out_w": 1,
        "out_c": t.shape[2],
    }
    params = {
        "dims": dims,
        "dtype": DTYPE_CODES["s8"],
        "input_offset": -t.zero_point,
        "output_offset": c.outputs[0].zero_point,
        **{k: a[k] for k in ("multiplier", "shift", "act_min", "act_max")},
    }
    return [
        _choice(
            "mean_s8", (layout,), ("nhwc",), 8.0 * t.elements, {**params, "in_layout": LAYOUT_CODES[layout]}
        )
        for layout in ("nhwc", "chw")
    ]


def _softmax(c: Context) -> list[Choice]:
    h, w, depth = c.inputs[0].shape
    params = {"rows": h * w, "depth": depth, **c.op.attrs}
    return [_choice("softmax_s8", ("nhwc",), ("nhwc",), 400.0 * h * w * depth, params)]


CANDIDATES = tuple(
    Candidate(f"portable {'/'.join(types)}", types, "portable", rule)
    for types, rule in (
        (("conv2d", "depthwise_conv2d"), _conv_s8),
        (("bconv2d",), _bconv),
        (("quantize",), _quantize),
        (("layout",), _layout),
        (("add",), _add),
        (("max_pool2d", "avg_pool2d"), _pool),
        (("mean",), _mean),
        (("softmax",), _softmax),
    )
)
