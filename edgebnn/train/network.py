"""What every network has: an input description, its architecture as plain values, and an exporter."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from edgebnn.errors import ModelError
from edgebnn.train.policy import Policy


@dataclass(frozen=True)
class InputSpec:
    """The int8 input: height, width, channels, and real = scale * (q - zero_point)."""

    height: int = 49
    width: int = 10
    channels: int = 1
    scale: float = 0.5847029
    zero_point: int = 83

    @property
    def shape(self) -> list[int]:
        return [self.height, self.width, self.channels]

    def to_dict(self) -> dict[str, Any]:
        """{"shape": [H, W, C], "scale", "zero_point"}, as in checkpoints."""
        return {"shape": self.shape, "scale": self.scale, "zero_point": self.zero_point}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> InputSpec:
        """Inverse of ``to_dict``. Raises ModelError."""
        try:
            height, width, channels = (int(n) for n in values["shape"])
            spec = cls(height, width, channels, float(values["scale"]), int(values["zero_point"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"bad input description {values!r} ({error})") from None
        if not all(0 < n <= 65535 for n in spec.shape) or not spec.scale > 0:
            raise ModelError(f"bad input description {values!r}")
        return spec


class Network(nn.Module):
    """Base of the networks. ``forward`` takes real inputs [N, C, H, W] and gives logits [N, classes]."""

    architecture: ClassVar[str]
    config: Any
    policy: Policy

    @property
    def input(self) -> InputSpec:
        spec: InputSpec = self.config.input
        return spec

    @property
    def arch(self) -> dict[str, Any]:
        """The architecture as plain values: what ``edgebnn.models.build`` takes."""
        values = {f.name: getattr(self.config, f.name) for f in dataclasses.fields(self.config)}
        return {"name": self.architecture, **values, "input": self.input.to_dict()}

    def dequantize(self, q: Tensor) -> Tensor:
        """int8 inputs [N, H, W, C] as the real [N, C, H, W] that ``forward`` takes."""
        return (q.permute(0, 3, 1, 2).float() - self.input.zero_point) * self.input.scale

    def export_ir(self, b: Any) -> Any:
        """Appends the network to builder ``b``, softmax included; returns the output value."""
        raise NotImplementedError
