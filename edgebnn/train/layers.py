"""Layers that train with fake quantisation and export themselves to the converter's graph builder.

Tensors are N x C x H x W, weights [out_c, in_c / groups, kernel_h, kernel_w]; the builder gets codes as
[out_c, kernel_h, kernel_w, in_c / groups]. Each layer has ``export_ir(b, x)``, which appends it to
builder ``b`` after value ``x`` and returns its output value. ``name`` is the layer's name in the model;
``name_layers`` sets it. In evaluation mode the forward pass has the integer model's semantics up to
float32 rounding.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgebnn.errors import ModelError, UsageError
from edgebnn.train.layers_around import (
    Affine,
    BatchNorm,
    GlobalAvgPool,
    HardTanh,
    MaxPool,
    PReLU,
    ReLU,
    RPReLU,
    Shift,
    float64,
)
from edgebnn.train.quantizers import ActivationQuantizer, activation_quantizer, weight_quantizer

__all__ = [
    "Affine",
    "BatchNorm",
    "Conv2d",
    "DepthwiseConv2d",
    "GlobalAvgPool",
    "HardTanh",
    "Linear",
    "MaxPool",
    "PReLU",
    "RPReLU",
    "ReLU",
    "Shift",
    "name_layers",
    "same_pads",
]

Pads = tuple[int, int, int, int]  # top, bottom, left, right


def same_pads(size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int]) -> Pads:
    """TensorFlow's "same" padding for an input of ``size`` (H, W): output is ceil(size / stride)."""
    pads = []
    for n, k, s in zip(size, kernel, stride, strict=True):
        total = max(((n + s - 1) // s - 1) * s + k - n, 0)
        pads += [total // 2, total - total // 2]
    return pads[0], pads[1], pads[2], pads[3]


def name_layers(model: nn.Module) -> None:
    """Sets ``name`` of every sub-module to its dotted path in ``model``."""
    for path, module in model.named_modules():
        if path:
            module.name = path


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _width_as_channels(x: Tensor) -> Tensor:
    """[N, C, H, W] as [N, W * C, 1, H], channels last; a view where ``x`` is channels last already."""
    n, c, h, w = x.shape
    return x.permute(0, 2, 3, 1).reshape(n, 1, h, w * c).permute(0, 3, 1, 2)


def _conv2d(
    x: Tensor,
    w: Tensor,
    stride: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
    padding: tuple[int, int] = (0, 0),
) -> Tensor:
    """Convolution in the channels-last memory format, which PyTorch runs fastest on CPUs; the elementwise
    layers around keep it.
    """
    if groups == 1 and x.shape[3] == w.shape[3] and padding[1] == 0:
        # The kernel spans the width: a convolution along H alone, with H as the innermost axis but one.
        y = F.conv2d(
            _width_as_channels(x),
            _width_as_channels(w),
            stride=(1, stride[0]),
            padding=(0, padding[0]),
            dilation=(1, dilation[0]),
        )
        n, c, _, h = y.shape
        return y.permute(0, 2, 3, 1).reshape(n, h, 1, c).permute(0, 3, 1, 2)
    y = F.conv2d(_channels_last(x), w, stride=stride, padding=padding, dilation=dilation, groups=groups)
    return _channels_last(y)


class Conv2d(nn.Module):
    """2-D convolution of quantised weights, optionally quantising its input first.

    ``weight`` and ``act`` are quantiser names (``edgebnn.train.quantizers``); ``act=None`` takes the
    input as it is. ``pads`` defaults to "same" at stride 1. ``pad_mode`` "zero" leaves padded taps out;
    "one" (b1 inputs only) pads with +1, "lowest" (u2..u4 inputs) with the smallest activation, which
    bipolar activations need, since 0 is none of them. ``groups`` is 1, or ``in_c`` for a depthwise convolution.
    """

    name = ""

    def __init__(
        self,
        in_c: int,
        out_c: int,
        kernel: tuple[int, int],
        *,
        stride: tuple[int, int] = (1, 1),
        pads: Pads | None = None,
        pad_mode: Literal["zero", "one", "lowest"] = "zero",
        dilation: tuple[int, int] = (1, 1),
        groups: int = 1,
        weight: str = "binary",
        act: str | None = None,
        bias: bool = False,
    ) -> None:
        super().__init__()
        if groups not in (1, in_c):
            raise UsageError(f"convolution with {groups} groups", hint=f"groups must be 1 or in_c ({in_c})")
        self.stride, self.dilation, self.groups, self.pad_mode = stride, dilation, groups, pad_mode
        extent = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
        self.pads = (
            pads if pads is not None else same_pads((extent[0], extent[1]), (extent[0], extent[1]), (1, 1))
        )
        self.weight = nn.Parameter(torch.empty(out_c, in_c // groups, *kernel))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)
        self.bias = nn.Parameter(torch.zeros(out_c)) if bias else None
        self.weight_quantizer = weight_quantizer(weight, out_c)
        self.act = activation_quantizer(act) if act else None
        if pad_mode == "one" and (self.act is None or self.act.dtype != "b1" or self.act.unipolar):
            raise UsageError("padding with +1 needs a b1 input", hint="use act='sign' or pad_mode='zero'")
        if pad_mode == "lowest" and (self.act is None or self.act.dtype not in ("u2", "u3", "u4")):
            raise UsageError(
                "padding with the lowest value needs 2- to 4-bit activations", hint="use pad_mode='zero'"
            )
        if pad_mode == "zero" and self.act is not None and self.act.bipolar and any(self.pads):
            raise UsageError(
                f"zero padding with {act}, whose values leave 0 out", hint="use pad_mode (padding) 'lowest'"
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self._convolve(*self._padded(x), self.weight_quantizer(self.weight))
        return y if self.bias is None else y + self.bias[:, None, None]

    def base_outputs(self, x: Tensor) -> list[Tensor]:
        """Outputs of the weights' bases, without bias; their sum is the convolution."""
        x, padding = self._padded(x)
        outputs = []
        for base in self.weight_quantizer.bases(self.weight):
            scale = torch.from_numpy(base.scale).to(x)
            codes = torch.from_numpy(base.codes).to(x)
            outputs.append(self._convolve(x, padding, codes) * scale[:, None, None])
        return outputs

    def _padded(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """The quantised input, and by how much the convolution itself is to pad it with zeros."""
        if self.act is not None:
            x = self.act(x)
        top, bottom, left, right = self.pads
        if self.pad_mode == "zero" and top == bottom and left == right:
            return x, (top, left)
        if any(self.pads):
            x = F.pad(x, (left, right, top, bottom), value=self._pad_value())
        return x, (0, 0)

    def _pad_value(self) -> float:
        if self.act is None or self.pad_mode == "zero":
            return 0.0
        return float(self.act.scale()) if self.pad_mode == "one" else self.act.lowest()

    def _convolve(self, x: Tensor, padding: tuple[int, int], w: Tensor) -> Tensor:
        return _conv2d(x, w, self.stride, self.dilation, self.groups, padding)

    def export_ir(self, b: Any, x: Any) -> Any:
        outputs = self.export_bases(b, x)
        if len(outputs) > 1:
            raise ModelError(
                f"layer {self.name}: weights are a sum of {len(outputs)} bases, which needs a shortcut",
                hint="use such quantisers in residual blocks, or one of a single base",
            )
        return outputs[0] if self.bias is None else _export_bias(b, outputs[0], self.bias, self.name)

    def export_bases(self, b: Any, x: Any) -> list[Any]:
        """Appends one convolution for each base of the weights, without bias; returns their values."""
        _check_deployable(self, self.name)
        if self.act is not None:
            x = self.act.export_ir(b, x)
        bases = self.weight_quantizer.bases(self.weight)
        outputs = []
        for i, base in enumerate(bases):
            name = self.name if len(bases) == 1 else f"{self.name}.base{i}"
            codes, bias = _for_signs(base.codes, base.scale, self.act)
            y = b.conv(
                x,
                np.ascontiguousarray(codes.transpose(0, 2, 3, 1)),
                base.scale,
                base.kind,
                stride=self.stride,
                pads=self.pads,
                pad_mode=self.pad_mode if bias is None else "one",
                dilation=self.dilation,
                groups=self.groups,
                name=name,
            )
            outputs.append(y if bias is None else b.affine(y, 1.0, bias, name=f"{name}.ones"))
        return outputs

    def unit(self, input_scale: Tensor | float) -> Tensor:
        """What one step of the integer accumulator is worth, per output channel [out_c]."""
        return _unit(self, input_scale)


class DepthwiseConv2d(Conv2d):
    """Depthwise convolution: one kernel per channel. Arguments as of ``Conv2d``."""

    def __init__(self, channels: int, kernel: tuple[int, int], **keywords: Any) -> None:
        super().__init__(channels, channels, kernel, groups=channels, **keywords)


class Linear(nn.Module):
    """Dense layer of quantised weights [out, in], optionally quantising its input [N, in] first."""

    name = ""

    def __init__(
        self, in_c: int, out_c: int, *, weight: str = "int8", act: str | None = None, bias: bool = True
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_c, in_c))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)
        self.bias = nn.Parameter(torch.zeros(out_c)) if bias else None
        self.weight_quantizer = weight_quantizer(weight, out_c)
        self.act = activation_quantizer(act) if act else None

    def forward(self, x: Tensor) -> Tensor:
        if self.act is not None:
            x = self.act(x)
        return F.linear(x, self.weight_quantizer(self.weight), self.bias)

    def export_ir(self, b: Any, x: Any) -> Any:
        _check_deployable(self, self.name)
        if self.act is not None:
            x = self.act.export_ir(b, x)
        codes, scale = self.weight_quantizer.codes(self.weight)
        codes, ones = _for_signs(codes, scale, self.act)
        x = b.dense(x, codes, scale, self.weight_quantizer.kind, name=self.name)
        x = x if ones is None else b.affine(x, 1.0, ones, name=f"{self.name}.ones")
        return x if self.bias is None else _export_bias(b, x, self.bias, self.name)

    def unit(self, input_scale: Tensor | float) -> Tensor:
        """What one step of the integer accumulator is worth, per output [out]."""
        return _unit(self, input_scale)


def _unit(layer: Conv2d | Linear, input_scale: Tensor | float) -> Tensor:
    with torch.no_grad():
        _, scale = layer.weight_quantizer.quantize(layer.weight)
        return scale.reshape(-1).expand(layer.weight.shape[0]) * input_scale


def _for_signs(
    codes: npt.NDArray[np.int8], scale: npt.NDArray[np.float64], act: ActivationQuantizer | None
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float64] | None]:
    """Codes, and what is to be added to each output, for inputs that are deployed as signs t of the values step / 2 *
    (1 - t): w (1 - t) is sum(w) - w t. Other inputs: ``codes`` and None.
    """
    if act is None or not act.unipolar:
        return codes, None
    total = codes.reshape(codes.shape[0], -1).sum(1, dtype=np.int64)
    return -codes, float(act.scale()) / 2 * scale * total


def _export_bias(b: Any, x: Any, bias: Tensor, name: str) -> Any:
    return b.affine(x, np.ones(bias.numel()), float64(bias), name=f"{name}.bias")


def _check_deployable(layer: Conv2d | Linear, name: str) -> None:
    if layer.weight_quantizer.kind == "float":
        raise ModelError(
            f"layer {name}: weights are float", hint="train it with int8, binary or ternary weights"
        )
    if not torch.isfinite(layer.weight).all():
        raise ModelError(f"layer {name}: weights hold NaN or infinity", hint="the training diverged")
