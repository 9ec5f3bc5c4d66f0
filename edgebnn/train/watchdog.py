"""Watches training layer by layer: gradient norms, sign flips of latent weights, dead and saturated channels.

It only reads, so training with it gives the same weights as without.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from edgebnn.train.layers import Conv2d, Linear

GRADIENT_HIGH, GRADIENT_LOW = 100.0, 1e-7
FLIPS_HIGH = 0.3
DEAD_HIGH, SATURATED_HIGH = 0.25, 0.5


def _layers(network: nn.Module) -> Iterator[tuple[str, Conv2d | Linear]]:
    for path, module in network.named_modules():
        if isinstance(module, (Conv2d, Linear)):
            yield path, module


class Watchdog:
    """``after_backward`` each step, ``report`` each epoch: a dict of plain numbers for each layer."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.signs = {path: torch.sign(layer.weight.detach()) for path, layer in _layers(network)}
        self._reset()

    def _reset(self) -> None:
        self.squares = {path: 0.0 for path, _ in _layers(self.network)}
        self.steps = 0

    def after_backward(self) -> None:
        """Adds up the gradients' norms; call it between backward and the optimiser's step."""
        self.steps += 1
        for path, layer in _layers(self.network):
            if layer.weight.grad is not None:
                self.squares[path] += float(layer.weight.grad.detach().norm())

    def report(self) -> dict[str, dict[str, float]]:
        """Since the last report, by layer: mean gradient norm, and the share of weights whose sign
        changed.
        """
        result: dict[str, dict[str, float]] = {}
        for path, layer in _layers(self.network):
            signs = torch.sign(layer.weight.detach())
            flips = float((signs != self.signs[path]).double().mean())
            result[path] = {"gradient": self.squares[path] / max(1, self.steps), "flips": flips}
            self.signs[path] = signs
        self._reset()
        return result


def warnings(report: dict[str, dict[str, float]]) -> list[str]:
    """One line for each layer whose gradients explode or vanish, whose signs do not settle, or many of whose input
    channels are dead or saturated.
    """
    lines = []
    for path, values in report.items():
        gradient, flips = values["gradient"], values["flips"]
        if gradient > GRADIENT_HIGH:
            lines.append(f"layer {path}: gradients explode (norm {gradient:.3g}); lower the learning rate")
        elif gradient < GRADIENT_LOW:
            lines.append(
                f"layer {path}: gradients vanish (norm {gradient:.3g}); is its input dead or saturated?"
            )
        if flips > FLIPS_HIGH:
            lines.append(
                f"layer {path}: {100 * flips:.0f} % of the signs changed in an epoch; lower the learning rate"
            )
        dead, saturated = values.get("dead", 0.0), values.get("saturated", 0.0)
        if dead > DEAD_HIGH:
            lines.append(
                f"layer {path}: {100 * dead:.0f} % of its input channels have one code everywhere; use fewer channels,"
                " or a lower learning rate"
            )
        if saturated > SATURATED_HIGH:
            lines.append(
                f"layer {path}: {100 * saturated:.0f} % of its input channels are nearly always at the lowest or"
                " highest code; use more activation bits, or a learned step"
            )
    return lines


@torch.no_grad()
def channel_health(network: nn.Module, x: Tensor) -> dict[str, dict[str, float]]:
    """For each quantised layer input, on real inputs ``x``: shares of dead channels (the same code
    everywhere) and of saturated ones (the lowest or highest code in more than 95 % of places). Leaves the
    network as it was.
    """
    result: dict[str, dict[str, float]] = {}
    handles = []

    def watch(path: str, quantiser: nn.Module) -> None:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            values = output.transpose(0, 1).reshape(output.shape[1], -1)
            low, high = values.amin(1), values.amax(1)
            dead = low == high
            ends = torch.maximum(
                (values == values.min()).double().mean(1), (values == values.max()).double().mean(1)
            )
            saturated = (ends > 0.95) & ~dead
            result[path] = {
                "dead": float(dead.double().mean()),
                "saturated": float(saturated.double().mean()),
            }

        handles.append(quantiser.register_forward_hook(hook))

    for path, layer in _layers(network):
        if layer.act is not None:
            watch(path, layer.act)
    training = network.training
    try:
        network.eval()
        network(x)
    finally:
        network.train(training)
        for handle in handles:
            handle.remove()
    return result


def first_not_finite(network: nn.Module, x: Tensor) -> str | None:
    """The first module, in order of execution, that turns finite inputs ``x`` into values that are not
    finite, or has weights that are not; None if there is none.
    """
    for path, parameter in network.named_parameters():
        if not torch.isfinite(parameter).all():
            return path.rpartition(".")[0] or path
    found: list[str] = []

    def hook_of(path: str):  # type: ignore[no-untyped-def]
        def hook(module: nn.Module, inputs: object, output: object) -> None:
            if not found and isinstance(output, Tensor) and not torch.isfinite(output).all():
                found.append(path)

        return hook

    leaves = [(path, m) for path, m in network.named_modules() if path and not list(m.children())]
    handles = [module.register_forward_hook(hook_of(path)) for path, module in leaves]
    state = {key: value.clone() for key, value in network.state_dict().items()}
    try:
        with torch.no_grad():
            network(x)
    finally:
        for handle in handles:
            handle.remove()
        network.load_state_dict(state)
    return found[0] if found else None
