"""Activation quantisers. Each is per tensor; a per-channel shift or gain comes from an affine layer
before it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from edgebnn.train.quantizers.base import ActivationQuantizer, requantize
from edgebnn.train.quantizers.grid import quantize, quantize_within


class FloatActivation(ActivationQuantizer):
    """Activations as they are; for float baselines. Not deployable."""

    dtype = "float"

    def forward(self, x: Tensor) -> Tensor:
        return x


class Int8Activation(ActivationQuantizer):
    """s8 with an observed range: ``int8`` is symmetric (zero point 0), ``int8:unsigned`` is for values >= 0
    (zero point -128); q = clamp(round(x / scale) + zero_point, -128, 127); straight-through inside the range.

    In training the range is the largest magnitude seen, decaying by 0.1 % a batch, so that it follows
    weights that settle. Evaluation leaves it alone. Source: Jacob et al. (2018). Lowers to s8.

    ``int8:dynamic``: in training each example has the range of its own largest magnitude, as BitNet's absmax
    quantisation (Wang et al. 2023); evaluation and device have one range, the mean of these over the batches,
    averaged by 1 % a batch.
    """

    dtype = "s8"
    decay = 0.999
    dynamic_decay = 0.99

    def __init__(self, sign: str = "signed") -> None:
        super().__init__()
        if sign not in ("signed", "unsigned", "dynamic"):
            raise ValueError("expected signed, unsigned or dynamic")
        self.unsigned, self.dynamic = sign == "unsigned", sign == "dynamic"
        self.zero_point = -128 if self.unsigned else 0
        self.low, self.high = (0, 255) if self.unsigned else (-128, 127)
        self.limit: Tensor
        self.register_buffer("limit", torch.zeros(()))

    def scale(self) -> Tensor:
        return torch.where(self.limit > 0, self.limit, 1.0).to(torch.float32) / self.high

    def forward(self, x: Tensor, unit: Tensor | None = None) -> Tensor:
        """``unit``: what one step of the accumulator behind ``x`` is worth, per channel (axis 1), if
        known.
        """
        if self.training and self.dynamic:
            return self._by_example(x)
        if self.training:
            with torch.no_grad():
                low, high = x.aminmax()
                seen = (high if self.unsigned else torch.maximum(-low, high)).clamp_min(1e-6)
                self.limit.copy_(torch.maximum(seen, self.limit * self.decay))
        scale = self.scale()
        if unit is not None and not self.training:
            return requantize(x, unit, scale).clamp(self.low, self.high) * scale
        if self.training and not self.unsigned:  # the range was just made to hold x
            return quantize_within(x, scale, self.low, self.high)
        return quantize(x, scale, self.low, self.high)

    def _by_example(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            limit = x.abs().amax(tuple(range(1, x.dim())), keepdim=True).clamp_min(1e-6)
            mean = limit.mean()
            seen = self.dynamic_decay * self.limit + (1 - self.dynamic_decay) * mean
            self.limit.copy_(torch.where(self.limit > 0, seen, mean))
        return quantize_within(x, limit / self.high, self.low, self.high)
