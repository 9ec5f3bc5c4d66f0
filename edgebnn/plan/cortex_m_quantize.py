"""Candidates of the Cortex-M quantiser with the DSP extension (src/cortex_m/quantize_chw.c)."""

from __future__ import annotations

from edgebnn.plan.geometry import bit_count, params_bytes
from edgebnn.plan.portable import quantize_params
from edgebnn.plan.types import Candidate, Choice, Context


def _propose(c: Context) -> list[Choice] | str:
    out = c.outputs[0]
    if not out.is_bits:
        return f"writes bits, not {out.dtype}"
    if out.dtype != "b1" and c.op.attrs["shift"] < 4 - bit_count(out):
        return f"its shift of {c.op.attrs['shift']} is too small"
    b1 = "b1_" if out.dtype == "b1" else ""
    choices = []
    for layout in ("nibbles", "planes"):
        params = quantize_params(c, "chw", layout)
        per_element = 8.5 if layout == "nibbles" else (8.0 if b1 else 14.0 + 5.0 * bit_count(out))
        cost = 30.0 * out.channels + per_element * out.elements
        kernel = f"ebnn_quantize_{b1}{layout}__cortex_m4"
        choices.append(
            Choice(kernel, ("chw",), (layout,), cost, lambda p=params: p, params_bytes(params))  # type: ignore[misc]
        )
    return choices


CANDIDATES = (Candidate("quantize cortex_m4", ("quantize",), "cortex_m4", _propose),)
