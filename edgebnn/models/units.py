"""Units of the larger networks: a low-bit convolution with shortcut, an INT8 layer, average pooling of s8 tensors."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgebnn.train.layers import BatchNorm, Conv2d, Pads, ReLU
from edgebnn.train.quantizers import ActivationQuantizer


class AveragePool(nn.Module):
    """Mean of 2x2 windows at steps of 2 of an s8 tensor, which keeps its scale (TFLite's AVERAGE_POOL_2D)."""

    def forward(self, x: Tensor, stream: ActivationQuantizer) -> Tensor:
        y = F.avg_pool2d(x, 2)
        if self.training:
            return stream(y)
        q = y.double() / stream.scale().double()
        rounded = torch.copysign(torch.floor(q.abs() + 0.5), q)  # half away from zero
        return (rounded * stream.scale()).to(x.dtype)

    def export_ir(self, b: Any, x: Any, name: str) -> Any:
        return b.avg_pool(x, (2, 2), name=name)


class LowBitUnit(nn.Module):
    """x -> quantiser -> convolution [-> ReLU] -> batch norm -> + shortcut -> s8, all sums on one scale.

    With ReLU it is the block of QuickNet (Bannink et al., "Larq Compute Engine", 2021), without that of Bi-Real Net
    (Liu et al., 2018).
    """

    def __init__(
        self,
        in_c: int,
        out_c: int,
        *,
        stride: int = 1,
        size: int = 3,
        weight: str = "binary",
        act: str = "sign",
        relu: bool = False,
    ) -> None:
        super().__init__()
        pad = size // 2
        self.conv = Conv2d(
            in_c,
            out_c,
            (size, size),
            stride=(stride, stride),
            pads=(pad, pad, pad, pad),
            pad_mode="one" if act == "sign" else "lowest" if act.startswith("bipolar") else "zero",
            weight=weight,
            act=act,
        )
        self.relu = ReLU() if relu else None
        self.norm = BatchNorm(out_c)

    def forward(self, x: Tensor, shortcut: Tensor, stream: ActivationQuantizer) -> Tensor:
        y = self.conv(x)
        y = y if self.relu is None else self.relu(y)
        return stream(shortcut + self.norm(y))

    def export_ir(self, b: Any, x: Any, shortcut: Any, stream: ActivationQuantizer, name: str) -> Any:
        y = self.conv.export_ir(b, x)
        y = y if self.relu is None else self.relu.export_ir(b, y)
        y = b.add(shortcut, self.norm.export_ir(b, y), name=f"{name}.add")
        return stream.export_ir(b, y, name=f"{name}.out")


class Int8Unit(nn.Module):
    """INT8 convolution -> batch norm [-> ReLU] -> s8. The caller gives the quantiser, and the scale of the input."""

    def __init__(
        self,
        in_c: int,
        out_c: int,
        kernel: int,
        *,
        stride: int = 1,
        pads: Pads | None = None,
        groups: int = 1,
        relu: bool = False,
        weight: str = "int8",
    ) -> None:
        super().__init__()
        self.conv = Conv2d(
            in_c,
            out_c,
            (kernel, kernel),
            stride=(stride, stride),
            pads=pads,
            groups=groups,
            weight=weight,
        )
        self.norm = BatchNorm(out_c)
        self.relu = ReLU() if relu else None

    def forward(self, x: Tensor, quantizer: ActivationQuantizer, input_scale: Tensor | float) -> Tensor:
        y = self.norm(self.conv(x))
        y = y if self.relu is None else self.relu(y)
        unit = None if self.training else self.norm.unit(self.conv.unit(input_scale))
        out: Tensor = quantizer(y, unit)
        return out

    def export_ir(self, b: Any, x: Any, quantizer: ActivationQuantizer, name: str) -> Any:
        x = self.norm.export_ir(b, self.conv.export_ir(b, x))
        x = x if self.relu is None else self.relu.export_ir(b, x)
        return quantizer.export_ir(b, x, name=name)
