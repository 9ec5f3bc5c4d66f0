"""Layers around the convolutions: normalisation, affines, non-linearities, pooling. ``export_ir`` as in
``edgebnn.train.layers``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


def float64(x: Tensor | None) -> np.ndarray:
    """A parameter or buffer as a float64 array."""
    assert x is not None
    return x.detach().to(torch.float64).cpu().numpy()


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation over N, H and W; at inference an affine per channel."""

    name = ""

    def unit(self, unit: Tensor) -> Tensor:
        """``unit`` of the layer before, after this layer's gain."""
        assert self.running_var is not None
        return unit * (self.weight / torch.sqrt(self.running_var + self.eps)).abs()

    def gain_and_bias(self) -> tuple[np.ndarray, np.ndarray]:
        """Gain and bias [channels] at inference, float64."""
        mean, var = float64(self.running_mean), float64(self.running_var)
        gain = float64(self.weight) / np.sqrt(var + self.eps)
        return gain, float64(self.bias) - mean * gain

    def export_ir(self, b: Any, x: Any) -> Any:
        return b.affine(x, *self.gain_and_bias(), name=self.name)


class Affine(nn.Module):
    """Learned gain and bias per channel: y = gain * x + bias."""

    name = ""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addcmul(self.bias[:, None, None], x, self.gain[:, None, None])

    def export_ir(self, b: Any, x: Any) -> Any:
        return b.affine(x, float64(self.gain), float64(self.bias), name=self.name)


class Shift(nn.Module):
    """Learned bias per channel, in front of ``sign`` it makes RSign: sign(x + bias).

    Source: Liu et al., "ReActNet" (2020).
    """

    name = ""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bias[:, None, None]

    def export_ir(self, b: Any, x: Any) -> Any:
        return b.affine(x, np.ones(self.bias.numel()), float64(self.bias), name=self.name)


class ReLU(nn.ReLU):
    """max(x, 0)."""

    name = ""

    def export_ir(self, b: Any, x: Any) -> Any:
        return b.relu(x)


class HardTanh(nn.Hardtanh):
    """clamp(x, -1, 1)."""

    name = ""

    def export_ir(self, b: Any, x: Any) -> Any:
        return b.hardtanh(x)


class PReLU(nn.Module):
    """x where x > 0, else slope * x, with a learned slope per channel that starts at 0.25.

    Source: He et al., "Delving Deep into Rectifiers" (2015).
    """

    name = ""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.full((channels,), 0.25))

    def forward(self, x: Tensor) -> Tensor:
        return F.prelu(x, self.slope)

    def export_ir(self, b: Any, x: Any) -> Any:
        return b.prelu(x, float64(self.slope), name=self.name)


class RPReLU(nn.Module):
    """PReLU with learned shifts per channel: PReLU(x - shift_in) + shift_out.

    Source: Liu et al., "ReActNet" (2020).
    """

    name = ""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.full((channels,), 0.25))
        self.shift_in = nn.Parameter(torch.zeros(channels))
        self.shift_out = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        y = F.prelu(x - self.shift_in[:, None, None], self.slope)
        return y + self.shift_out[:, None, None]

    def export_ir(self, b: Any, x: Any) -> Any:
        return b.prelu(
            x, float64(self.slope), float64(self.shift_in), float64(self.shift_out), name=self.name
        )


class MaxPool(nn.Module):
    """Maximum over windows of ``kernel`` (H, W) at steps of ``stride``; ``padding`` pixels on all sides never win."""

    name = ""

    def __init__(
        self, kernel: tuple[int, int], stride: tuple[int, int] | None = None, padding: int = 0
    ) -> None:
        super().__init__()
        self.kernel, self.stride, self.padding = kernel, stride or kernel, padding

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, self.kernel, self.stride, self.padding)

    def export_ir(self, b: Any, x: Any) -> Any:
        return b.max_pool(x, self.kernel, self.stride, (self.padding,) * 4, name=self.name)


class GlobalAvgPool(nn.Module):
    """Mean over H and W, [N, C, H, W] -> [N, C]."""

    name = ""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))

    def export_ir(self, b: Any, x: Any) -> Any:
        return b.global_avg_pool(x, name=self.name)
