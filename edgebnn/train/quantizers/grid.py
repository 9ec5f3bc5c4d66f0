"""Rounding to a uniform grid as one autograd step: what all linear activation quantisers do."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


def _inside(value: Tensor, position: Tensor, low: float, high: float) -> Tensor:
    """``value`` where low <= position <= high, else 0. PyTorch's kernel leaves the limits out, so they are
    moved to the next floats; masks and ``where`` give the same numbers at several times the cost.
    """
    kind = np.float32 if position.dtype == torch.float32 else np.float64
    below, above = np.nextafter(kind(low), kind(-np.inf)), np.nextafter(kind(high), kind(np.inf))
    result: Tensor = torch.ops.aten.hardtanh_backward(value, position, float(below), float(above))
    return result


class _Quantize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, step: Tensor, low: float, high: float, factor: float) -> Tensor:
        position = x / step
        ctx.save_for_backward(position, step)
        ctx.low, ctx.high, ctx.factor = low, high, factor
        return position.clamp(low, high).add_(0.5).floor_().mul_(step)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None, None, None, None]:
        position, step = ctx.saved_tensors
        low: float = ctx.low
        high: float = ctx.high
        grad_step = None
        if ctx.needs_input_grad[1]:
            # d(step * code) / d(step) is code - position inside the range, code outside.
            clamped = position.clamp(low, high)
            kept = _inside(clamped, position, low, high)
            error = clamped.add_(0.5).floor_().sub_(kept)
            grad_step = (error.mul_(grad).sum() * ctx.factor).reshape(step.shape)
        return _inside(grad, position, low, high), grad_step, None, None, None


class _QuantizeWithin(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, step: Tensor, low: float, high: float) -> Tensor:
        return (x / step).clamp_(low, high).add_(0.5).floor_().mul_(step)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        return grad, None, None, None


def quantize(x: Tensor, step: Tensor, low: float, high: float, factor: float = 1.0) -> Tensor:
    """step * round(clamp(x / step, low, high)), rounded half up; ``step`` is a scalar tensor.

    Gradients: straight through to ``x`` inside the range, 0 outside; to ``step`` that of LSQ (Esser et al.
    2020), multiplied by ``factor``. The same numbers as the separate operations, in fewer passes over
    memory.
    """
    result: Tensor = _Quantize.apply(x, step, low, high, factor)
    return result


def quantize_within(x: Tensor, step: Tensor, low: float, high: float) -> Tensor:
    """``quantize`` where the range is known to hold ``x``: straight through everywhere."""
    result: Tensor = _QuantizeWithin.apply(x, step, low, high)
    return result
