"""Weight quantisers that lower to one bipolar plane: sign(w), sign(0) = +1, with different scales and
gradients.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgebnn.train.quantizers.base import (
    WeightQuantizer,
    like_channels,
    per_channel,
    sign,
    straight_through,
    tanh_sign,
)


class Binary(WeightQuantizer):
    """sign(w), no scale of its own: the batch norm that follows holds it; straight-through where abs(w)
    <= 1, latent weights clipped to [-1, 1]. ``binary``, also ``bnn`` and ``binaryconnect`` (the
    activations make the difference). ``binary:stochastic``: in training +1 with probability (w + 1) / 2.

    Source: BinaryConnect (Courbariaux et al. 2015), BNN (Hubara et al. 2016).
    """

    kind = "binary"
    latent_clip = 1.0

    def __init__(self, out_channels: int, rule: str = "sign") -> None:
        super().__init__(out_channels)
        if rule not in ("sign", "stochastic"):
            raise ValueError("expected sign or stochastic")
        self.stochastic = rule == "stochastic"

    def quantize(self, w: Tensor) -> tuple[Tensor, Tensor]:
        codes = sign(w)
        if self.stochastic and self.training:
            thresholds = 2.0 * torch.rand_like(w) - 1.0
            codes = straight_through(codes, torch.where(w.detach() >= thresholds, 1.0, -1.0))
        return codes, w.new_ones(1)

    def compact(self, w: Tensor) -> Tensor:
        return torch.where(w >= 0, 1, -1).to(torch.int8)


class Xnor(WeightQuantizer):
    """alpha sign(w), alpha = mean|w| per output channel; the gradient goes through both factors.
    ``xnor``, ``bwn``.

    Source: Rastegari et al., "XNOR-Net" (2016).
    """

    kind = "binary"
    latent_clip = 1.0

    def quantize(self, w: Tensor) -> tuple[Tensor, Tensor]:
        return sign(w), like_channels(per_channel(w).abs().mean(1).clamp_min(1e-8), w)


class LearnedScale(WeightQuantizer):
    """s sign(w), s a parameter per output channel that starts at mean|w| of the first batch. ``learned``.

    Source: Bulat, Tzimiropoulos, "XNOR-Net++" (2019).
    """

    kind = "binary"
    latent_clip = 1.0

    def __init__(self, out_channels: int) -> None:
        super().__init__(out_channels)
        self.log_scale = nn.Parameter(torch.zeros(out_channels))
        self.ready: Tensor
        self.register_buffer("ready", torch.zeros((), dtype=torch.bool))

    def quantize(self, w: Tensor) -> tuple[Tensor, Tensor]:
        if self.training and not self.ready:
            with torch.no_grad():
                self.log_scale.copy_(per_channel(w).abs().mean(1).clamp_min(1e-8).log())
                self.ready.fill_(True)
        return sign(w), like_channels(self.log_scale.exp(), w)

    def compact(self, w: Tensor) -> Tensor:
        return torch.where(w >= 0, 1, -1).to(torch.int8)


class BitNet(WeightQuantizer):
    """beta sign(w - mean(w)), beta = mean|w|, both over the whole tensor; straight-through. ``bitnet``.

    With s8 activations (``int8``) this is BitLinear, W1A8.
    Source: Wang et al., "BitNet: Scaling 1-bit Transformers for Large Language Models" (2023).
    """

    kind = "binary"

    def quantize(self, w: Tensor) -> tuple[Tensor, Tensor]:
        scale = w.detach().abs().mean().clamp_min(1e-8)
        return sign(w - w.detach().mean(), float("inf")), like_channels(scale.expand(w.shape[0]), w)


class IrNet(WeightQuantizer):
    """2^s sign(w^), w^ = (w - mean) / std per output channel, s = round(log2 mean|w^|); gradient of
    k tanh(t w^) with t rising from 0.1 to 10 over training (``progress`` 0..1). ``irnet``.

    Source: Qin et al., "Forward and Backward Information Retention for Accurate Binary Neural Networks"
    (2020).
    """

    kind = "binary"

    def quantize(self, w: Tensor) -> tuple[Tensor, Tensor]:
        flat = per_channel(w)
        balanced = flat - flat.mean(1, keepdim=True)
        standard = (balanced / balanced.std(1, keepdim=True).clamp_min(1e-8)).reshape(w.shape)
        t = 10.0 ** (2.0 * self.progress - 1.0)
        exponent = torch.floor(torch.log2(per_channel(standard.detach()).abs().mean(1).clamp_min(1e-8)) + 0.5)
        return tanh_sign(standard, t), like_channels(torch.exp2(exponent), w)
