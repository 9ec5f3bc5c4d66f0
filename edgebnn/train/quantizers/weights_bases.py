"""Weight quantisers that are sums of low-bit bases, w = sum of scale_i * codes_i: one low-bit convolution
a base.

A residual block adds the bases to its shortcut one after the other (``edgebnn.models.blocks``).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgebnn.train.quantizers.base import Base, WeightQuantizer, like_channels, per_channel


def _with_gradient(w: Tensor, value: Tensor, factor: Tensor | float = 1.0) -> Tensor:
    """``value``, which keeps its own gradient and passes ``factor`` times it to ``w``; w - w is exactly 0."""
    return value + (w - w.detach()) * factor


def _signs(w: Tensor) -> Tensor:
    return torch.where(w >= 0, 1.0, -1.0).to(w.dtype)


class MultiBase(WeightQuantizer):
    """Base class: ``planes`` gives (kind, codes, scale [out_c]) of each base."""

    kind = "sum"

    def planes(self, w: Tensor) -> list[tuple[str, Tensor, Tensor]]:
        """Kind, codes (integers held as float, shape of ``w``) and scale ([out_c], >= 0) of each base."""
        raise NotImplementedError

    def forward(self, w: Tensor) -> Tensor:
        total = torch.zeros_like(w)
        for _, codes, scale in self.planes(w.detach()):
            total = total + codes * like_channels(scale, w)
        return _with_gradient(w, total)

    @torch.no_grad()
    def bases(self, w: Tensor) -> list[Base]:
        return [
            Base(kind, codes.to(torch.int8).cpu().numpy(), scale.to(torch.float64).cpu().numpy().copy())
            for kind, codes, scale in self.planes(w)
        ]


class Ttq(MultiBase):
    """Trained ternary quantisation: {-w_n, 0, +w_p} per output channel, both learned; nonzero where |w| >
    0.05 max|w|.

    w_p and w_n get the gradients of their weights; latent weights that are nonzero get theirs times w_p
    or w_n. Deployed as (w_p + w_n) / 2 * ternary codes + (w_p - w_n) / 2 * the mask of nonzero weights.
    ``ttq``. Source: Zhu et al., "Trained Ternary Quantization" (2017).
    """

    def __init__(self, out_channels: int, threshold: float | str = 0.05) -> None:
        super().__init__(out_channels)
        self.threshold = float(threshold)
        if not 0 <= self.threshold < 1:
            raise ValueError("the threshold is a share of the largest weight, 0..1")
        self.positive = nn.Parameter(torch.ones(out_channels))
        self.negative = nn.Parameter(torch.ones(out_channels))
        self.ready: Tensor
        self.register_buffer("ready", torch.zeros((), dtype=torch.bool))

    def _codes(self, w: Tensor) -> Tensor:
        flat = per_channel(w.detach())
        kept = flat.abs() > self.threshold * flat.abs().amax(1, keepdim=True)
        return (torch.sign(flat) * kept).reshape(w.shape)

    def forward(self, w: Tensor) -> Tensor:
        codes = self._codes(w)
        if self.training and not self.ready:
            with torch.no_grad():
                size = per_channel(w).abs().mean(1).clamp_min(1e-6)
                self.positive.copy_(size)
                self.negative.copy_(size)
                self.ready.fill_(True)
        up, down = like_channels(self.positive.abs(), w), like_channels(self.negative.abs(), w)
        value = torch.where(codes > 0, up, torch.where(codes < 0, -down, torch.zeros_like(w)))
        return _with_gradient(w, value, torch.where(codes == 0, torch.ones_like(w), value.abs()).detach())

    def planes(self, w: Tensor) -> list[tuple[str, Tensor, Tensor]]:
        codes = self._codes(w)
        up, down = self.positive.detach().abs(), self.negative.detach().abs()
        direction = like_channels(_signs(up - down), w)
        return [
            ("ternary", codes, (up + down) / 2),
            ("ternary", codes.abs() * direction, (up - down).abs() / 2),
        ]


class DualBinary(MultiBase):
    """Two {0, 1} planes with a learned scale each, per output channel: a b1 - c b2, four levels -c, 0, a - c, a.

    b1 = 1 where w > (a - c) / 2, then b2 = 1 where w - a b1 < -c / 2: the nearest level. a starts at 2 mean|w|, c at
    mean|w|; both get the gradients of their weights, latent weights theirs unchanged. ``dbllm``.
    Source: Chen et al., "DB-LLM: Accurate Dual-Binarization for Efficient LLMs" (2024).
    """

    def __init__(self, out_channels: int) -> None:
        super().__init__(out_channels)
        self.up = nn.Parameter(torch.full((out_channels,), 2.0))
        self.down = nn.Parameter(torch.ones(out_channels))
        self.ready: Tensor
        self.register_buffer("ready", torch.zeros((), dtype=torch.bool))

    def _planes(self, w: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """b1, b2, a and c; the scales positive and shaped to multiply ``w``."""
        up, down = (like_channels(p.abs().clamp_min(1e-8), w) for p in (self.up, self.down))
        first = (w > (up - down) / 2).to(w.dtype)
        second = (w - up * first < -down / 2).to(w.dtype)
        return first, second, up, down

    def forward(self, w: Tensor) -> Tensor:
        if self.training and not self.ready:
            with torch.no_grad():
                size = per_channel(w).abs().mean(1).clamp_min(1e-6)
                self.up.copy_(2 * size)
                self.down.copy_(size)
                self.ready.fill_(True)
        first, second, up, down = self._planes(w.detach())
        return _with_gradient(w, up * first - down * second)

    def planes(self, w: Tensor) -> list[tuple[str, Tensor, Tensor]]:
        first, second, up, down = (value.detach() for value in self._planes(w))
        return [("ternary", first, up.flatten()), ("ternary", -second, down.flatten())]


class Abc(MultiBase):
    """``abc:M``, also ``horq:M`` (default 2): M binary bases, each the sign of what the ones before left, alpha_i =
    mean|residual| per output channel; straight-through. With two bases these are the four levels {-a, -b,
    +b, +a}.

    Source: Lin et al., "Towards Accurate Binary Convolutional Neural Network" (ABC-Net, 2017); the greedy
    residual is that of Li et al., "Performance Guaranteed Network Acceleration via High-Order Residual
    Quantization" (2017).
    """

    def __init__(self, out_channels: int, bases: int | str = 2) -> None:
        super().__init__(out_channels)
        self.count = int(bases)
        if not 1 <= self.count <= 4:
            raise ValueError("expected 1 to 4 bases")

    def planes(self, w: Tensor) -> list[tuple[str, Tensor, Tensor]]:
        result, rest = [], w
        for _ in range(self.count):
            alpha, codes = per_channel(rest).abs().mean(1).clamp_min(1e-8), _signs(rest)
            result.append(("binary", codes, alpha))
            rest = rest - codes * like_channels(alpha, w)
        return result


class Salient(MultiBase):
    """One binary base, and a second one for the residual of the salient input channels only (the tenth of
    largest norm); both with alpha = mean|.| per output channel; straight-through. ``billm``,
    ``billm:SHARE``.

    Source: Huang et al., "BiLLM: Pushing the Limit of Post-Training Quantization for LLMs" (2024).
    """

    def __init__(self, out_channels: int, share: float | str = 0.1) -> None:
        super().__init__(out_channels)
        self.share = float(share)
        if not 0 < self.share <= 1:
            raise ValueError("the share of salient channels is in (0, 1]")

    def planes(self, w: Tensor) -> list[tuple[str, Tensor, Tensor]]:
        alpha, codes = per_channel(w).abs().mean(1).clamp_min(1e-8), _signs(w)
        rest = w - codes * like_channels(alpha, w)
        norms = w.transpose(0, 1).reshape(w.shape[1], -1).norm(dim=1)
        count = max(1, round(self.share * w.shape[1]))
        salient = torch.zeros_like(norms)
        salient[norms.topk(count).indices] = 1.0
        mask = salient.reshape(1, -1, *([1] * (w.dim() - 2))).expand_as(w)
        size = per_channel(rest.abs() * mask).sum(1) / per_channel(mask).sum(1)
        return [("binary", codes, alpha), ("ternary", _signs(rest) * mask, size.clamp_min(1e-8))]
