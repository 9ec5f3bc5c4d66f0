"""What makes a run repeatable: the seed of PyTorch's random numbers and the number of CPU threads."""

from __future__ import annotations

import torch


def seed(value: int, threads: int | None = None) -> None:
    """Seeds PyTorch, and sets its CPU threads where ``threads`` is given (sums depend on their number)."""
    if threads:
        torch.set_num_threads(threads)
    torch.manual_seed(value)
