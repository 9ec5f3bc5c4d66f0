"""Elementwise s8 ops and layout changes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgebnn.ir import fixed
from edgebnn.ir.ops import OpDef, register
from edgebnn.ir.types import Op, TensorType

LEFT_SHIFT = 20


def _add(
    op: Op, inputs: Sequence[np.ndarray], types: Sequence[TensorType], outs: Sequence[TensorType]
) -> list[np.ndarray]:
    a = op.attrs
    terms = [
        fixed.requantize((x - t.zero_point) << LEFT_SHIFT, a[f"input{i}_multiplier"], a[f"input{i}_shift"])
        for i, (x, t) in enumerate(zip(inputs, types, strict=True), 1)
    ]
    y = fixed.requantize(terms[0] + terms[1], a["output_multiplier"], a["output_shift"]) + outs[0].zero_point
    return [np.clip(y, a["act_min"], a["act_max"])]


#: s8 + s8 with independent scales, TFLite's reference ADD
ADD = register(
    OpDef(
        "add",
        frozenset(
            {f"{t}_{f}" for t in ("input1", "input2", "output") for f in ("multiplier", "shift")}
            | {"act_min", "act_max"}
        ),
        reference=_add,
        inputs=(2, 2),
    )
)
#: the same values in another storage order
LAYOUT = register(OpDef("layout", frozenset(), reference=lambda op, x, t, o: [x[0]]))
