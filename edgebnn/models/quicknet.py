"""A network like QuickNet: a light INT8 stem, stages of low-bit convolutions with ReLU inside and a shortcut around
each, INT8 transitions of a depthwise and a 1x1 convolution.

After Bannink et al., "Larq Compute Engine: Design, Benchmark, and Deploy State-of-the-Art Binarized Neural Networks"
(2021); its blur pool is here a learned depthwise convolution.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from edgebnn.models.classifier import Classifier
from edgebnn.models.resnet18 import IMAGE
from edgebnn.models.units import Int8Unit, LowBitUnit
from edgebnn.train.network import InputSpec
from edgebnn.train.policy import Policy
from edgebnn.train.quantizers import activation_quantizer


@dataclass(frozen=True)
class QuickNetConfig:
    """``channels``: of the first stage, doubled by each of the three others; ``depth``: convolutions in a stage.
    ``layers`` overrides the blocks' and the head's quantisers by layer name (``edgebnn.train.policy``)."""

    channels: int = 64
    depth: int = 4
    weight: str = "binary"
    act: str = "sign"
    ends: str = "int8"
    classes: int = 1000
    input: InputSpec = field(default=IMAGE)
    layers: dict[str, dict[str, str]] = field(default_factory=dict)


class Light(nn.Module):
    """Depthwise convolution 3x3 of stride 2, then 1x1, both INT8, s8 in between."""

    def __init__(self, in_c: int, out_c: int, weight: str, relu: bool = False) -> None:
        super().__init__()
        pads = (1, 1, 1, 1)
        self.depthwise = Int8Unit(in_c, in_c, 3, stride=2, pads=pads, groups=in_c, weight=weight)
        self.between = activation_quantizer("int8")
        self.pointwise = Int8Unit(in_c, out_c, 1, weight=weight, relu=relu)

    def forward(self, x: Tensor, stream: Any, input_scale: Tensor) -> Tensor:
        x = self.depthwise(x, self.between, input_scale)
        y: Tensor = self.pointwise(x, stream, self.between.scale())
        return y

    def export_ir(self, b: Any, x: Any, stream: Any, name: str) -> Any:
        x = self.depthwise.export_ir(b, x, self.between, f"{name}.depthwise.out")
        return self.pointwise.export_ir(b, x, stream, f"{name}.pointwise.out")


class QuickNet(Classifier):
    """[N, 3, H, W] -> logits [N, classes]. The stream of all stages has one scale."""

    architecture = "quicknet"

    def __init__(self, config: QuickNetConfig) -> None:
        super().__init__()
        self.config = config
        self.policy = policy = Policy(config.layers)
        c, spec = config.channels, config.input
        first = max(c // 4, 1)
        self.stem = Int8Unit(
            spec.channels, first, 3, stride=2, pads=(1, 1, 1, 1), relu=True, weight=config.ends
        )
        self.stem_quant = activation_quantizer("int8:unsigned")
        self.stream = activation_quantizer("int8")
        self.lights = nn.ModuleList()
        self.stages = nn.ModuleList()
        in_c = first
        for stage in range(4):
            self.lights.append(Light(in_c, c << stage, config.ends))
            in_c = c << stage
            units = nn.ModuleList()
            for i in range(config.depth):
                chosen = policy.of(f"stages.{stage}.{i}.conv", weight=config.weight, act=config.act)
                units.append(LowBitUnit(in_c, in_c, relu=True, weight=chosen["weight"], act=chosen["act"]))
            self.stages.append(units)
        self.make_head(in_c, config.classes, policy.of("head", weight=config.ends)["weight"])

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x, self.stem_quant, self.input.scale)
        scale = self.stem_quant.scale()
        for light, stage in zip(self.lights, self.stages, strict=True):
            x = light(x, self.stream, scale)
            scale = self.stream.scale()
            assert isinstance(stage, nn.ModuleList)
            for unit in stage:
                x = unit(x, x, self.stream)
        return self.classify(self.relu(x))

    def export_ir(self, b: Any) -> Any:
        x = b.input(tuple(self.input.shape), self.input.scale, self.input.zero_point)
        x = self.stem.export_ir(b, x, self.stem_quant, "stem.out")
        for i, (light, stage) in enumerate(zip(self.lights, self.stages, strict=True)):
            assert isinstance(light, Light) and isinstance(stage, nn.ModuleList)
            x = light.export_ir(b, x, self.stream, f"lights.{i}")
            for j, unit in enumerate(stage):
                assert isinstance(unit, LowBitUnit)
                x = unit.export_ir(b, x, x, self.stream, f"stages.{i}.{j}")
        x = self.stream.export_ir(b, self.relu.export_ir(b, x), name="relu.out")
        return self.export_classifier(b, x)
