"""Activation quantisers that lower to unsigned k bits (u2..u4; 8 bits: s8 with zero point -128; 1 bit: b1)."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from edgebnn.train.quantizers.base import ActivationQuantizer, round_half_up
from edgebnn.train.quantizers.grid import quantize


class UnsignedQuantizer(ActivationQuantizer):
    """Base: q = clamp(round(x / step), 0, 2^k - 1), value q * step; the sub-classes choose the step."""

    def __init__(self, bits: int | str = 2) -> None:
        super().__init__()
        self.bits = int(bits)
        if self.bits not in (1, 2, 3, 4, 8):
            raise ValueError("bits must be 1, 2, 3, 4 or 8")
        self.levels = 2**self.bits - 1
        self.unipolar = self.bits == 1
        self.dtype = {1: "b1", 8: "s8"}.get(self.bits, f"u{self.bits}")
        self.zero_point = -128 if self.bits == 8 else 0


class Lsq(UnsignedQuantizer):
    """Learned step. ``lsq:K``.

    Straight-through inside the range; the step's gradient is scaled by 1 / sqrt(n * (2^k - 1)), n the
    elements of one example. The first training batch sets the step to 2 mean|x| / sqrt(2^k - 1). Source:
    Esser et al., "Learned Step Size Quantization" (2020).
    """

    def __init__(self, bits: int | str = 2) -> None:
        super().__init__(bits)
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
        return quantize(x, self.step.abs().clamp_min(1e-6), 0, self.levels, gradient)


class Pact(UnsignedQuantizer):
    """Learned clip: y = clamp(x, 0, alpha) on 2^k - 1 steps of alpha / (2^k - 1); alpha starts at 6 and
    gets the gradient of the clipped values only. ``pact:K``.

    Source: Choi et al., "PACT: Parameterized Clipping Activation" (2018).
    """

    def __init__(self, bits: int | str = 2) -> None:
        super().__init__(bits)
        self.alpha = nn.Parameter(torch.tensor(6.0))

    def scale(self) -> Tensor:
        return self.alpha.detach().abs().clamp_min(1e-4) / self.levels

    def forward(self, x: Tensor) -> Tensor:
        alpha = self.alpha.abs().clamp_min(1e-4)
        clipped = torch.minimum(x.clamp_min(0), alpha)
        step = self.scale()
        return round_half_up(clipped / step) * step


class DoReFaActivation(UnsignedQuantizer):
    """y = round((2^k - 1) clamp(x, 0, 1)) / (2^k - 1); straight-through inside [0, 1]. ``dorefa:K``.

    Source: Zhou et al., "DoReFa-Net" (2016).
    """

    def scale(self) -> Tensor:
        return torch.tensor(1.0 / self.levels)

    def forward(self, x: Tensor) -> Tensor:
        return quantize(x, self.scale(), 0, self.levels)


class Hwgq(UnsignedQuantizer):
    """Half-wave Gaussian: the step of least squared error for max(x, 0), x standard normal, on this grid
    (values round to the nearest level, zero included); gradient 1 up to the largest level, 0 elsewhere.
    Needs a batch norm in front. ``hwgq:K``.

    Source: Cai et al., "Deep Learning with Low Precision by Half-wave Gaussian Quantization" (2017).
    """

    STEPS: ClassVar[dict[int, float]] = {1: 1.2240, 2: 0.6508, 3: 0.3534, 4: 0.1933, 8: 0.01665}

    def scale(self) -> Tensor:
        return torch.tensor(self.STEPS[self.bits])

    def forward(self, x: Tensor) -> Tensor:
        return quantize(x, self.scale(), 0, self.levels)
