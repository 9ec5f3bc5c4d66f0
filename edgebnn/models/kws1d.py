"""Keyword spotter in one dimension: an INT8 stem folds the coefficients into channels, low-bit blocks
convolve in time.

A block is: affine per channel -> k-bit activations -> low-bit convolution -> batch norm -> + shortcut.
The shortcut stream is s8 throughout, one symmetric scale for all of its tensors, so that adding needs no
rescaling.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import nn

from edgebnn.models.blocks import ResidualBlock
from edgebnn.models.classifier import ResidualNetwork
from edgebnn.train.layers import BatchNorm, Conv2d, same_pads
from edgebnn.train.network import InputSpec
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


class Kws1d(ResidualNetwork):
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
        self.make_head(c, config.classes, ends["head"])
