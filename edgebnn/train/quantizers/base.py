"""What every quantiser has in common, and the pseudo-gradients they are made of.

All rounding is half up, floor(v + 0.5), as on the device. The functions return their value exactly (no
``x + (q - x).detach()``, which is off by a rounding error), so that evaluation has the integer model's
semantics.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edgebnn.errors import ModelError


class _RoundHalfUp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.floor(x + 0.5)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad


class _SignClipped(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, clip: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.clip = clip
        return torch.where(x >= 0, 1.0, -1.0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return grad * (x.abs() <= ctx.clip), None


class _TanhSign(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, t: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.t = t
        return torch.where(x >= 0, 1.0, -1.0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        t: float = ctx.t
        return grad * max(1.0, 1.0 / t) * t * (1.0 - torch.tanh(t * x) ** 2), None


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad, None


class _ScaleGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return x.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad * ctx.factor, None


def round_half_up(x: Tensor) -> Tensor:
    """floor(x + 0.5); gradient 1 (straight through)."""
    result: Tensor = _RoundHalfUp.apply(x)
    return result


def sign(x: Tensor, clip: float = 1.0) -> Tensor:
    """+1 where x >= 0, else -1; gradient 1 where abs(x) <= clip, else 0 (clipped straight-through
    estimator).
    """
    result: Tensor = _SignClipped.apply(x, clip)
    return result


def tanh_sign(x: Tensor, t: float) -> Tensor:
    """+1 where x >= 0, else -1; gradient of max(1, 1/t) tanh(t x)."""
    result: Tensor = _TanhSign.apply(x, t)
    return result


def straight_through(x: Tensor, value: Tensor) -> Tensor:
    """``value``, with the gradient passed to ``x`` unchanged."""
    result: Tensor = _StraightThrough.apply(x, value)
    return result


def scale_gradient(x: Tensor, factor: float) -> Tensor:
    """``x``, its gradient multiplied by ``factor``."""
    result: Tensor = _ScaleGradient.apply(x, factor)
    return result


def _round_away(x: Tensor) -> Tensor:
    return torch.copysign(torch.floor(x.abs() + 0.5), x)


@torch.no_grad()
def requantize(x: Tensor, unit: Tensor, scale: Tensor) -> Tensor:
    """round(x / scale) as TFLite's INT8 kernels compute it, as integers held as float, shape of ``x``.

    ``x`` is an accumulator plus bias in units of ``unit`` [channels, axis 1 of x]; the bias is rounded to a
    whole unit, and the product with the multiplier m in [0.5, 1) is rounded before the division by a power of
    two. Rounding twice moves about one value in a thousand, which low-bit layers behind it amplify.
    """
    step = unit.double().clamp_min(1e-30).reshape(1, -1, *([1] * (x.dim() - 2)))
    accumulator = torch.floor(x.double() / step + 0.5)
    mantissa, exponent = torch.frexp(step / scale.double())
    high = _round_away(torch.ldexp(accumulator * mantissa, exponent.clamp_min(0)))
    return _round_away(torch.ldexp(high, exponent.clamp_max(0))).to(x.dtype)


def per_channel(w: Tensor) -> Tensor:
    """``w`` as [out_c, rest]."""
    return w.reshape(w.shape[0], -1)


def like_channels(scale: Tensor, w: Tensor) -> Tensor:
    """``scale`` [out_c] as [out_c, 1, ...] to multiply ``w``."""
    return scale.reshape(-1, *([1] * (w.dim() - 1)))


@dataclass(frozen=True)
class Base:
    """Deployed weights: ``kind`` "s8", "binary", "ternary" or "two_plane"; int8 codes; float64 scale
    [out_c].
    """

    kind: str
    codes: npt.NDArray[np.int8]
    scale: npt.NDArray[np.float64]


class WeightQuantizer(nn.Module):
    """Base of the weight quantisers: latent float weights in, codes times one scale per output channel out.

    ``kind`` is what the weights are on the device: "s8", "binary", "ternary", "two_plane", "sum" (of
    several bases) or "float" (not deployable). ``latent_clip``: after each optimiser step the latent
    weights are clipped to +- this; None leaves them.
    """

    kind = "float"
    latent_clip: float | None = None
    progress = 0.0  # how much of training is done, 0..1; the training loop sets it

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        self.out_channels = out_channels

    def quantize(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Codes (integers held as float, shape of ``w``) and scale ([out_c, 1, ...]), both differentiable."""
        raise NotImplementedError

    def forward(self, w: Tensor) -> Tensor:
        """Quantised real weights, shape of ``w``; axis 0 is the output channel."""
        codes, scale = self.quantize(w)
        return codes * scale

    @torch.no_grad()
    def codes(self, w: Tensor) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float64]]:
        """What is deployed: int8 codes in the shape of ``w`` and the float64 scale of each output channel."""
        codes, scale = self.quantize(w)
        scale = scale.reshape(-1).to(torch.float64)
        return codes.to(torch.int8).cpu().numpy(), scale.expand(w.shape[0]).cpu().numpy().copy()

    def bases(self, w: Tensor) -> list[Base]:
        """What is deployed; the weights are the sum of the bases, which is one for most quantisers."""
        return [Base(self.kind, *self.codes(w))]

    def compact(self, w: Tensor) -> Tensor:
        """Smallest tensor that ``load_state_dict`` takes for ``w`` and that quantises to the same codes
        and scales.
        """
        return w


class ActivationQuantizer(nn.Module):
    """Base of the activation quantisers: real values in, values on the device's grid out.

    ``dtype`` is the device's element type: "b1", "u2", "u3", "u4", "s8" or "float" (not deployable).
    real = scale * (q - zero_point), or, ``bipolar``, scale * (q - (2^k - 1) / 2). ``unipolar``: one bit of the values
    0 and scale; deployed as b1 signs t with real = scale / 2 * (1 - t), so that padding with +1 is padding with 0.
    """

    dtype = "float"
    zero_point = 0
    bipolar = False
    unipolar = False
    name = ""
    progress = 0.0  # how much of training is done, 0..1; the training loop sets it

    def scale(self) -> Tensor:
        """The step between neighbouring codes, a scalar tensor."""
        raise NotImplementedError

    def export_ir(self, b: Any, x: Any, name: str | None = None) -> Any:
        """Appends this quantisation to the builder ``b``; returns the quantised value."""
        name = name or self.name
        if self.dtype == "float":
            raise ModelError(
                f"{name}: activations are float", hint="train with a quantised activation, such as lsq:2"
            )
        if self.unipolar:
            # -x + scale / 2, a little less: half a step rounds up, and the sign of 0 is +1.
            half = float(self.scale()) / 2
            x = b.affine(x, -1.0, half * (1 - 1e-6), name=f"{name}.flip")
            return b.quant(x, "b1", half, name=name)
        return b.quant(
            x, self.dtype, float(self.scale()), zero_point=self.zero_point, name=name, bipolar=self.bipolar
        )

    def lowest(self) -> float:
        """The smallest value of u2..u4 codes, that of code 0."""
        return -float(self.scale()) * (2 ** int(self.dtype[1]) - 1) / 2 if self.bipolar else 0.0
