"""Candidates of the pools and quantisers for SIMD lanes (src/core/wide_elementwise.h)."""

from __future__ import annotations

from edgebnn.plan.geometry import bit_count, params_bytes
from edgebnn.plan.portable import pool_params, quantize_params
from edgebnn.plan.types import Candidate, Choice, Context, Params

#: bytes of a vector
VECTOR = {"neon": 16, "avx2": 32, "avx512": 64}
#: pixels of an average's window, as in wide_elementwise.h
MOST = 64


def _choice(kernel: str, ins: tuple[str, ...], outs: tuple[str, ...], cost: float, params: Params) -> Choice:
    d = params.get("dims")
    parts = d["out_h"] * d["out_w"] if d else (params["c"] if ins == ("chw",) else params["h"] * params["w"])
    return Choice(kernel, ins, outs, cost, lambda: params, flash=params_bytes(params), parts=parts)


def _pool(c: Context, isa: str) -> list[Choice] | str:
    taps = c.op.attrs["kernel"][0] * c.op.attrs["kernel"][1]
    average = c.op.type == "avg_pool2d"
    if c.inputs[0].dtype != "s8":
        return "takes s8"
    if average and taps > MOST:
        return f"takes windows of at most {MOST} pixels"
    vectors = c.outputs[0].pixels * (-(-c.inputs[0].channels // VECTOR[isa]))
    name = "avg_pool2d_s8_wide" if average else "max_pool2d_wide"
    cost = vectors * ((6.0 if average else 2.0) * taps + (60.0 if average else 10.0))
    return [_choice(f"ebnn_{name}__{isa}", ("nhwc",), ("nhwc",), cost, pool_params(c))]


def _quantize(c: Context, isa: str) -> list[Choice]:
    bits = c.outputs[0].dtype != "s8"
    choices = []
    for source, out in (("nhwc", "nhwc"), ("chw", "planes" if bits else "chw")):
        rows = c.outputs[0].pixels if source == "nhwc" else c.outputs[0].channels
        cost = 24.0 / VECTOR[isa] * c.outputs[0].elements + (16.0 * bit_count(c.outputs[0]) + 20.0) * rows
        params = quantize_params(c, source, out)
        choices.append(_choice(f"ebnn_quantize_wide__{isa}", (source,), (out,), cost, params))
    return choices


def _candidates(isa: str) -> tuple[Candidate, ...]:
    return (
        Candidate(f"pools {isa}", ("max_pool2d", "avg_pool2d"), isa, lambda c: _pool(c, isa)),
        Candidate(f"quantiser {isa}", ("quantize",), isa, lambda c: _quantize(c, isa)),
    )


CANDIDATES = tuple(candidate for isa in VECTOR for candidate in _candidates(isa))
