"""Weight quantisers. Axis 0 of a weight tensor is the output channel."""

from __future__ import annotations

import torch
from torch import Tensor

from edgebnn.train.quantizers.base import WeightQuantizer, round_half_up, sign, straight_through


def _per_channel(w: Tensor) -> Tensor:
    """``w`` as [out_c, rest]."""
    return w.reshape(w.shape[0], -1)


def _like(scale: Tensor, w: Tensor) -> Tensor:
    """``scale`` [out_c] as [out_c, 1, ...] to multiply ``w``."""
    return scale.reshape(-1, *([1] * (w.dim() - 1)))


class FloatWeights(WeightQuantizer):
    """Weights as they are; for float baselines. Not deployable."""

    kind = "float"

    def forward(self, w: Tensor) -> Tensor:
        return w


class Binary(WeightQuantizer):
    """sign(w), sign(0) = +1; straight-through where abs(w) <= 1; latent weights clipped to [-1, 1].

    Source: BinaryConnect (Courbariaux et al. 2015), BNN (Hubara et al. 2016). Lowers to one bipolar
    plane; no scale of its own: the batch norm that follows holds it.
    """

    kind = "binary"
    latent_clip = 1.0

    def quantize(self, w: Tensor) -> tuple[Tensor, Tensor]:
        return sign(w), w.new_ones(1)

    def compact(self, w: Tensor) -> Tensor:
        return torch.where(w >= 0, 1, -1).to(torch.int8)


class Twn(WeightQuantizer):
    """Ternary weight networks: delta = 0.7 mean|w|, codes {-1, 0, +1}, alpha = mean of |w| over |w| >
    delta, all per output channel; straight-through.

    Source: Li, Liu, "Ternary Weight Networks" (2016). Lowers to a nonzero and a sign plane, alpha into
    the epilogue.
    """

    kind = "ternary"

    def quantize(self, w: Tensor) -> tuple[Tensor, Tensor]:
        flat = _per_channel(w.detach())
        delta = 0.7 * flat.abs().mean(1, keepdim=True)
        kept = flat.abs() > delta
        alpha = (flat.abs() * kept).sum(1) / kept.sum(1).clamp_min(1)
        alpha = _like(alpha.clamp_min(1e-8), w)
        codes = (torch.sign(flat) * kept).reshape(w.shape)
        # The gradient of codes * alpha reaches w unchanged, whatever alpha is.
        return straight_through(w / alpha, codes), alpha


class Int8Weights(WeightQuantizer):
    """Linear symmetric, per output channel: scale = max|w| / 127, code = round(w / scale); straight-through.

    Source: Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
    Inference" (2018). Lowers to s8.
    """

    kind = "s8"

    def quantize(self, w: Tensor) -> tuple[Tensor, Tensor]:
        scale = _like(_per_channel(w.detach()).abs().amax(1).clamp_min(1e-8) / 127.0, w)
        return round_half_up(w / scale).clamp(-127, 127), scale
