"""Where a network trains. Data and all random draws but those of stochastic quantisers stay on the CPU, so a GPU sees
the same batches; a batch moves to the network's device when it is used."""

from __future__ import annotations

import os

import torch
from torch import nn

from edgebnn.errors import UsageError
from edgebnn.train import distributed


def choose(name: str) -> torch.device:
    """The device called ``name``: "cpu", "cuda", "cuda:N" or what else PyTorch calls it; "auto": a GPU if there is
    one. Of several processes on one machine each takes the next GPU for "cuda" and "auto". Raises UsageError for a
    device that PyTorch does not know or that this machine lacks.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and distributed.processes() > 1 and torch.cuda.is_available():
        name = f"cuda:{int(os.environ.get('LOCAL_RANK', '0')) % torch.cuda.device_count()}"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).sum().item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UsageError(
            f"--device {name}: cannot be used ({reason})", "train on cpu, or give auto"
        ) from None
    return device


def of(network: nn.Module) -> torch.device:
    """The device of a network's parameters."""
    return next(network.parameters()).device
