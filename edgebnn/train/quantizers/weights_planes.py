"""Weight quantisers that lower to two planes: ternary (nonzero and sign), and four levels (two bipolar
planes).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgebnn.train.quantizers.base import (
    WeightQuantizer,
    like_channels,
    per_channel,
    round_half_up,
    scale_gradient,
    straight_through,
)


class Twn(WeightQuantizer):
    """Ternary weight networks: codes {-1, 0, +1} by |w| > delta, alpha = mean of |w| over those, per
    output channel; straight-through. ``twn``: delta = 0.7 mean|w|; ``twn:std``: delta = 0.7 std(w).

    Source: Li, Liu, "Ternary Weight Networks" (2016).
    """

    kind = "ternary"

    def __init__(self, out_channels: int, threshold: str = "mean") -> None:
        super().__init__(out_channels)
        if threshold not in ("mean", "std"):
            raise ValueError("expected mean or std")
        self.threshold = threshold

    def quantize(self, w: Tensor) -> tuple[Tensor, Tensor]:
        flat = per_channel(w.detach())
        magnitude = flat.abs()
        spread = magnitude.mean(1, keepdim=True) if self.threshold == "mean" else flat.std(1, keepdim=True)
        kept = magnitude > 0.7 * spread
        alpha = (magnitude * kept).sum(1) / kept.sum(1).clamp_min(1)
        alpha = like_channels(alpha.clamp_min(1e-8), w)
        codes = (torch.sign(flat) * kept).reshape(w.shape)
        # The gradient of codes * alpha reaches w unchanged, whatever alpha is.
        return straight_through(w / alpha, codes), alpha


class BitNet158(WeightQuantizer):
    """Codes round(w / beta) clipped to {-1, 0, +1}, beta = mean|w| over the tensor; straight-through.
    ``bitnet158``.

    With s8 activations (``int8``) this is BitNet b1.58's linear layer, W1.58A8.
    Source: Ma et al., "The Era of 1-bit LLMs: All Large Language Models are in 1.58 Bits" (2024).
    """

    kind = "ternary"

    def quantize(self, w: Tensor) -> tuple[Tensor, Tensor]:
        beta = w.detach().abs().mean().clamp_min(1e-8)
        codes = torch.floor(w.detach() / beta + 0.5).clamp(-1, 1)
        return straight_through(w / beta, codes), like_channels(beta.expand(w.shape[0]), w)


class DoReFa(WeightQuantizer):
    """``dorefa:K``: 2 q(tanh(w) / (2 max|tanh(w)|) + 1/2) - 1, q a K-bit grid on [0, 1]; straight-through.

    K = 1 is mean|w| sign(w), K = 2 has the levels -1, -1/3, 1/3, 1: two bipolar planes.
    Source: Zhou et al., "DoReFa-Net" (2016).
    """

    kind = "two_plane"

    def __init__(self, out_channels: int, bits: int | str = 2) -> None:
        super().__init__(out_channels)
        if int(bits) not in (1, 2):
            raise ValueError("bits must be 1 or 2")
        self.bits = int(bits)
        self.kind = "binary" if self.bits == 1 else "two_plane"

    def quantize(self, w: Tensor) -> tuple[Tensor, Tensor]:
        if self.bits == 1:
            scale = w.detach().abs().mean().clamp_min(1e-8)
            codes = torch.where(w.detach() >= 0, 1.0, -1.0)
            return straight_through(w / scale, codes), like_channels(scale.expand(w.shape[0]), w)
        t = torch.tanh(w)
        half = t / (2 * t.detach().abs().amax().clamp_min(1e-8)) + 0.5
        codes = 2 * round_half_up(3 * half).clamp(0, 3) - 3
        return codes, like_channels(w.new_full((w.shape[0],), 1.0 / 3.0), w)


class LsqWeights(WeightQuantizer):
    """Learned step size, 2 bits, per output channel: levels step * {-1.5, -0.5, 0.5, 1.5}, symmetric so
    that they are two bipolar planes. ``lsq``.

    The step starts at mean|w|; its gradient is scaled by 1 / sqrt(3 n), n the weights of a channel.
    Source: Esser et al., "Learned Step Size Quantization" (2020), on the grid of Bhalgat et al., "LSQ+"
    (2020).
    """

    kind = "two_plane"

    def __init__(self, out_channels: int) -> None:
        super().__init__(out_channels)
        self.step = nn.Parameter(torch.ones(out_channels))
        self.ready: Tensor
        self.register_buffer("ready", torch.zeros((), dtype=torch.bool))

    def quantize(self, w: Tensor) -> tuple[Tensor, Tensor]:
        if self.training and not self.ready:
            with torch.no_grad():
                self.step.copy_(per_channel(w).abs().mean(1).clamp_min(1e-6))
                self.ready.fill_(True)
        step = scale_gradient(self.step.abs().clamp_min(1e-6), (3.0 * w[0].numel()) ** -0.5)
        step = like_channels(step, w)
        # On the grid of odd numbers, in half steps: -3, -1, 1, 3.
        codes = 2 * round_half_up((w / step + 1.5).clamp(0, 3)) - 3
        return codes, step / 2
