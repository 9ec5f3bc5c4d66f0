"""The measured networks: random weights, whole inferences from the stored input to the stored output."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgebnn.bench.measure import OURS, Timing, best_level, cap, time_requests
from edgebnn.bench.process import Contender, Process
from edgebnn.targets import cpu

TORCH = "PyTorch fp32"
_VECTOR = {"scale": 1 / 32, "zero_point": 0}
#: architecture descriptions by the name of their row
NETWORKS: dict[str, dict[str, Any]] = {
    "binary ResNet-18 224x224": {"name": "resnet18"},
    "QuickNet-like 224x224": {"name": "quicknet"},
    "BitLinear W1.58A8 2048, 4 layers": {
        "name": "bitlinear",
        "depth": 4,
        "input": {"shape": [1, 1, 2048], **_VECTOR},
    },
    "BitLinear W1.58A8 4096, 4 layers": {
        "name": "bitlinear",
        "depth": 4,
        "input": {"shape": [1, 1, 4096], **_VECTOR},
    },
}


def write(name: str, folder: Path) -> Path:
    """The network's .ebnn file in ``folder``. Needs PyTorch. Raises ModelError where it does not convert."""
    from edgebnn import ir
    from edgebnn.models import random
    from edgebnn.passes import lower

    path = folder / f"{list(NETWORKS).index(name)}.ebnn"
    ir.save(lower(random.graph(NETWORKS[name], NETWORKS[name]["name"])), path)
    return path


def contenders(isa: str) -> list[Contender]:
    """Ours, and PyTorch capped to ``isa``."""
    return [
        Contender(OURS, "edgebnn-network", {cpu.VARIABLE: best_level(isa)}),
        Contender(TORCH, "torch-network", cap(isa)),
    ]


def time_network(
    processes: Sequence[Process], name: str, file: Path, rounds: int, threads: int = 1
) -> dict[str, Timing]:
    """Timings by contender name."""
    request = {"network": NETWORKS[name], "file": str(file), "threads": threads}
    return time_requests(processes, lambda _: request, rounds)
