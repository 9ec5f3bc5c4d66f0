"""Networks with random weights and calibrated ranges, to measure and to test with."""

from __future__ import annotations

from typing import Any

import torch

from edgebnn.ir.builder import Builder
from edgebnn.ir.types import Graph
from edgebnn.models import Network, build


def network(arch: dict[str, Any], seed: int = 1) -> Network:
    """A network with random weights in evaluation mode, its batch norms and activation ranges set by one random batch.

    The same numbers for the same ``seed``. Raises ModelError as ``build`` does.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = build(arch)
        spec = made.input
        pixels = spec.height * spec.width
        batch = 64 if pixels == 1 else 8 if pixels <= 4096 else 2
        q = torch.randint(-128, 128, (batch, *spec.shape), dtype=torch.int8)
        for module in made.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = 1.0
        made.train()
        with torch.no_grad():
            made(made.dequantize(q))
            for module in made.modules():
                if isinstance(module, torch.nn.BatchNorm2d):  # a channel that hardly moved gets no huge gain
                    var = module.running_var
                    assert var is not None
                    var.clamp_(min=0.05 * float(var.mean()))
    return made.eval()


def graph(arch: dict[str, Any], name: str = "random", seed: int = 1) -> Graph:
    """``network`` as the converter's float-annotated graph."""
    builder = Builder(name, {"labels": None, "frontend": None})
    network(arch, seed).export_ir(builder)
    return builder.build()
