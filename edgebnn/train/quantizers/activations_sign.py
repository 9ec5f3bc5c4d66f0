"""Activation quantisers that lower to b1: sign(x), sign(0) = +1, with different pseudo-gradients.

A learned shift before the sign (RSign) is an affine layer in front, which the converter folds.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from edgebnn.train.quantizers.base import ActivationQuantizer, sign, tanh_sign


class Sign(ActivationQuantizer):
    """sign(x); gradient 1 where abs(x) <= clip (clipped straight-through). ``sign``, ``sign:CLIP``;
    ``ste`` does not clip.

    Source: Hubara et al., "Binarized Neural Networks" (2016).
    """

    dtype = "b1"

    def __init__(self, clip: float | str = 1.0) -> None:
        super().__init__()
        self.clip = float(clip)
        if not self.clip > 0:
            raise ValueError("the clip must be positive")

    def forward(self, x: Tensor) -> Tensor:
        return sign(x, self.clip)

    def scale(self) -> Tensor:
        return torch.ones(())


class Ste(Sign):
    """sign(x), gradient 1 everywhere. ``ste``. Source: Bengio et al. (2013)."""

    def __init__(self) -> None:
        super().__init__(float("inf"))


class ScaledSign(Sign):
    """beta sign(x), one beta for the tensor: ``xnor`` the mean of abs(x), averaged over batches (a static input
    scale: no batch or place has its own), ``xnor:learned`` a parameter that starts there. Clipped straight-through
    where abs(x) <= 1. It folds into the epilogue of the layer.

    Source: Rastegari et al., "XNOR-Net" (2016); learned: Bulat, Tzimiropoulos, "XNOR-Net++" (2019).
    """

    decay = 0.99

    def __init__(self, rule: str = "static") -> None:
        super().__init__()
        if rule not in ("static", "learned"):
            raise ValueError("expected static or learned")
        self.learned = rule == "learned"
        self.beta: Tensor
        if self.learned:
            self.beta = nn.Parameter(torch.ones(()))
        else:
            self.register_buffer("beta", torch.ones(()))
        self.ready: Tensor
        self.register_buffer("ready", torch.zeros((), dtype=torch.bool))

    def scale(self) -> Tensor:
        return self.beta.detach().abs().clamp_min(1e-6)

    def forward(self, x: Tensor) -> Tensor:
        if self.training and not (self.learned and self.ready):
            with torch.no_grad():
                mean = x.abs().mean()
                self.beta.copy_(mean if not self.ready else self.decay * self.beta + (1 - self.decay) * mean)
                self.ready.fill_(True)
        beta = self.beta.abs().clamp_min(1e-6) if self.learned else self.scale()
        return sign(x, self.clip) * beta


class _ApproxSign(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.where(x >= 0, 1.0, -1.0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad * (2.0 - 2.0 * x.abs()).clamp_min(0)


class ApproxSign(Sign):
    """sign(x); gradient 2 - 2|x| inside [-1, 1], that of a piecewise polynomial. ``approx``.

    Source: Liu et al., "Bi-Real Net" (2018).
    """

    def __init__(self) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = _ApproxSign.apply(x)
        return result


class _SwishSign(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, beta: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.beta = beta
        return torch.where(x >= 0, 1.0, -1.0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        beta: float = ctx.beta
        bx = (beta * x).clamp(-30, 30)
        return grad * beta * (2.0 - bx * torch.tanh(bx / 2)) / (1.0 + torch.cosh(bx)), None


class SwishSign(Sign):
    """sign(x); gradient beta (2 - bx tanh(bx / 2)) / (1 + cosh(bx)), bx = beta x, that of SwishSign.
    ``swish``, ``swish:BETA`` (default 5).

    Source: Darabi et al., "BNN+: Improved Binary Network Training" (2018).
    """

    def __init__(self, beta: float | str = 5.0) -> None:
        super().__init__()
        self.beta = float(beta)
        if not self.beta > 0:
            raise ValueError("beta must be positive")

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = _SwishSign.apply(x, self.beta)
        return result


class Ede(Sign):
    """sign(x); gradient of max(1, 1/t) tanh(t x), t rising from 0.1 to 10 with ``progress`` 0..1 of
    training, which the training loop sets: annealed from identity to sign. ``ede``.

    Source: Qin et al., "Forward and Backward Information Retention ..." (IR-Net, 2020).
    """

    def __init__(self) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return tanh_sign(x, 10.0 ** (2.0 * self.progress - 1.0))


class Dsq(Sign):
    """sign(x); gradient of tanh(k x) / tanh(k) inside [-1, 1], 0 outside, k growing from 1 to 10 with
    ``progress``: differentiable soft quantisation at one bit. ``dsq``.

    Source: Gong et al., "Differentiable Soft Quantization" (2019).
    """

    def __init__(self) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = _SoftSign.apply(x, 10.0**self.progress)
        return result


class _SoftSign(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, k: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.k = k
        return torch.where(x >= 0, 1.0, -1.0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        k = torch.as_tensor(ctx.k, dtype=x.dtype)
        slope = k * (1.0 - torch.tanh(k * x) ** 2) / torch.tanh(k)
        return grad * slope * (x.abs() <= 1), None


class StochasticSign(Sign):
    """In training +1 with probability clamp((x + 1) / 2, 0, 1), else -1; in evaluation sign(x). Clipped
    straight-through. ``stochastic``.

    Source: Courbariaux et al., "BinaryNet" (2016).
    """

    def __init__(self) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return sign(x, self.clip)
        # The threshold moves at random instead of the value: sign of a shifted x, same gradient.
        shift = 2.0 * torch.rand_like(x) - 1.0
        value: Tensor = _StochasticSign.apply(x, shift)
        return value


class _StochasticSign(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, shift: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.where(x >= shift, 1.0, -1.0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return grad * (x.abs() <= 1), None
