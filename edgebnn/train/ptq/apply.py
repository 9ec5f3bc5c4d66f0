"""A trained float network as a quantised one: weights, batch statistics, then ranges, from calibration data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgebnn.errors import ModelError
from edgebnn.train.layers import BatchNorm, Conv2d, Linear
from edgebnn.train.network import Network
from edgebnn.train.policy import unknown
from edgebnn.train.ptq.calibrate import METHODS, Range, choose, measure
from edgebnn.train.ptq.weights import SOLVERS
from edgebnn.train.quantizers import ActivationQuantizer
from edgebnn.train.quantizers.activations import Int8Activation
from edgebnn.train.recipes import carry_over

#: weights -> the quantiser whose codes and scale are those of the solved weights
QUANTIZERS = {
    "int8": "int8",
    "int8:tensor": "int:8:tensor",
    "int4": "int:4",
    "pot": "pot",
    "binary": "xnor",
    "ternary": "twn",
}


@dataclass(frozen=True)
class Settings:
    """``weights``: a key of ``QUANTIZERS``; ``solver``: of ``weights.SOLVERS`` (low-bit weights only);
    ``calibration``: of ``calibrate.METHODS``; ``drop``: share of activations left unquantised at random while
    weights are solved (QDrop, Wei et al. 2022).
    """

    weights: str = "int8"
    solver: str = "gptq"
    calibration: str = "mse"
    drop: float = 0.0

    def __post_init__(self) -> None:
        for what, value, known in (
            ("weights", self.weights, QUANTIZERS),
            ("solver", self.solver, SOLVERS),
            ("calibration", self.calibration, METHODS),
        ):
            if value not in known:
                raise unknown(f"unknown {what}", value, known)


def quantize_network(
    build: Callable[[dict[str, Any]], Network], trained: Network, clips: Tensor, settings: Settings
) -> tuple[Network, dict[str, Range]]:
    """The deployable network and the range of each of its s8 quantisers.

    ``trained`` has float weights; ``clips`` are int8 inputs [N, H, W, C], a few hundred of the training data.
    Blocks get ``settings.weights`` with s8 activations, the ends stay INT8. Raises ModelError for a network that
    is quantised already.
    """
    kinds = {m.weight_quantizer.kind for _, m in _layers(trained)}
    if "float" not in kinds:
        raise ModelError(f"the network's weights are {', '.join(sorted(kinds))} already, not float")
    act = "int8:unsigned" if trained.architecture == "dscnn" else "int8"
    network = build({**trained.arch, "weight": QUANTIZERS[settings.weights], "act": act})
    carry_over(network, trained.state_dict())
    with torch.no_grad():  # latent clips are for training only
        for (_, mine), (_, theirs) in zip(_layers(network), _layers(trained), strict=True):
            mine.weight.copy_(theirs.weight)
    network.eval()
    batches = [network.dequantize(part) for part in clips.split(64)]
    _observe(network, batches)
    if settings.weights in ("binary", "ternary"):
        _solve(network, batches, settings)
        _recompute_statistics(network, batches)
        _observe(network, batches)
    return network, _calibrate(network, batches, settings.calibration)


def _layers(network: nn.Module) -> Iterator[tuple[str, Conv2d | Linear]]:
    for path, module in network.named_modules():
        if isinstance(module, (Conv2d, Linear)):
            yield path, module


@torch.no_grad()
def _observe(network: Network, batches: list[Tensor]) -> None:
    """Sets every s8 range to the largest value met, in order of execution."""
    quantisers = [m for m in network.modules() if isinstance(m, Int8Activation)]
    for quantiser in quantisers:
        quantiser.limit.zero_()
        quantiser.train()
    for batch in batches:
        network(batch)
    network.eval()


@torch.no_grad()
def _recompute_statistics(network: Network, batches: list[Tensor]) -> None:
    """Means and variances of every batch norm anew, layer after layer, for the weights as they are now."""
    norms = [m for m in network.modules() if isinstance(m, BatchNorm)]
    for norm in norms:
        momentum, norm.momentum = norm.momentum, None  # a plain average
        norm.reset_running_stats()
        norm.train()
        for quantiser in network.modules():
            if isinstance(quantiser, Int8Activation):
                quantiser.train()
        for batch in batches:
            network(batch)
        network.eval()
        norm.momentum = momentum


@torch.no_grad()
def _solve(network: Network, batches: list[Tensor], settings: Settings) -> None:
    """Replaces the low-bit layers' weights, first layer first, each for the inputs it gets by then."""
    for path, layer in _layers(network):
        if layer.weight_quantizer.kind not in ("binary", "ternary"):
            continue
        n = layer.weight[0].numel()
        hessian = torch.zeros(n, n, dtype=torch.float64)
        depthwise = isinstance(layer, Conv2d) and layer.groups > 1

        def gather(module: nn.Module, inputs: tuple[Tensor, ...], hessian: Tensor = hessian) -> None:
            hessian += _second_moment(module, inputs[0])

        if depthwise:  # its channels see different inputs: plain least squares of the weights
            hessian += torch.eye(n, dtype=torch.float64)
        else:
            handle = layer.register_forward_pre_hook(gather)
            with _dropping(network, settings.drop):
                for batch in batches:
                    network(batch)
            handle.remove()
        w = layer.weight.reshape(layer.weight.shape[0], n).double()
        solved = SOLVERS[settings.solver](w, hessian / hessian.diagonal().mean(), settings.weights)
        layer.weight.copy_(solved.reshape(layer.weight.shape).float())
        if not torch.isfinite(layer.weight).all():
            raise ModelError(f"layer {path}: the {settings.solver} solver diverged", "try --solver grid")


