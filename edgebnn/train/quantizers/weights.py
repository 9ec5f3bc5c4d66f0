"""Weight quantisers that are not low-bit planes: float, INT8 and other linear grids, powers of two. Axis
0 is the output channel.
"""

from __future__ import annotations

import torch
from torch import Tensor

from edgebnn.train.quantizers.base import (
    WeightQuantizer,
    like_channels,
    per_channel,
    round_half_up,
    straight_through,
)


class FloatWeights(WeightQuantizer):
    """Weights as they are; for float baselines. Not deployable."""

    kind = "float"

    def forward(self, w: Tensor) -> Tensor:
        return w

    def quantize(self, w: Tensor) -> tuple[Tensor, Tensor]:
        return w, w.new_ones(1)


class IntWeights(WeightQuantizer):
    """Linear: ``int:K``, K = 2..8 bits, symmetric per output channel; ``int:K:tensor`` per tensor;
    ``int:K:asymmetric`` with a zero point per channel, K = 2..7; ``int:K:stochastic`` rounds stochastically
    in training.

    Symmetric: scale = max|w| / (2^(K-1) - 1), code = round(w / scale). Asymmetric: scale = (max(w, 0) -
    min(w, 0)) / (2^K - 1), code = q - z with q = clamp(round(w / scale) + z, 0, 2^K - 1) and z = round(-min
    / scale): the differences fit s8, so no kernel sees a zero point. Stochastic: floor(w / scale + u), u
    uniform in [0, 1); evaluation rounds half up. Straight-through. K = 8 is ``int8``; 2 bits are {-1, 0, +1}
    times max|w|. Sources: Jacob et al., "Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference" (2018); Gupta et al., "Deep Learning with Limited Numerical Precision"
    (2015). Lowers to s8.
    """

    kind = "s8"

    def __init__(self, out_channels: int, bits: int | str = 8, variant: str = "channel") -> None:
        super().__init__(out_channels)
        self.bits, self.variant = int(bits), variant
        self.levels = 2 ** (self.bits - 1) - 1
        if not 2 <= self.bits <= 8 or variant not in ("channel", "tensor", "asymmetric", "stochastic"):
            raise ValueError("expected 2..8 bits, and channel, tensor, asymmetric or stochastic")
        if variant == "asymmetric" and self.bits == 8:
            raise ValueError("asymmetric weights have at most 7 bits, so that q - z fits s8")

    def quantize(self, w: Tensor) -> tuple[Tensor, Tensor]:
        if self.variant == "asymmetric":
            return self._asymmetric(w)
        largest = per_channel(w.detach()).abs().amax(1)
        if self.variant == "tensor":
            largest = largest.amax().expand(w.shape[0])
        scale = like_channels(largest.clamp_min(1e-8) / self.levels, w)
        v = w / scale
        if self.variant == "stochastic" and self.training:
            v = straight_through(v, torch.floor(v.detach() + torch.rand_like(v)))
        return round_half_up(v).clamp(-self.levels, self.levels), scale

    def _asymmetric(self, w: Tensor) -> tuple[Tensor, Tensor]:
        flat, top = per_channel(w.detach()), 2**self.bits - 1
        low, high = flat.amin(1).clamp_max(0), flat.amax(1).clamp_min(0)
        scale = (high - low).clamp_min(1e-8) / top
        zero = like_channels(torch.floor(-low / scale + 0.5), w)
        scale = like_channels(scale, w)
        return (round_half_up(w / scale) + zero).clamp(0, top) - zero, scale


class PowerOfTwo(WeightQuantizer):
    """Logarithmic: codes 0 and +-2^0 .. +-2^6, times max|w| / 64 per output channel; straight-through.

    The exponent is rounded, log2(64 |w| / max|w|); magnitudes under 2^-0.5 steps become 0. ``pot``.
    Source: Miyashita et al., "Convolutional Neural Networks using Logarithmic Data Representation"
    (2016); Zhou et al., "Incremental Network Quantization" (2017). Lowers to s8, exactly.
    """

    kind = "s8"

    def quantize(self, w: Tensor) -> tuple[Tensor, Tensor]:
        scale = like_channels(per_channel(w.detach()).abs().amax(1).clamp_min(1e-8) / 64.0, w)
        v = w / scale
        exponent = torch.floor(torch.log2(v.detach().abs().clamp_min(1e-8)) + 0.5).clamp(-1, 6)
        codes = torch.where(exponent < 0, 0.0, torch.sign(v.detach()) * torch.exp2(exponent.clamp_min(0)))
        return straight_through(v, codes), scale
