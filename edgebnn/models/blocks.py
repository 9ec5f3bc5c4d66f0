"""The residual block of the low-bit networks."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor, nn

from edgebnn.train.layers import Affine, BatchNorm, Conv2d, PReLU, RPReLU, Shift
from edgebnn.train.quantizers import activation_quantizer

BEFORE: dict[str, Any] = {"affine": Affine, "shift": Shift, "none": None}
AFTER: dict[str, Any] = {"prelu": PReLU, "rprelu": RPReLU, "none": None}


class ResidualBlock(nn.Module):
    """x -> [affine or shift] -> activation quantiser -> convolution -> batch norm -> [PReLU] -> + x.

    The caller quantises the sum to s8. ``before`` and ``after`` are names in ``BEFORE`` and ``AFTER``;
    "shift" with the act "sign" is RSign. Branches of INT8 weights are quantised to s8 before the
    addition, as INT8 kernels need.
    """

    def __init__(
        self,
        channels: int,
        kernel: tuple[int, int],
        weight: str,
        act: str,
        before: str = "affine",
        after: str = "none",
        pad_mode: Literal["zero", "one"] = "zero",
    ) -> None:
        super().__init__()
        self.affine = BEFORE[before](channels) if BEFORE[before] else None
        self.conv = Conv2d(channels, channels, kernel, weight=weight, act=act, pad_mode=pad_mode)
        self.norm = BatchNorm(channels)
        self.after = AFTER[after](channels) if AFTER[after] else None
        self.branch = activation_quantizer("int8") if self.conv.weight_quantizer.kind == "s8" else None

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.affine is None else self.affine(x)
        y = self.norm(self.conv(y))
        if self.after is not None:
            y = self.after(y)
        if self.branch is not None:
            assert self.conv.act is not None
            unit = None if self.training else self.norm.unit(self.conv.unit(self.conv.act.scale()))
            y = self.branch(y, unit)
        return x + y

    def export_ir(self, b: Any, x: Any, name: str) -> Any:
        """The sum, not yet quantised; ``name`` is that of the block."""
        y = x if self.affine is None else self.affine.export_ir(b, x)
        y = self.norm.export_ir(b, self.conv.export_ir(b, y))
        if self.after is not None:
            y = self.after.export_ir(b, y)
        if self.branch is not None:
            y = self.branch.export_ir(b, y)
        return b.add(x, y, name=f"{name}.add")