def _second_moment(layer: nn.Module, x: Tensor) -> Tensor:
    """Sum of x x^T over all places of one batch, [n, n], in the order of the layer's weights."""
    if isinstance(layer, Conv2d):
        padded, padding = layer._padded(x)
        columns = F.unfold(
            padded,
            layer.weight.shape[2:],
            dilation=layer.dilation,
            padding=padding,
            stride=layer.stride,
        )
        rows = columns.transpose(1, 2).reshape(-1, columns.shape[1])
    else:
        act = getattr(layer, "act", None)
        rows = x if act is None else act(x)
    rows = rows.double()
    return rows.T @ rows


@contextmanager
def _dropping(network: Network, share: float) -> Iterator[None]:
    """Leaves a random share of all activations unquantised."""

    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return torch.where(torch.rand_like(output) < share, inputs[0], output)

    handles = [
        m.register_forward_hook(hook)
        for m in network.modules()
        if share > 0 and isinstance(m, ActivationQuantizer)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def _calibrate(network: Network, batches: list[Tensor], method: str) -> dict[str, Range]:
    """Sets every s8 range by ``method``; the values are those met under min-max ranges."""
    seen: dict[str, list[np.ndarray]] = {}
    handles = []
    quantisers = {p: m for p, m in network.named_modules() if isinstance(m, Int8Activation)}
    for path, quantiser in quantisers.items():
        store = seen.setdefault(path, [])

        def hook(module: nn.Module, inputs: Any, store: list[np.ndarray] = store) -> None:
            values = inputs[0].numpy()
            assert isinstance(module, Int8Activation)
            store.append(np.maximum(values, 0) if module.unsigned else values)

        handles.append(quantiser.register_forward_pre_hook(hook))
    for batch in batches:
        network(batch)
    for handle in handles:
        handle.remove()
    ranges = {}
    for path, quantiser in quantisers.items():
        limit = choose(seen[path], method, quantiser.high)
        quantiser.limit.fill_(limit)
        ranges[path] = measure(seen[path], limit, quantiser.high)
    return ranges
