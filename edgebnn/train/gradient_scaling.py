"""Element-wise gradient scaling, for any quantiser."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from edgebnn.train.quantizers import ActivationQuantizer, WeightQuantizer

#: the factor of the paper's experiments without the Hessian
DELTA = 1e-3


class _Scale(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, delta: float, error: list[Tensor]) -> Tensor:
        ctx.delta, ctx.error = delta, error
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (error,) = ctx.error
        return grad + ctx.delta * grad.abs() * error, None, None


class GradientScaling:
    """Multiplies the gradient g that a quantiser passes to its input x by 1 + delta sign(g) (x_n - q_n), element by
    element: values that a step moves away from their quantised value get more of it than those that it moves
    towards it.

    x_n and q_n are x and Q(x), clipped to and divided by the width of the range of Q(x): of the tensor for
    activations, of an output channel for weights. The pseudo-gradients of the quantisers and those of their own
    parameters stay as they are. Acts on every quantiser of ``network`` in training, from its making until
    ``remove``. Source: Lee, Kim, Ham, "Network Quantization with Element-wise Gradient Scaling" (EWGS, 2021).
    """

    def __init__(self, network: nn.Module, delta: float = DELTA) -> None:
        self.delta = delta
        self.handles = []
        for module in network.modules():
            if isinstance(module, (ActivationQuantizer, WeightQuantizer)):
                pending: list[list[Tensor]] = []
                before, after = self._hooks(pending)
                self.handles.append(module.register_forward_pre_hook(before))
                self.handles.append(module.register_forward_hook(after))

    def _hooks(self, pending: list[list[Tensor]]) -> tuple[Any, Any]:
        def before(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
            pending.clear()
            if not (module.training and torch.is_grad_enabled() and inputs[0].requires_grad):
                return None
            pending.append([])
            return (_Scale.apply(inputs[0], self.delta, pending[0]), *inputs[1:])

        def after(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
            if pending:
                by_channel = isinstance(module, WeightQuantizer)
                pending.pop().append(_error(inputs[0].detach(), output.detach(), by_channel))

        return before, after

    def remove(self) -> None:
        """Gradients as they were."""
        for handle in self.handles:
            handle.remove()


def _error(x: Tensor, q: Tensor, by_channel: bool) -> Tensor:
    """(x_n - q_n), at most 1 in magnitude; 0 where Q(x) has a single value."""
    axes = tuple(range(1 if by_channel else 0, q.dim()))
    low, high = q.amin(axes, keepdim=True), q.amax(axes, keepdim=True)
    return (x.clamp(low, high) - q) / (high - low).clamp_min(1e-12)
