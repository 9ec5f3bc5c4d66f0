"""How far a quantised network's layers are from the float one's, layer by layer."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edgebnn.errors import ModelError
from edgebnn.train.layers import Conv2d, Linear
from edgebnn.train.network import Network


@dataclass(frozen=True)
class Difference:
    """Of one layer: ``weights``, the signal to noise ratio in dB of its quantised weights; ``outputs``, that of its
    outputs, which hold the errors of all layers before it too. Infinite where nothing differs.
    """

    layer: str
    kind: str
    weights: float
    outputs: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values; None for an infinite ratio."""
        return {k: None if v == math.inf else v for k, v in asdict(self).items()}


@torch.no_grad()
def differences(trained: Network, quantised: Network, clips: npt.NDArray[np.int8]) -> list[Difference]:
    """The layers of two networks of one topology on int8 ``clips`` [N, H, W, C], in order. Raises ModelError where
    their layers are not the same.
    """
    mine, theirs = _layers(quantised), _layers(trained)
    if list(mine) != list(theirs):
        raise ModelError("the networks have different layers", "give the network that was quantised")
    seen = [_outputs(network, torch.from_numpy(clips)) for network in (trained, quantised)]
    return [
        Difference(
            path,
            layer.weight_quantizer.kind,
            _ratio(theirs[path].weight, layer.weight_quantizer(layer.weight)),
            _ratio(seen[0][path], seen[1][path]),
        )
        for path, layer in mine.items()
    ]


def _layers(network: Network) -> dict[str, Conv2d | Linear]:
    return {path: m for path, m in network.named_modules() if isinstance(m, (Conv2d, Linear))}


def _outputs(network: Network, clips: Tensor) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    handles = []
    for path, layer in _layers(network).items():

        def hook(module: nn.Module, inputs: Any, output: Tensor, path: str = path) -> None:
            found[path] = output.detach()

        handles.append(layer.register_forward_hook(hook))
    try:
        network.eval()
        network(network.dequantize(clips))
    finally:
        for handle in handles:
            handle.remove()
    return found


def _ratio(reference: Tensor, value: Tensor) -> float:
    power = float(reference.double().square().mean())
    noise = float((reference.double() - value.double()).square().mean())
    return 10 * math.log10(power / noise) if noise > 0 and power > 0 else math.inf
