"""A stack of BitLinear layers: ternary (or binary) weights, 8-bit activations, a vector in and out of each.

Wang et al., "BitNet" (2023) and Ma et al., "The Era of 1-bit LLMs" (2024); activations have one calibrated scale a
layer instead of one an input.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from edgebnn.train.layers import BatchNorm, Conv2d, Linear, ReLU
from edgebnn.train.network import InputSpec, Network
from edgebnn.train.policy import Policy
from edgebnn.train.quantizers import activation_quantizer

VECTOR = InputSpec(height=1, width=1, channels=2048, scale=1 / 32, zero_point=0)


@dataclass(frozen=True)
class BitLinearConfig:
    """``input``: 1 x 1 x width; all layers have its width. ``depth``: layers; ``weight``: bitnet158 (ternary) or bitnet
    (binary). ``layers`` overrides it and the head's by layer name (``edgebnn.train.policy``)."""

    depth: int = 4
    weight: str = "bitnet158"
    ends: str = "int8"
    classes: int = 10
    input: InputSpec = field(default=VECTOR)
    layers: dict[str, dict[str, str]] = field(default_factory=dict)


class BitLinear(nn.Module):
    """Matrix of low-bit weights -> batch norm -> ReLU -> s8; the next layer's input."""

    def __init__(self, width: int, weight: str) -> None:
        super().__init__()
        self.linear = Conv2d(width, width, (1, 1), weight=weight)
        self.norm = BatchNorm(width)
        self.relu = ReLU()
        self.quant = activation_quantizer("int8")

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.quant(self.relu(self.norm(self.linear(x))))
        return y

    def export_ir(self, b: Any, x: Any) -> Any:
        x = self.norm.export_ir(b, self.linear.export_ir(b, x))
        return self.quant.export_ir(b, self.relu.export_ir(b, x))


class BitLinearStack(Network):
    """[N, width, 1, 1] -> logits [N, classes]."""

    architecture = "bitlinear"

    def __init__(self, config: BitLinearConfig) -> None:
        super().__init__()
        self.config = config
        self.policy = policy = Policy(config.layers)
        width = config.input.height * config.input.width * config.input.channels
        self.layers = nn.ModuleList(
            BitLinear(width, policy.of(f"layers.{i}.linear", weight=config.weight)["weight"])
            for i in range(config.depth)
        )
        self.head = Linear(width, config.classes, weight=policy.of("head", weight=config.ends)["weight"])
        self.logits = activation_quantizer("int8")

    def forward(self, x: Tensor) -> Tensor:
        x = x.reshape(x.shape[0], -1, 1, 1)
        for layer in self.layers:
            x = layer(x)
        last = self.layers[-1]
        assert isinstance(last, BitLinear)
        unit = None if self.training else self.head.unit(last.quant.scale())
        y: Tensor = self.logits(self.head(x.flatten(1)), unit)
        return y

    def export_ir(self, b: Any) -> Any:
        x = b.input(tuple(self.input.shape), self.input.scale, self.input.zero_point)
        for layer in self.layers:
            assert isinstance(layer, BitLinear)
            x = layer.export_ir(b, x)
        x = self.logits.export_ir(b, self.head.export_ir(b, x))
        return b.output(b.softmax(x))
