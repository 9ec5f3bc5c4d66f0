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
    """Linear, symmetric: ``int:K`` per output channel, ``int:K:tensor`` per tensor; K = 2..8 bits.

    scale = max|w| / (2^(K-1) - 1), code = round(w / scale); straight-through. K = 8 is ``int8``; fewer
    bits serve as training stages and in s8 kernels. 2 bits are {-1, 0, +1} times max|w|. Source: Jacob et
    al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference"
    (2018). Lowers to s8.
    """

    kind = "s8"

    def __init__(self, out_channels: int, bits: int | str = 8, granularity: str = "channel") -> None:
        super().__init__(out_channels)
        self.levels = 2 ** (int(bits) - 1) - 1
        if not 2 <= int(bits) <= 8 or granularity not in ("channel", "tensor"):
            raise ValueError("expected 2..8 bits, and channel or tensor")
        self.per_tensor = granularity == "tensor"

    def quantize(self, w: Tensor) -> tuple[Tensor, Tensor]:
        largest = per_channel(w.detach()).abs().amax(1)
        if self.per_tensor:
            largest = largest.amax().expand(w.shape[0])
        scale = like_channels(largest.clamp_min(1e-8) / self.levels, w)
        return round_half_up(w / scale).clamp(-self.levels, self.levels), scale


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
