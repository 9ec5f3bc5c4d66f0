"""Optional parts of the training loss: adversarial inputs, and the feature loss of distillation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgebnn.errors import UsageError


def attacked(
    loss: Callable[[Tensor], Tensor], real: Tensor, size: float, generator: torch.Generator
) -> Tensor:
    """Inputs at most ``size`` away from ``real`` that raise ``loss(inputs)``: one signed gradient step from a random
    start. Source: Wong, Rice, Kolter, "Fast is better than free: Revisiting adversarial training" (2020).
    """
    start = size * (2 * torch.rand(real.shape, generator=generator).to(real.device) - 1)
    inputs = (real + start).requires_grad_()
    (gradient,) = torch.autograd.grad(loss(inputs), inputs)
    return real + (start + 1.25 * size * gradient.sign()).clamp(-size, size)


class Features:
    """What a network's last layer gets, [N, C], noted at each forward pass."""

    def __init__(self, network: nn.Module) -> None:
        head = getattr(network, "head", None)
        if not isinstance(head, nn.Module):
            raise UsageError("the feature loss needs a network with a last layer named 'head'")
        self.value: Tensor | None = None
        head.register_forward_pre_hook(self._note)

    def _note(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        self.value = inputs[0]


def similarity_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of the batch's similarities, for features [N, C] and [N, D] of any widths: rows of
    x x^T, normalised, times N. Source: Tung, Mori, "Similarity-Preserving Knowledge Distillation" (2019).
    """

    def similarities(x: Tensor) -> Tensor:
        flat = x.flatten(1)
        return F.normalize(flat @ flat.T, dim=1)

    return (similarities(student) - similarities(teacher)).square().sum() / len(student)
