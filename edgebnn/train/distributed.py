"""Training by several processes, as ``torchrun`` starts them: each takes a part of every batch, gradients are
averaged (PyTorch's DistributedDataParallel over gloo), and the process of rank 0 alone writes.

All processes draw the same batch from the same generator and keep their part, so that the state of rank 0
is enough to resume with any number of processes. Batch statistics are those of each process's part.
"""

from __future__ import annotations

import gc
import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from edgebnn.errors import UsageError


@contextmanager
def session() -> Iterator[None]:
    """Joins the processes that ``torchrun`` started, if it did (WORLD_SIZE is over 1); leaves them at the end."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or distributed.is_initialized():
        yield
        return
    # DistributedDataParallel imports this module: then with the group in default arguments, which would keep its
    # threads until the interpreter is gone, and one that wants the interpreter at that time aborts the process.
    importlib.import_module("torch.distributed.nn.functional")
    distributed.init_process_group("gloo", timeout=timedelta(hours=6))  # features may be prepared meanwhile
    try:
        yield
        distributed.barrier()  # one that leaves first would close connections that others still read from
    finally:
        gc.collect()  # wrappers of networks keep the group too
        distributed.destroy_process_group()


def processes() -> int:
    """How many processes train together, 1 outside a ``session``."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """This process's number among ``processes``."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def writes() -> bool:
    """Whether this process writes files and messages."""
    return not distributed.is_initialized() or distributed.get_rank() == 0


def wait() -> None:
    """Returns when all processes have come here."""
    if distributed.is_initialized():
        distributed.barrier()


@contextmanager
def first() -> Iterator[None]:
    """The process of rank 0 runs the block first, then the others: what it makes, they find."""
    if not writes():
        wait()
    yield
    if writes():
        wait()


def part(batch: Tensor) -> Tensor:
    """This process's share of a batch [N, ...]. Raises UsageError where N is no multiple of the processes."""
    count = processes()
    if len(batch) % count:
        raise UsageError(f"a batch of {len(batch)} cannot be shared by {count} processes evenly")
    return batch if count == 1 else batch[distributed.get_rank() :: count]


def wrap(network: nn.Module) -> nn.Module:
    """``network`` itself, or a wrapper whose backward pass averages the gradients of all processes."""
    if processes() == 1:
        return network
    return DistributedDataParallel(network)


@torch.no_grad()
def agree(network: nn.Module) -> None:
    """Gives every process the parameters and buffers of rank 0: quantisers set theirs from the data they see."""
    if processes() > 1:
        for tensor in (*network.parameters(), *network.buffers()):
            distributed.broadcast(tensor, 0)
