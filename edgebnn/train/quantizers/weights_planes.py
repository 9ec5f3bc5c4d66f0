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

    K = 1 is mean|w| sign(w), K = 2 has the levels -1, -1/3, 1/3, 1: two bipolar planes. K = 3..7 lower to s8.
    Source: Zhou et al., "DoReFa-Net" (2016).
    """

    kind = "two_plane"

    def __init__(self, out_channels: int, bits: int | str = 2) -> None:
        super().__init__(out_channels)
        self.bits, self.top = int(bits), 2 ** int(bits) - 1
        if not 1 <= self.bits <= 7:
            raise ValueError("bits must be 1..7")
        self.kind = {1: "binary", 2: "two_plane"}.get(self.bits, "s8")

    def quantize(self, w: Tensor) -> tuple[Tensor, Tensor]:
        if self.bits == 1:
            scale = w.detach().abs().mean().clamp_min(1e-8)
            codes = torch.where(w.detach() >= 0, 1.0, -1.0)
            return straight_through(w / scale, codes), like_channels(scale.expand(w.shape[0]), w)
        t = torch.tanh(w)
        half = t / (2 * t.detach().abs().amax().clamp_min(1e-8)) + 0.5
        codes = 2 * round_half_up(self.top * half).clamp(0, self.top) - self.top
        return codes, like_channels(w.new_full((w.shape[0],), 1.0 / self.top), w)


class LsqWeights(WeightQuantizer):
    """Learned step size per output channel. ``lsq``: 2 bits, levels step * {-1.5, -0.5, 0.5, 1.5}, symmetric so
    that they are two bipolar planes. ``lsq:K``, K = 3..8: step * round(w / step), within 2^(K-1) - 1 steps, s8.

    The step starts at mean|w|, 2 mean|w| / sqrt(2^(K-1) - 1) for K > 2; its gradient is scaled by 1 / sqrt(n q), n
    the weights of a channel, q = 3 or 2^(K-1) - 1.
    Source: Esser et al., "Learned Step Size Quantization" (2020), on the grid of Bhalgat et al., "LSQ+" (2020).
    """

    kind = "two_plane"

    def __init__(self, out_channels: int, bits: int | str = 2) -> None:
        super().__init__(out_channels)
        self.bits = int(bits)
        if not 2 <= self.bits <= 8:
            raise ValueError("bits must be 2..8")
        self.kind = "two_plane" if self.bits == 2 else "s8"
        self.levels = 3 if self.bits == 2 else 2 ** (self.bits - 1) - 1
        self.step = nn.Parameter(torch.ones(out_channels))
        self.ready: Tensor
        self.register_buffer("ready", torch.zeros((), dtype=torch.bool))

    def quantize(self, w: Tensor) -> tuple[Tensor, Tensor]:
        if self.training and not self.ready:
            with torch.no_grad():
                start = 1.0 if self.bits == 2 else 2.0 * self.levels**-0.5
                self.step.copy_((start * per_channel(w).abs().mean(1)).clamp_min(1e-6))
                self.ready.fill_(True)
        step = scale_gradient(self.step.abs().clamp_min(1e-6), (float(self.levels) * w[0].numel()) ** -0.5)
        step = like_channels(step, w)
        if self.bits > 2:
            return round_half_up((w / step).clamp(-self.levels, self.levels)), step
        # On the grid of odd numbers, in half steps: -3, -1, 1, 3.
        codes = 2 * round_half_up((w / step + 1.5).clamp(0, 3)) - 3
        return codes, step / 2
