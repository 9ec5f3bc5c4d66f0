"""The residual block of the low-bit networks."""

from __future__ import annotations

from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from edgebnn.errors import ModelError
from edgebnn.train.layers import Affine, BatchNorm, Conv2d, HardTanh, PReLU, RPReLU, Shift
from edgebnn.train.policy import Policy
from edgebnn.train.quantizers import ActivationQuantizer, activation_quantizer

BEFORE: dict[str, Any] = {"affine": Affine, "shift": Shift, "rsign": Shift, "none": None}
AFTER: dict[str, Any] = {
    "prelu": PReLU,
    "rprelu": RPReLU,
    "hardtanh": lambda channels: HardTanh(),
    "none": None,
}


class ResidualBlock(nn.Module):
    """x -> [affine or shift] -> activation quantiser -> convolution -> batch norm -> [non-linearity] -> + x.

    The caller quantises the sum to s8, with ``stream``. ``before`` and ``after`` are names in ``BEFORE``
    and ``AFTER``; without ``shortcut`` nothing is added. "shift" (also called "rsign") with the act "sign"
    is RSign. Branches of INT8 weights, as INT8 kernels need, and of HardTanh are quantised to s8 before the
    addition.
    """

    def __init__(
        self,
        channels: int,
        kernel: tuple[int, int],
        weight: str,
        act: str,
        before: str = "affine",
        after: str = "none",
        pad_mode: Literal["zero", "one", "lowest"] = "zero",
        shortcut: bool = True,
    ) -> None:
        super().__init__()
        self.shortcut = shortcut
        self.affine = BEFORE[before](channels) if BEFORE[before] else None
        self.conv = Conv2d(channels, channels, kernel, weight=weight, act=act, pad_mode=pad_mode)
        self.norm = BatchNorm(channels)
        self.after = AFTER[after](channels) if AFTER[after] else None
        self.several = self.conv.weight_quantizer.kind == "sum"
        if self.several and not shortcut:
            raise ModelError(f"weights {weight!r} are a sum of bases, which is added to a shortcut")
        if self.several and self.after is not None:
            raise ModelError(
                f"weights {weight!r} are a sum of bases: nothing may follow the batch norm but the sum"
            )
        self.s8 = self.conv.weight_quantizer.kind == "s8"
        # A HardTanh is a clamp at both ends, which no epilogue applies before it adds the shortcut.
        separate = shortcut and (self.s8 or after == "hardtanh")
        self.branch = activation_quantizer("int8") if separate else None

    @classmethod
    def of(
        cls, policy: Policy, name: str, channels: int, kernel: tuple[int, int], **defaults: str
    ) -> ResidualBlock:
        """The block whose convolution is the layer ``name``, as ``policy`` has it; ``defaults`` as of
        ``edgebnn.train.policy.KEYS``.
        """
        unpadded = "lowest" if defaults.get("act", "").startswith("bipolar") else "zero"
        full = {"before": "affine", "after": "none", "padding": unpadded, "shortcut": "yes", **defaults}
        chosen = policy.of(name, **full)
        return cls(
            channels,
            kernel,
            chosen["weight"],
            chosen["act"],
            chosen["before"],
            chosen["after"],
            cast(Literal["zero", "one", "lowest"], chosen["padding"]),
            chosen["shortcut"] == "yes",
        )

    def forward(self, x: Tensor, stream: ActivationQuantizer) -> Tensor:
        y = x if self.affine is None else self.affine(x)
        if self.several:
            return self._add_bases(x, y, stream)
        y = self.norm(self.conv(y))
        if self.after is not None:
            y = self.after(y)
        if self.branch is not None:
            unit = None
            if self.s8 and not self.training:
                assert self.conv.act is not None
                unit = self.norm.unit(self.conv.unit(self.conv.act.scale()))
            y = self.branch(y, unit)
        return x + y if self.shortcut else y

    def _add_bases(self, x: Tensor, y: Tensor, stream: ActivationQuantizer) -> Tensor:
        gain, bias = (torch.from_numpy(v).to(x)[:, None, None] for v in self.norm.gain_and_bias())
        if self.training:
            result: Tensor = x + self.norm(self.conv(y))
            with torch.no_grad():  # the range of the shortcut must hold the sums on the way too
                for partial in self.conv.base_outputs(y)[:-1]:
                    x, bias = x + gain * partial + bias, torch.zeros_like(bias)
                    stream(x)
            return result
        partials = self.conv.base_outputs(y)
        for partial in partials[:-1]:
            x, bias = stream(x + (gain * partial + bias)), torch.zeros_like(bias)
        return x + (gain * partials[-1] + bias)

    def export_ir(self, b: Any, x: Any, name: str, stream: ActivationQuantizer) -> Any:
        """The sum, not yet quantised; ``name`` is that of the block."""
        y = x if self.affine is None else self.affine.export_ir(b, x)
        if self.several:
            gain, bias = self.norm.gain_and_bias()
            values = self.conv.export_bases(b, y)
            for i, value in enumerate(values):
                value = b.affine(value, gain, bias if i == 0 else 0 * bias, name=f"{name}.norm{i}")
                x = b.add(x, value, name=f"{name}.add{i}")
                if i < len(values) - 1:
                    x = stream.export_ir(b, x, name=f"{name}.base{i}.out")
            return x
        y = self.norm.export_ir(b, self.conv.export_ir(b, y))
        if self.after is not None:
            y = self.after.export_ir(b, y)
        if self.branch is not None:
            y = self.branch.export_ir(b, y)
        return b.add(x, y, name=f"{name}.add") if self.shortcut else y
