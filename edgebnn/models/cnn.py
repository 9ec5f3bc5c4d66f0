"""A small 2-D residual network for small images: INT8 ends, low-bit blocks on an s8 shortcut stream.

Every quantiser and non-linearity of ``edgebnn.train`` fits into its blocks: it is what methods are
compared on.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import nn

from edgebnn.errors import ModelError
from edgebnn.models.blocks import AFTER, BEFORE, ResidualBlock
from edgebnn.models.classifier import ResidualNetwork
from edgebnn.train.layers import BatchNorm, Conv2d, same_pads
from edgebnn.train.network import InputSpec
from edgebnn.train.policy import Policy
from edgebnn.train.quantizers import activation_quantizer

DIGITS = InputSpec(height=8, width=8, channels=1, scale=1 / 8, zero_point=-64)


@dataclass(frozen=True)
class CnnConfig:
    """``weight`` and ``act``: quantisers of the blocks; ``ends``: of the stem's and head's weights.
    ``before`` is what stands before the activation quantiser: affine, shift (with sign: RSign) or none;
    ``after`` what follows the batch norm: none, prelu, rprelu or hardtanh. ``pad_mode`` one needs b1
    activations, lowest 2- to 4-bit ones (bipolar ones need it). ``layers`` overrides them by layer name
    (``edgebnn.train.policy``).
    """

    channels: int = 32
    blocks: int = 3
    kernel: int = 3
    stem_stride: int = 1
    weight: str = "binary"
    act: str = "lsq:2"
    before: str = "affine"
    after: str = "none"
    pad_mode: str = "zero"
    ends: str = "int8"
    classes: int = 10
    input: InputSpec = field(default=DIGITS)
    layers: dict[str, dict[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key, known in (
            ("before", tuple(BEFORE)),
            ("after", tuple(AFTER)),
            ("pad_mode", ("zero", "one", "lowest")),
        ):
            if getattr(self, key) not in known:
                raise ModelError(
                    f"architecture cnn: {key} = {getattr(self, key)!r}", hint=f"one of {', '.join(known)}"
                )


class Cnn(ResidualNetwork):
    """[N, C, H, W] -> stem [N, channels, H / stride, W / stride] -> blocks -> ReLU -> mean -> dense ->
    logits.
    """

    architecture = "cnn"

    def __init__(self, config: CnnConfig) -> None:
        super().__init__()
        self.config = config
        c, spec, stride = config.channels, config.input, (config.stem_stride, config.stem_stride)
        pads = same_pads((spec.height, spec.width), (3, 3), stride)
        self.policy = policy = Policy(config.layers)
        ends = {name: policy.of(name, weight=config.ends)["weight"] for name in ("stem", "head")}
        self.stem = Conv2d(spec.channels, c, (3, 3), stride=stride, pads=pads, weight=ends["stem"])
        self.stem_norm = BatchNorm(c)
        self.stream = activation_quantizer("int8")
        self.blocks = nn.ModuleList(
            ResidualBlock.of(
                policy,
                f"blocks.{i}.conv",
                c,
                (config.kernel, config.kernel),
                weight=config.weight,
                act=config.act,
                before=config.before,
                after=config.after,
                padding=config.pad_mode,
            )
            for i in range(config.blocks)
        )
        self.make_head(c, config.classes, ends["head"])
