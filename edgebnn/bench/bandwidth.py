"""Reading speed of this machine's memory by one thread: the limit of layers whose weights come from memory."""

from __future__ import annotations

import time

import numpy as np

#: bytes read at a time, more than a last-level cache holds
BYTES = 256 << 20


def read_bandwidth(rounds: int = 7) -> float:
    """Bytes a second of the fastest of ``rounds`` passes over a large array, by NumPy's SIMD maximum; in processor
    time, as the layers are measured."""
    data = np.ones(BYTES // 4, np.float32)
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        data.max()
        best = min(best, time.process_time() - start)
    return BYTES / best
