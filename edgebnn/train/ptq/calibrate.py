"""Ranges of s8 activations from calibration data, and the loss that clipping to them causes.

Every method chooses ``limit``, the largest magnitude that codes stand for. Sources: Jacob et al. (2018) for
min-max and moving average; Migacz, "8-bit Inference with TensorRT" (2017) for KL; Banner et al., "Post
training 4-bit quantization" (2019) for the squared error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgebnn.train.policy import unknown

METHODS = ("minmax", "moving", "percentile", "mse", "kl")
Floats = npt.NDArray[np.floating]

_BINS = 2048
_DECAY = 0.9
_PERCENTILE = 99.9


@dataclass(frozen=True)
class Range:
    """A chosen range: ``limit``; the share of values beyond it; the mean squared error it causes, split into that of
    clipped values and that of rounding; and the signal to noise ratio in dB.
    """

    limit: float
    clipped: float
    clip_error: float
    round_error: float
    sqnr: float


def choose(batches: Sequence[Floats], method: str, levels: int = 127) -> float:
    """The limit for the values of ``batches`` (arrays of any shape) on ``levels`` steps above zero; at least 1e-6.

    Negative values count by magnitude; pass only positive ones (levels 255) for unsigned ranges. Raises
    UsageError for an unknown method.
    """
    if method not in METHODS:
        raise unknown("unknown calibration", method, METHODS)
    tops = [float(np.abs(batch).max(initial=0.0)) for batch in batches]
    largest = max(tops, default=0.0)
    if method == "minmax" or largest < 1e-6:
        limit = largest
    elif method == "moving":
        limit = tops[0]
        for top in tops[1:]:
            limit = _DECAY * limit + (1 - _DECAY) * top
    else:
        values = np.abs(np.concatenate([np.ravel(batch) for batch in batches]))
        if method == "percentile":
            limit = float(np.percentile(values, _PERCENTILE))
        elif method == "mse":
            candidates = largest * np.linspace(0.05, 1.0, 96)
            limit = float(min(candidates, key=lambda c: _mse(values, float(c), levels)))
        else:
            limit = _kl(values, largest, levels)
    return max(limit, 1e-6)


def measure(batches: Sequence[Floats], limit: float, levels: int = 127) -> Range:
    """What clipping and rounding to ``limit`` costs on ``batches``."""
    values = np.abs(np.concatenate([np.ravel(batch) for batch in batches])).astype(np.float64)
    clipped, clip_error, round_error = _errors(values, limit, levels)
    noise = clip_error + round_error
    power = float(np.mean(values**2))
    sqnr = 10 * float(np.log10(power / noise)) if noise > 0 and power > 0 else float("inf")
    return Range(limit, clipped, clip_error, round_error, sqnr)


def _errors(values: Floats, limit: float, levels: int) -> tuple[float, float, float]:
    step = limit / levels
    quantised = np.minimum(np.floor(values / step + 0.5), levels) * step
    beyond = values > limit
    error = (values - quantised) ** 2
    return float(beyond.mean()), float((error * beyond).mean()), float((error * ~beyond).mean())


def _mse(values: Floats, limit: float, levels: int) -> float:
    _, clip_error, round_error = _errors(values, limit, levels)
    return clip_error + round_error


def _kl(values: Floats, largest: float, levels: int) -> float:
    """The limit whose quantised histogram diverges least from the clipped one."""
    counts, edges = np.histogram(values, bins=_BINS, range=(0.0, largest))
    best, best_limit = np.inf, largest
    for top in range(levels + 1, _BINS + 1, 16):
        reference = counts[:top].astype(np.float64)
        reference[-1] += counts[top:].sum()
        # Each level spreads its count over the occupied bins that it stands for.
        level = np.minimum(np.arange(top) * levels // top, levels - 1)
        occupied = counts[:top] > 0
        total = np.bincount(level, weights=counts[:top], minlength=levels)
        share = np.bincount(level, weights=occupied, minlength=levels)
        spread = np.where(occupied, total[level] / np.maximum(share[level], 1), 0.0)
        if not spread.sum():
            continue
        p, q = reference / reference.sum(), spread / spread.sum()
        where = p > 0
        divergence = float(np.sum(p[where] * np.log(p[where] / np.maximum(q[where], 1e-12))))
        if divergence < best:
            best, best_limit = divergence, float(edges[top])
    return best_limit
