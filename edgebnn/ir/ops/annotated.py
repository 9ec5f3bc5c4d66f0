"""Float-annotated ops that importers build and passes lower; they carry real scales and have no kernels.

q.conv: codes int8 [out_c, kh, kw, in_c], weight_scale float64 [out_c], kind, window, pad_mode, groups; folded in by
passes: gain, bias float64 [out_c] (y = gain * x + bias), gain2, bias2 and combine "max"/"min" (a second affine map
combined with the first), clamp (lo, hi), a second input (residual, added before the clamp). q.add, q.mean: clamp.
q.affine: gain, bias float64 [c]. q.quant: rounds half up to the output tensor's type.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgebnn.ir.ops import OpDef, register, windows
from edgebnn.ir.types import Op, Shape


def _conv_shape(op: Op, shapes: Sequence[Shape]) -> list[Shape]:
    return [(*windows.out_size(op, shapes[0]), op.attrs["codes"].shape[0])]


def _pool_shape(op: Op, shapes: Sequence[Shape]) -> list[Shape]:
    return [(*windows.out_size(op, shapes[0]), shapes[0][2])]


register(
    OpDef(
        "q.conv",
        windows.ATTRS | {"codes", "weight_scale", "kind", "pad_mode", "groups"},
        frozenset({"gain", "bias", "gain2", "bias2", "combine", "clamp"}),
        shape=_conv_shape,
        inputs=(1, 2),
    )
)
register(OpDef("q.affine", frozenset({"gain", "bias"})))
register(OpDef("q.relu", frozenset()))
register(OpDef("q.hardtanh", frozenset()))
register(OpDef("q.prelu", frozenset({"slope", "shift_in", "shift_out"})))
register(OpDef("q.add", frozenset(), frozenset({"clamp"}), inputs=(2, 2)))
register(OpDef("q.quant", frozenset()))
register(OpDef("q.mean", frozenset(), frozenset({"clamp"}), shape=lambda op, s: [(1, 1, s[0][2])]))
register(OpDef("q.avg_pool", windows.ATTRS, shape=_pool_shape))
register(OpDef("q.max_pool", windows.ATTRS, shape=_pool_shape))
register(OpDef("q.softmax", frozenset()))
