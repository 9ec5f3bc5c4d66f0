"""Activation quantiser that lowers to bipolar k bits: unsigned codes of the odd multiples of half a step."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from edgebnn.train.quantizers.base import ActivationQuantizer, scale_gradient
from edgebnn.train.quantizers.grid import quantize


class Bipolar(ActivationQuantizer):
    """Learned step s, value s * (q - (2^k - 1) / 2), q = clamp(floor(x / s + 2^(k-1)), 0, 2^k - 1): 1-bit signs with
    more levels; 0 is no value, so convolutions pad with the lowest one. ``bipolar:K``, K = 2, 3 or 4.

    Straight-through inside the range; the step's gradient is that of LSQ (Esser et al. 2020), scaled by
    1 / sqrt(n * (2^k - 1)), n the elements of one example. The first training batch sets the step to the one of least
    squared error for a Gaussian of its root mean square (Max, "Quantizing for Minimum Distortion", 1960).
    """

    bipolar = True
    STEPS: ClassVar[dict[int, float]] = {2: 0.9957, 3: 0.5860, 4: 0.3352}

    def __init__(self, bits: int | str = 2) -> None:
        super().__init__()
        self.bits = int(bits)
        if self.bits not in self.STEPS:
            raise ValueError("bits must be 2, 3 or 4; for 1 bit use sign")
        self.dtype = f"u{self.bits}"
        self.step = nn.Parameter(torch.ones(()))
        self.ready: Tensor
        self.register_buffer("ready", torch.zeros((), dtype=torch.bool))

    def scale(self) -> Tensor:
        return self.step.detach().abs().clamp_min(1e-6)

    def forward(self, x: Tensor) -> Tensor:
        if self.training and not self.ready:
            with torch.no_grad():
                self.step.copy_((x.square().mean().sqrt() * self.STEPS[self.bits]).clamp_min(1e-6))
                self.ready.fill_(True)
        gradient = 1.0 / math.sqrt(x[0].numel() * (2**self.bits - 1))
        step = scale_gradient(self.step.abs().clamp_min(1e-6), gradient)
        # round half up on the grid of odd half steps: the ordinary grid, half a step lower
        levels = 2 ** (self.bits - 1)
        return quantize(x + step / 2, step, 1 - levels, levels) - step / 2
