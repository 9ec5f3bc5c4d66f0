"""Binary ResNet-18: INT8 stem, shortcuts and head around sixteen low-bit 3x3 convolutions, each with a shortcut.

He et al., "Deep Residual Learning" (2016); a shortcut around every convolution as in Liu et al., "Bi-Real Net" (2018);
INT8 1x1 convolutions behind an average pool where the size changes, as in Martinez et al., "Training Binary Neural
Networks with Real-to-Binary Convolutions" (2020).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from edgebnn.models.classifier import Classifier
from edgebnn.models.units import AveragePool, Int8Unit, LowBitUnit
from edgebnn.train.layers import MaxPool, same_pads
from edgebnn.train.network import InputSpec
from edgebnn.train.policy import Policy
from edgebnn.train.quantizers import ActivationQuantizer, activation_quantizer

IMAGE = InputSpec(height=224, width=224, channels=3, scale=1 / 32, zero_point=0)


@dataclass(frozen=True)
class ResNet18Config:
    """``channels``: of the first stage, doubled by each of the three others; ``depth``: blocks of two convolutions in a
    stage. ``weight`` and ``act``: of the blocks; ``ends``: of stem, shortcuts and head. ``layers`` overrides those
    of blocks and head by layer name (``edgebnn.train.policy``)."""

    channels: int = 64
    depth: int = 2
    weight: str = "binary"
    act: str = "sign"
    ends: str = "int8"
    classes: int = 1000
    input: InputSpec = field(default=IMAGE)
    layers: dict[str, dict[str, str]] = field(default_factory=dict)


class Down(nn.Module):
    """The shortcut where the size changes: average pool 2x2, INT8 convolution 1x1, batch norm."""

    def __init__(self, in_c: int, out_c: int, weight: str) -> None:
        super().__init__()
        self.pool = AveragePool()
        self.unit = Int8Unit(in_c, out_c, 1, weight=weight)

    def forward(self, x: Tensor, stream: ActivationQuantizer) -> Tensor:
        y: Tensor = self.unit(self.pool(x, stream), stream, stream.scale())
        return y

    def export_ir(self, b: Any, x: Any, stream: ActivationQuantizer, name: str) -> Any:
        return self.unit.export_ir(b, self.pool.export_ir(b, x, f"{name}.pool"), stream, f"{name}.out")


class ResNet18(Classifier):
    """[N, 3, H, W], H and W multiples of 32 -> logits [N, classes]. The stream of all stages has one scale."""

    architecture = "resnet18"

    def __init__(self, config: ResNet18Config) -> None:
        super().__init__()
        self.config = config
        self.policy = policy = Policy(config.layers)
        c, spec = config.channels, config.input
        pads = same_pads((spec.height, spec.width), (7, 7), (2, 2))
        self.stem = Int8Unit(spec.channels, c, 7, stride=2, pads=pads, weight=config.ends)
        self.stream = activation_quantizer("int8")
        self.stem_pool = MaxPool((3, 3), (2, 2), padding=1)
        self.units, self.downs = nn.ModuleList(), nn.ModuleDict()
        for stage in range(4):
            for i in range(2 * config.depth):
                down = stage > 0 and i == 0
                if down:
                    self.downs[str(len(self.units))] = Down(c, 2 * c, config.ends)
                out_c = 2 * c if down else c
                stride = 2 if down else 1
                name = f"units.{len(self.units)}.conv"
                chosen = policy.of(name, weight=config.weight, act=config.act)
                self.units.append(
                    LowBitUnit(c, out_c, stride=stride, weight=chosen["weight"], act=chosen["act"])
                )
                c = out_c
        self.make_head(c, config.classes, policy.of("head", weight=config.ends)["weight"])

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem_pool(self.stem(x, self.stream, self.input.scale))
        for i, unit in enumerate(self.units):
            shortcut = self.downs[str(i)](x, self.stream) if str(i) in self.downs else x
            x = unit(x, shortcut, self.stream)
        return self.classify(self.relu(x))

    def export_ir(self, b: Any) -> Any:
        x = b.input(tuple(self.input.shape), self.input.scale, self.input.zero_point)
        x = self.stem_pool.export_ir(b, self.stem.export_ir(b, x, self.stream, "stem.out"))
        for i, unit in enumerate(self.units):
            assert isinstance(unit, LowBitUnit)
            shortcut = x
            if str(i) in self.downs:
                down = self.downs[str(i)]
                assert isinstance(down, Down)
                shortcut = down.export_ir(b, x, self.stream, f"downs.{i}")
            x = unit.export_ir(b, x, shortcut, self.stream, f"units.{i}")
        x = self.stream.export_ir(b, self.relu.export_ir(b, x), name="relu.out")
        return self.export_classifier(b, x)
