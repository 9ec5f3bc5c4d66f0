"""Candidate and packing of the binary dense kernel in channel lanes (ebnn_bdense.h)."""

from __future__ import annotations

import numpy as np

from edgebnn.plan.geometry import pack_bits, params_bytes
from edgebnn.plan.types import Candidate, Choice, Context, Params

KERNEL = "ebnn_bdense_b1__cortex_m4"


def _planes(values: np.ndarray, bits: int) -> np.ndarray:
    """uint32 [groups, bits]: plane b of group g holds bit b of the values of 32 outputs."""
    return np.stack([pack_bits((values >> b) & 1) for b in range(bits)], axis=1)


def pack(weights: np.ndarray, threshold: np.ndarray) -> Params | str:
    """Fields of ebnn_bdense_params_t from codes [out_c, K] (-1/+1) and int32 thresholds (bit = acc < threshold)."""
    out_c, k = weights.shape
    centre = (k + 3) // 4
    largest = centre + k // 2 + 1
    bits = next((b for b in (7, 10, 13) if largest < 2**b), None)
    if bits is None or 4 * k > 65535:
        return f"{k} inputs exceed its counters"
    groups = -(-out_c // 32)
    words = np.zeros((groups, k + 1), np.uint32)
    words[:, :k] = pack_bits((weights.T < 0).astype(np.uint8)).T
    total = weights.astype(np.int64).sum(axis=1)
    t = np.clip(threshold.astype(np.int64), -k - 1, k + 1)
    # acc = W - 2 n + 4 S over listed -1, = -W + 2 n - 4 S over listed +1; acc and K have the same parity
    limits = [-((total - t) // 2), -((t + total - 1) // 2)]
    sliced = [_planes(np.clip(d + 2 * centre, 0, 2 ** (bits + 1) - 1), bits + 1) for d in limits]
    return {"k": k, "out_c": out_c, "weights": words, "thresholds": np.stack(sliced, axis=1), "bits": bits}


def _propose(c: Context) -> list[Choice] | str:
    source, out = c.inputs[0], c.outputs[0]
    a = c.op.attrs
    if (
        source.dtype != "b1"
        or out.dtype != "b1"
        or a["weight_kind"] != "binary"
        or a.get("threshold") is None
    ):
        return "takes b1 inputs and binary weights, and gives b1 by thresholds"
    if tuple(a["kernel"]) != source.shape[:2] or any(a["pads"]) or out.pixels != 1:
        return "is for dense layers"
    if source.pixels > 1 and source.channels % 32:
        return "needs a multiple of 32 channels in a map"
    params = pack(a["weights"].reshape(out.channels, -1), a["threshold"])
    if isinstance(params, str):
        return params
    k = params["k"]
    cost = 150.0 + k / 32 * 45 + k / 2 * (6.0 + 8.5 * -(-out.channels // 32)) + 150.0 * -(-out.channels // 32)
    scratch = ((k // 2 + 2) * 2 + 3) & ~3
    return [Choice(KERNEL, ("nhwc",), ("nhwc",), cost, lambda: params, params_bytes(params), scratch)]


CANDIDATES = (Candidate("dense in channel lanes", ("bconv2d",), "cortex_m4", _propose),)
