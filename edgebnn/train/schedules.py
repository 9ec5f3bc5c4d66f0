"""Learning rates as functions of the step: ``SCHEDULES[name](step, total, peak, warmup)``, the last three in steps."""

from __future__ import annotations

import math
from collections.abc import Callable


def one_cycle(step: int, total: int, peak: float, warmup: int = 0) -> float:
    """Cosine from peak / 25 up to ``peak`` in 30 % of ``total``, then down to peak / 250000; ``warmup`` is not used.

    Source: Smith, Topin, "Super-Convergence" (2018); the defaults of PyTorch's OneCycleLR.
    """
    start, end = peak / 25, peak / 25e4
    turn = max(0.3 * total - 1, 1.0)
    if step <= turn:
        return _cosine(start, peak, step / turn)
    return _cosine(peak, end, min(1.0, (step - turn) / max(total - 1 - turn, 1.0)))


def cosine(step: int, total: int, peak: float, warmup: int) -> float:
    """Linear from peak / ``warmup`` up to ``peak``, then half a cosine to 0.

    Source: Loshchilov, Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts" (2017), without restarts.
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    return _cosine(peak, 0.0, (step - warmup) / max(total - warmup, 1))


def linear(step: int, total: int, peak: float, warmup: int) -> float:
    """Linear from peak / ``warmup`` up to ``peak``, then linear to 0."""
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * (1 - (step - warmup) / max(total - warmup, 1))


def _cosine(a: float, b: float, t: float) -> float:
    return b + (a - b) * (1 + math.cos(math.pi * t)) / 2


SCHEDULES: dict[str, Callable[[int, int, float, int], float]] = {
    "one-cycle": one_cycle,
    "cosine": cosine,
    "linear": linear,
}
