"""Measures contenders in turn, many short rounds, so that whatever else the machine does falls on all of them."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgebnn.bench.layers import Layer
from edgebnn.bench.process import Contender, Process, ProcessError
from edgebnn.targets import cpu

#: seconds a contender runs in one round, and rounds
ROUND = 0.02
ROUNDS = 11

OURS = "edgebnn"
KERNEL = "edgebnn, kernel alone"
MEMORY = "memory, read"
#: our layers of other precisions, measured beside the binary one of the same shape
VARIANTS: dict[str, dict[str, str]] = {
    "edgebnn, 2-bit activations": {"activations": "u2"},
    "edgebnn, ternary weights": {"weights": "ternary"},
    "edgebnn, s8": {"weights": "s8", "activations": "s8"},
}

_CAP = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}


def cap(isa: str) -> dict[str, str]:
    """Variables that keep PyTorch to ``isa``."""
    return dict(_CAP) if isa == "avx2" else {}


def best_level(isa: str) -> str:
    """The kernels' instruction set for a comparison in the class ``isa``, "avx2" or "avx512": the latter with whatever
    extensions this processor has, as the peers use them too."""
    names = ("avx512_icl", "avx512", "avx2")
    return next((name for name in names if name.startswith(isa) and cpu.supports(name)), isa)


def contenders(isa: str) -> list[Contender]:
    """Ours and the peers, capped to ``isa``: "avx2" or "avx512"."""
    env = {cpu.VARIABLE: best_level(isa)}
    variants = [Contender(n, "edgebnn", env, "binary x b1", fields) for n, fields in VARIANTS.items()]
    return [
        Contender(OURS, "edgebnn", env),
        Contender(KERNEL, "edgebnn-kernel", env),
        *variants,
        Contender(MEMORY, "memory", env, "streaming"),
        Contender("oneDNN int8", "torch-int8", cap(isa)),
        Contender("oneDNN fp32", "torch-fp32", cap(isa)),
    ]


@dataclass(frozen=True)
class Timing:
    """Microseconds a call, one value a round; or why there is none."""

    us: tuple[float, ...]
    about: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None

    @property
    def median(self) -> float:
        """Median over the rounds."""
        return statistics.median(self.us)


def time_layer(
    processes: Sequence[Process], layer: Layer, rounds: int = ROUNDS, threads: int = 1
) -> dict[str, Timing]:
    """Timings of one layer by contender name."""
    asked = [p for p in processes if p.contender.needs in f"{layer.name} {layer.precision()}"]
    if layer.streaming:  # against the memory: peers are measured with weights in the cache
        asked = [p for p in asked if p.contender.name in (OURS, MEMORY)]

    def request(contender: Contender) -> dict[str, Any]:
        return {"layer": {**dataclasses.asdict(layer), **contender.variant}, "threads": threads}

    return time_requests(asked, request, rounds)


def time_requests(
    processes: Sequence[Process], request: Callable[[Contender], Mapping[str, Any]], rounds: int = ROUNDS
) -> dict[str, Timing]:
    """Timings by contender name of what ``request`` asks each for (contender.py): every round runs every contender
    once, the next round the other way round."""
    counts: dict[str, int] = {}
    about: dict[str, Any] = {}
    failed: dict[str, str] = {}
    for process in processes:
        name = process.contender.name
        try:
            about[name] = process.ask(request(process.contender))
            once = min(process.seconds(1) for _ in range(3))
            counts[name] = max(1, round(ROUND / max(once, 1e-7)))
        except ProcessError as error:
            failed[name] = str(error)
    samples: dict[str, list[float]] = {name: [] for name in counts}
    for i in range(rounds):
        for process in processes if i % 2 == 0 else reversed(processes):
            name = process.contender.name
            if name not in counts or name in failed:
                continue
            try:
                samples[name].append(process.seconds(counts[name]) / counts[name] * 1e6)
            except ProcessError as error:  # what it measured before is no whole sample
                failed[name] = str(error)
                del samples[name]
    timed = {name: Timing(tuple(us), about[name]) for name, us in samples.items()}
    return {**timed, **{name: Timing((), {}, error) for name, error in failed.items()}}


def ratios(peer: Timing, ours: Timing) -> list[float]:
    """Peer time / our time, a round each."""
    return [p / o for p, o in zip(peer.us, ours.us, strict=True)]
