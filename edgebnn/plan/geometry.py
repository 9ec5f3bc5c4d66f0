"""Values of ebnn_conv_dims_t and weight packing shared by the packers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgebnn.ir import Op, TensorType
from edgebnn.ir.types import DTYPE_BITS
from edgebnn.plan.types import Context, Params

DTYPE_CODES = {"b1": 1, "u2": 2, "u3": 3, "u4": 4, "s8": 8, "s32": 32}
LAYOUT_CODES = {"nhwc": 0, "chw": 1, "planes": 2, "nibbles": 3}
WEIGHT_KIND_CODES = {"binary": 1, "ternary": 2, "two_plane": 3}


def conv_dims(op: Op, source: TensorType, out: TensorType) -> Params:
    """Fields of ebnn_conv_dims_t of a windowed op."""
    a = op.attrs
    return {
        "in_h": source.shape[0],
        "in_w": source.shape[1],
        "in_c": source.shape[2],
        "out_h": out.shape[0],
        "out_w": out.shape[1],
        "out_c": out.shape[2],
        "kernel_h": a["kernel"][0],
        "kernel_w": a["kernel"][1],
        "stride_h": a["stride"][0],
        "stride_w": a["stride"][1],
        "pad_h": a["pads"][0],
        "pad_w": a["pads"][2],
        "dilation_h": a["dilation"][0],
        "dilation_w": a["dilation"][1],
    }


def pack_bits(bits: np.ndarray) -> np.ndarray:
    """(..., n) of 0/1 -> (..., ceil(n / 32)) uint32, LSB first, padding bits 0."""
    n = bits.shape[-1]
    padded = np.zeros((*bits.shape[:-1], -(-n // 32) * 32), np.uint8)
    padded[..., :n] = bits
    return np.packbits(padded, axis=-1, bitorder="little").view("<u4").astype(np.uint32)


def weight_planes(codes: np.ndarray, kind: str) -> np.ndarray:
    """Codes [out_c, kh, kw, in_c] -> portable sign planes uint32 [out_c, plane, kh, kw, ceil(in_c / 32)]."""
    if kind == "binary":
        planes = [codes < 0]
    elif kind == "ternary":
        planes = [codes != 0, codes < 0]
    else:  # two_plane: w = 2 * s0 + s1
        planes = [codes < 0, (codes == 1) | (codes == -3)]
    return np.ascontiguousarray(np.stack([pack_bits(p.astype(np.uint8)) for p in planes], axis=1))


def epilogue(context: Context) -> Params:
    """Fields of ebnn_epilogue_t of a bconv2d."""
    a, out = context.op.attrs, context.outputs[0]
    return {
        "mul": a.get("mul"),
        "add": a.get("add"),
        "mul2": a.get("mul2"),
        "add2": a.get("add2"),
        "threshold": a.get("threshold"),
        "combine": {None: 0, "max": 1, "min": 2}[a.get("combine")],
        "shift": a.get("shift", 0) or 0,
        "out_dtype": DTYPE_CODES[out.dtype],
        "residual": int(len(context.inputs) > 1),
        "act_min": a.get("act_min", 0),
        "act_max": a.get("act_max", 0),
    }


def low_bit_operands(
    context: Context,
) -> tuple[npt.NDArray[np.int8], str, int, bool, bool, Params, Params]:
    """What packers of low-bit convolutions start from: weight codes [out_c, kh, kw, in_c], their kind, bits of an
    activation, whether its one bit is a sign, whether it is padded with +1, fields of ebnn_conv_dims_t and of
    ebnn_epilogue_t."""
    a, source = context.op.attrs, context.inputs[0]
    return (
        a["weights"],
        a["weight_kind"],
        bit_count(source),
        source.dtype == "b1",
        bool(a["pad_one"]),
        conv_dims(context.op, source, context.outputs[0]),
        epilogue(context),
    )


def params_bytes(params: Params) -> int:
    """Bytes of all arrays in a params struct: what the layer's weights and constants take in flash."""
    total = 0
    for value in params.values():
        if isinstance(value, np.ndarray):
            total += value.nbytes
        elif isinstance(value, dict):
            total += params_bytes(value)
    return total


def bit_count(tensor: TensorType) -> int:
    """Bits per element."""
    return DTYPE_BITS[tensor.dtype]
