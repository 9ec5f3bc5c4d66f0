"""Float networks of the shapes of ``edgebnn.models``' larger ones, as a user of PyTorch would deploy them: batch norm
folded into the convolutions, ReLU in place, one shortcut a block where that is the network's usual form."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class _Block(nn.Module):
    """ResNet's basic block (He et al., 2016)."""

    def __init__(self, in_c: int, out_c: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_c, out_c, 3, stride, 1)
        self.second = nn.Conv2d(out_c, out_c, 3, 1, 1)
        self.down = nn.Conv2d(in_c, out_c, 1, stride) if stride > 1 else nn.Identity()
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(self.relu(self.first(x)))
        result: Tensor = self.relu(y + self.down(x))
        return result


def _resnet18() -> nn.Module:
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 7, 2, 3), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    in_c = 64
    for c in (64, 128, 256, 512):
        layers += [_Block(in_c, c, 1 if c == 64 else 2), _Block(c, c, 1)]
        in_c = c
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000))


class _Unit(nn.Module):
    """A convolution with ReLU and a shortcut."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.conv, self.relu = nn.Conv2d(c, c, 3, 1, 1), nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x + self.relu(self.conv(x))
        return result


def _quicknet() -> nn.Module:
    layers: list[nn.Module] = [nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(inplace=True)]
    in_c = 16
    for c in (64, 128, 256, 512):
        layers += [nn.Conv2d(in_c, in_c, 3, 2, 1, groups=in_c), nn.Conv2d(in_c, c, 1)]
        layers += [_Unit(c) for _ in range(4)]
        in_c = c
    tail = [nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000)]
    return nn.Sequential(*layers, *tail)


def _bitlinear(width: int, depth: int) -> nn.Module:
    layers: list[nn.Module] = [nn.Flatten()]
    for _ in range(depth):
        layers += [nn.Linear(width, width), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.Linear(width, 10))


def float_network(arch: dict[str, Any]) -> tuple[nn.Module, Tensor]:
    """(frozen module, input) for an architecture description; weights are packed for oneDNN once, where PyTorch can."""
    name = arch["name"]
    if name == "bitlinear":
        width = arch["input"]["shape"][2]
        made, x = _bitlinear(width, arch["depth"]), torch.randn(1, width, 1, 1)
    else:
        made = {"resnet18": _resnet18, "quicknet": _quicknet}[name]()
        made = made.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        x = torch.randn(1, 3, 224, 224).contiguous(memory_format=torch.channels_last)
    made.eval()
    frozen: nn.Module = torch.jit.optimize_for_inference(torch.jit.trace(made, x))
    return frozen, x
