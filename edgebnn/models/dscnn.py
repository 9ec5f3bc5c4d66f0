"""DS-CNN, the depthwise-separable baseline of MLPerf Tiny keyword spotting, in FP32 or INT8.

Source: Zhang et al., "Hello Edge: Keyword Spotting on Microcontrollers" (2017); MLPerf Tiny's reference
model.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from edgebnn.train.layers import BatchNorm, Conv2d, DepthwiseConv2d, GlobalAvgPool, Linear, ReLU, same_pads
from edgebnn.train.network import InputSpec, Network
from edgebnn.train.policy import Policy
from edgebnn.train.quantizers import activation_quantizer, weight_quantizer


@dataclass(frozen=True)
class DsCnnConfig:
    """``weight`` and ``act`` of all layers: "float" both, or "int8" and "int8:unsigned". Low-bit weights are those of
    the pointwise convolutions; first, last and depthwise layers are INT8 then. ``layers`` overrides
    them by layer name (``edgebnn.train.policy``); a layer's ``act`` quantises its output here.
    """

    channels: int = 64
    blocks: int = 4
    weight: str = "float"
    act: str = "float"
    classes: int = 12
    input: InputSpec = field(default=InputSpec())
    layers: dict[str, dict[str, str]] = field(default_factory=dict)


class ConvNormReLU(nn.Module):
    """Convolution -> batch norm -> ReLU -> activation quantiser."""

    def __init__(self, conv: Conv2d, channels: int, act: str) -> None:
        super().__init__()
        self.conv, self.norm, self.relu = conv, BatchNorm(channels), ReLU()
        self.quant = activation_quantizer(act)

    def forward(self, x: Tensor, input_scale: Tensor | float) -> Tensor:
        y: Tensor = self.relu(self.norm(self.conv(x)))
        # Only INT8 convolutions round as TFLite does.
        if self.training or self.quant.dtype == "float" or self.conv.weight_quantizer.kind != "s8":
            y = self.quant(y)
        else:
            y = self.quant(y, self.norm.unit(self.conv.unit(input_scale)))
        return y

    def export_ir(self, b: Any, x: Any) -> Any:
        x = self.norm.export_ir(b, self.conv.export_ir(b, x))
        return self.quant.export_ir(b, self.relu.export_ir(b, x))


class DsCnn(Network):
    """Conv 10x4 stride 2, then depthwise 3x3 and pointwise pairs, mean, dense: [N, 1, 49, 10] -> logits."""

    architecture = "dscnn"

    def __init__(self, config: DsCnnConfig) -> None:
        super().__init__()
        self.config = config
        self.policy = policy = Policy(config.layers)
        c, spec, w, a = config.channels, config.input, config.weight, config.act
        ends = w if weight_quantizer(w, 1).kind in ("float", "s8") else "int8"
        pads = same_pads((spec.height, spec.width), (10, 4), (2, 2))
        self.layers = nn.ModuleList()
        for i in range(1 + 2 * config.blocks):
            pointwise = i > 0 and i % 2 == 0
            chosen = policy.of(f"layers.{i}.conv", weight=w if pointwise else ends, act=a)
            conv = (
                Conv2d(spec.channels, c, (10, 4), stride=(2, 2), pads=pads, weight=chosen["weight"])
                if i == 0
                else DepthwiseConv2d(c, (3, 3), weight=chosen["weight"])
                if i % 2
                else Conv2d(c, c, (1, 1), weight=chosen["weight"])
            )
            self.layers.append(ConvNormReLU(conv, c, chosen["act"]))
        self.pool = GlobalAvgPool()
        self.pool_quant = activation_quantizer(a)
        self.head = Linear(c, config.classes, weight=policy.of("head", weight=ends)["weight"])
        self.logits = activation_quantizer("float" if a == "float" else "int8")

    def forward(self, x: Tensor) -> Tensor:
        scale: Tensor | float = self.input.scale
        deployed = not self.training and self.logits.dtype != "float"
        for layer in self.layers:
            assert isinstance(layer, ConvNormReLU)
            x = layer(x, scale)
            scale = layer.quant.scale() if deployed else 1.0
        y, pixels = self.pool(x), x.shape[2] * x.shape[3]
        y = self.pool_quant(y, scale / pixels) if deployed else self.pool_quant(y)
        y = self.head(y)
        y = self.logits(y, self.head.unit(self.pool_quant.scale())) if deployed else self.logits(y)
        return y

    def export_ir(self, b: Any) -> Any:
        x = b.input(tuple(self.input.shape), self.input.scale, self.input.zero_point)
        for layer in self.layers:
            assert isinstance(layer, ConvNormReLU)
            x = layer.export_ir(b, x)
        x = self.pool_quant.export_ir(b, self.pool.export_ir(b, x))
        x = self.logits.export_ir(b, self.head.export_ir(b, x))
        return b.output(b.softmax(x))
