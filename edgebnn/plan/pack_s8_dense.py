"""Offline packing of low-bit dense layers on s8 activations (``ebnn_bdense_s8_params_t``)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

#: bits of a code, scale and offset: w = scale * code + offset
CODES = {"binary": (1, -2, 1), "ternary": (2, 1, -1), "two_plane": (2, 2, -3)}


def pack_dense(codes: npt.NDArray[np.int8], kind: str, input_offset: int) -> dict[str, Any]:
    """Fields of the params struct, without the epilogue, from weight codes [outputs, inputs]."""
    bits, scale, offset = CODES[kind]
    outputs, inputs = codes.shape
    block = 32 // bits
    padded = np.zeros((outputs, -(-inputs // block) * block), np.uint32)
    padded[:, :inputs] = (codes.astype(np.int64) - offset) // scale
    lanes = np.arange(block)
    shift = (2 * (lanes // 4) + lanes % 2) * bits + 16 * (lanes % 4 // 2)
    words = (padded.reshape(outputs, -1, block) << shift.astype(np.uint32)).sum(axis=2, dtype=np.uint32)
    return {
        "inputs": inputs,
        "outputs": outputs,
        "weights": np.ascontiguousarray(words),
        "bias": (input_offset * codes.astype(np.int64).sum(axis=1)).astype(np.int32),
        "scale": scale,
        "offset": offset,
        "bits": bits,
    }


def scratch(inputs: int, kind: str) -> int:
    """Bytes of scratch of ebnn_bdense_s8__cortex_m4."""
    block = 32 // CODES[kind][0]
    return 2 * (-(-inputs // block) * block)


def cycles(inputs: int, outputs: int, kind: str) -> float:
    """Estimated cycles of ebnn_bdense_s8__cortex_m4."""
    per_product = 1.6 if kind == "binary" else 1.78
    return outputs * (per_product * scratch(inputs, kind) / 2 + 50.0) + 3.0 * inputs + 150.0
