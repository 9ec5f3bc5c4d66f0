"""What makes a run repeatable: the seed of PyTorch's random numbers and the number of CPU threads."""

from __future__ import annotations

import ctypes
import sys

import torch

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3  # <malloc.h>


def seed(value: int, threads: int | None = None) -> None:
    """Seeds PyTorch, and sets its CPU threads where ``threads`` is given (sums depend on their number)."""
    if threads:
        torch.set_num_threads(threads)
    torch.manual_seed(value)
    keep_memory()


def keep_memory() -> None:
    """Asks glibc's allocator to keep freed memory: a training step frees and takes the same buffers, and
    fresh pages cost more than the arithmetic on them. Other C libraries are left as they are.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 32 << 20)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(_M_TOP_PAD, 64 << 20)
