"""What networks over one s8 stream share: the classifier behind the mean, and stem and residual blocks before it."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from edgebnn.models.blocks import ResidualBlock
from edgebnn.train.layers import BatchNorm, Conv2d, GlobalAvgPool, Linear, ReLU
from edgebnn.train.network import Network
from edgebnn.train.quantizers import ActivationQuantizer, activation_quantizer


class Classifier(Network):
    """Base of networks that end with ReLU, mean over all pixels, a dense layer and softmax; ``stream`` quantises the
    tensor before the mean. A subclass makes its layers, then calls ``make_head``."""

    stream: ActivationQuantizer

    def make_head(self, channels: int, classes: int, weight: str) -> None:
        """The layers behind a stream of ``channels`` channels; ``weight``: quantiser of the dense layer."""
        self.relu = ReLU()
        self.pool = GlobalAvgPool()
        self.pool_quant = activation_quantizer("int8:unsigned")
        self.head = Linear(channels, classes, weight=weight)
        self.logits = activation_quantizer("int8")

    def classify(self, x: Tensor) -> Tensor:
        """Logits [N, classes] of a rectified stream [N, C, H, W]."""
        pixels = x.shape[2] * x.shape[3]
        x = self.pool_quant(self.pool(x), self.stream.scale() / pixels)
        unit = None if self.training else self.head.unit(self.pool_quant.scale())
        y: Tensor = self.logits(self.head(x), unit)
        return y

    def export_classifier(self, b: Any, x: Any) -> Any:
        """``classify`` and softmax in builder ``b``; returns the output value."""
        x = self.pool_quant.export_ir(b, self.pool.export_ir(b, x))
        x = self.logits.export_ir(b, self.head.export_ir(b, x))
        return b.output(b.softmax(x))


class ResidualNetwork(Classifier):
    """stem [N, channels, H, W] -> blocks -> classifier. A subclass makes ``stem``, ``stem_norm``, ``stream`` and
    ``blocks``, in this order."""

    stem: Conv2d
    stem_norm: BatchNorm
    blocks: nn.ModuleList

    def forward(self, x: Tensor) -> Tensor:
        stem_unit = None if self.training else self.stem_norm.unit(self.stem.unit(self.input.scale))
        x = self.stream(self.stem_norm(self.stem(x)), stem_unit)
        for i, block in enumerate(self.blocks):
            x = block(x, self.stream)
            x = self.stream(self.relu(x) if i == len(self.blocks) - 1 else x)
        return self.classify(x)

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
        return self.export_classifier(b, x)
