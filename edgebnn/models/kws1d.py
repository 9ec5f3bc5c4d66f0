"""Keyword spotter in one dimension: an INT8 stem folds the coefficients into channels, low-bit blocks
convolve in time.

A block is: affine per channel -> k-bit activations -> low-bit convolution -> batch norm -> + shortcut.
The shortcut stream is s8 throughout, one symmetric scale for all of its tensors, so that adding needs no
rescaling.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from edgebnn.models.blocks import ResidualBlock
from edgebnn.train.layers import BatchNorm, Conv2d, GlobalAvgPool, Linear, ReLU, same_pads
from edgebnn.train.network import InputSpec, Network
from edgebnn.train.policy import Policy
from edgebnn.train.quantizers import activation_quantizer


@dataclass(frozen=True)
class Kws1dConfig:
    """``weight`` and ``act`` are the quantisers of the blocks; ``ends`` is that of the stem's and head's
    weights. ``layers`` overrides them by layer name (``edgebnn.train.policy``).
    """

    channels: int = 64
    blocks: int = 4
    kernel: int = 5
    stem_kernel: int = 5
    stem_stride: int = 2
    weight: str = "binary"
    act: str = "lsq:2"
    ends: str = "int8"
    classes: int = 12
    input: InputSpec = field(default=InputSpec())
    layers: dict[str, dict[str, str]] = field(default_factory=dict)


class Kws1d(Network):
    """[N, 1, 49, 10] -> stem [N, channels, 25, 1] -> blocks -> ReLU -> mean over time -> dense -> logits."""

    architecture = "kws1d"

    def __init__(self, config: Kws1dConfig) -> None:
        super().__init__()
        self.config = config
        c, spec = config.channels, config.input
        kernel, stride = (config.stem_kernel, spec.width), (config.stem_stride, 1)
        top, bottom, _, _ = same_pads((spec.height, spec.width), kernel, stride)
        self.policy = policy = Policy(config.layers)
        ends = {name: policy.of(name, weight=config.ends)["weight"] for name in ("stem", "head")}
        self.stem = Conv2d(
            spec.channels, c, kernel, stride=stride, pads=(top, bottom, 0, 0), weight=ends["stem"]
        )
        self.stem_norm = BatchNorm(c)
        self.stream = activation_quantizer("int8")
        self.blocks = nn.ModuleList(
            ResidualBlock.of(
                policy, f"blocks.{i}.conv", c, (config.kernel, 1), weight=config.weight, act=config.act
            )
            for i in range(config.blocks)
        )
        self.relu = ReLU()
        self.pool = GlobalAvgPool()
        self.pool_quant = activation_quantizer("int8:unsigned")
        self.head = Linear(c, config.classes, weight=ends["head"])
        self.logits = activation_quantizer("int8")

    def forward(self, x: Tensor) -> Tensor:
        stem_unit = None if self.training else self.stem_norm.unit(self.stem.unit(self.input.scale))
        x = self.stream(self.stem_norm(self.stem(x)), stem_unit)
        for i, block in enumerate(self.blocks):
            x = block(x, self.stream)
            if i == len(self.blocks) - 1:
                x = self.relu(x)
            x = self.stream(x)
        pixels = x.shape[2] * x.shape[3]
        x = self.pool_quant(self.pool(x), self.stream.scale() / pixels)
        head_unit = None if self.training else self.head.unit(self.pool_quant.scale())
        y: Tensor = self.logits(self.head(x), head_unit)
        return y

    def export_ir(self, b: Any) -> Any:
        x = b.input(tuple(self.input.shape), self.input.scale, self.input.zero_point)
        x = self.stem_norm.export_ir(b, self.stem.export_ir(b, x))
        x = self.stream.export_ir(b, x, name="stem.out")
        for i, block in enumerate(self.blocks):
            assert isinstance(block, ResidualBlock)
            x = block.export_ir(b, x, f"blocks.{i}", self.stream)
            if i == len(self.blocks) - 1:
                x = self.relu.export_ir(b, x)
            x = self.stream.export_ir(b, x, name=f"blocks.{i}.out")
        x = self.pool_quant.export_ir(b, self.pool.export_ir(b, x))
        x = self.logits.export_ir(b, self.head.export_ir(b, x))
        return b.output(b.softmax(x))
