"""Activation quantisers. Each is per tensor; a per-channel shift or gain comes from an affine layer
before it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from edgebnn.train.quantizers.base import ActivationQuantizer, requantize, round_half_up, scale_gradient, sign


class FloatActivation(ActivationQuantizer):
    """Activations as they are; for float baselines. Not deployable."""

    dtype = "float"

    def forward(self, x: Tensor) -> Tensor:
        return x


class Sign(ActivationQuantizer):
    """sign(x), sign(0) = +1; gradient 1 where abs(x) <= clip (clipped straight-through). ``sign`` or
    ``sign:CLIP``.

    Source: Hubara et al., "Binarized Neural Networks" (2016). Lowers to b1.
    """

    dtype = "b1"

    def __init__(self, clip: float | str = 1.0) -> None:
        super().__init__()
        self.clip = float(clip)

    def forward(self, x: Tensor) -> Tensor:
        return sign(x, self.clip)

    def scale(self) -> Tensor:
        return torch.ones(())


class Lsq(ActivationQuantizer):
    """Unsigned k-bit with a learned step: q = clamp(round(x / step), 0, 2^k - 1), value q * step. ``lsq:K``.

    Straight-through inside the range; the step's gradient is scaled by 1 / sqrt(n * (2^k - 1)), n the
    elements of one example. The first training batch sets the step to 2 mean|x| / sqrt(2^k - 1). Source:
    Esser et al., "Learned Step Size Quantization" (2020). Lowers to u2..u4; k = 8 to s8 with zero point
    -128.
    """

    def __init__(self, bits: int | str = 2) -> None:
        super().__init__()
        self.bits = int(bits)
        if self.bits not in (2, 3, 4, 8):
            raise ValueError("bits must be 2, 3, 4 or 8; for 1 bit use sign")
        self.levels = 2**self.bits - 1
        self.dtype = "s8" if self.bits == 8 else f"u{self.bits}"
        self.zero_point = -128 if self.bits == 8 else 0
        self.step = nn.Parameter(torch.ones(()))
        self.ready: Tensor
        self.register_buffer("ready", torch.zeros((), dtype=torch.bool))

    def scale(self) -> Tensor:
        return self.step.detach().abs().clamp_min(1e-6)

    def forward(self, x: Tensor) -> Tensor:
        if self.training and not self.ready:
            with torch.no_grad():
                self.step.copy_((2.0 * x.abs().mean() / math.sqrt(self.levels)).clamp_min(1e-6))
                self.ready.fill_(True)
        gradient = 1.0 / math.sqrt(x[0].numel() * self.levels)
        step = scale_gradient(self.step.abs().clamp_min(1e-6), gradient)
        return round_half_up((x / step).clamp(0, self.levels)) * step


class Int8Activation(ActivationQuantizer):
    """s8 with an observed range: ``int8`` is symmetric (zero point 0), ``int8:unsigned`` is for values >= 0
    (zero point -128); q = clamp(round(x / scale) + zero_point, -128, 127); straight-through inside the range.

    In training the range is the largest magnitude seen, decaying by 0.1 % a batch, so that it follows
    weights that settle. Evaluation leaves it alone. Source: Jacob et al. (2018). Lowers to s8.
    """

    dtype = "s8"
    decay = 0.999

    def __init__(self, sign: str = "signed") -> None:
        super().__init__()
        if sign not in ("signed", "unsigned"):
            raise ValueError("expected signed or unsigned")
        self.unsigned = sign == "unsigned"
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
        if self.training:
            with torch.no_grad():
                seen = (x.amax() if self.unsigned else x.abs().amax()).clamp_min(1e-6)
                self.limit.copy_(torch.maximum(seen, self.limit * self.decay))
        scale = self.scale()
        if unit is not None and not self.training:
            return requantize(x, unit, scale).clamp(self.low, self.high) * scale
        return round_half_up((x / scale).clamp(self.low, self.high)) * scale
