"""The graph of a network nobody has trained: what ``edgebnn search`` and ``advise`` plan before any training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from edgebnn.ir import Graph
from edgebnn.ir.builder import Builder
from edgebnn.train.layers import BatchNorm
from edgebnn.train.network import Network


@contextmanager
def same_weights(seed: int = 0) -> Iterator[None]:
    """Networks built inside start from the same weights every time, since costs depend on them a little."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


@torch.no_grad()
def untrained_graph(network: Network, name: str = "candidate", seed: int = 0) -> Graph:
    """``network`` exported with the weights it has, after one batch of noise has set its ranges and scales.

    The costs are those of the trained network but for kernels whose tables depend on the weights' signs,
    which differ by a few per cent. Changes the network's batch statistics. Raises ModelError for a network
    that cannot be deployed.
    """
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randint(-128, 128, (8, *network.input.shape), generator=generator)
    norms = [module for module in network.modules() if isinstance(module, BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0  # the statistics of this one batch
    network.train()
    network(network.dequantize(noise))
    network.eval()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    builder = Builder(name)
    network.export_ir(builder)
    return builder.build()
