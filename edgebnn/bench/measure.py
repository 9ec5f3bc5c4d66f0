"""Measures contenders in turn, many short rounds, so that whatever else the machine does falls on all of them."""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgebnn.bench.layers import Layer
from edgebnn.targets import cpu

#: seconds a contender runs in one round, and rounds
ROUND = 0.02
ROUNDS = 11


@dataclass(frozen=True)
class Contender:
    """``program``: name for contender.py. ``env``: variables that cap its instruction set. ``only``: text of the kernel
    to take (edgebnn). ``isa``: the class it is compared in, None: all."""

    name: str
    program: str
    env: Mapping[str, str] = field(default_factory=dict)
    only: str | None = None
    isa: str | None = None


_CAP = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
OURS = "edgebnn"


def cap(isa: str) -> dict[str, str]:
    """Variables that keep PyTorch to ``isa``."""
    return dict(_CAP) if isa == "avx2" else {}


KERNEL = "edgebnn, kernel alone"


def best_level(isa: str) -> str:
    """The kernels' instruction set for a comparison in the class ``isa``, "avx2" or "avx512": the latter with whatever
    extensions this processor has, as the peers use them too."""
    names = ("avx512_icl", "avx512", "avx2")
    return next((name for name in names if name.startswith(isa) and cpu.supports(name)), isa)


def contenders(isa: str) -> list[Contender]:
    """Ours and the peers, capped to ``isa``: "avx2" or "avx512"."""
    env = {cpu.VARIABLE: best_level(isa)}
    return [
        Contender(OURS, "edgebnn", env),
        Contender(KERNEL, "edgebnn-kernel", env),
        Contender("oneDNN int8", "torch-int8", cap(isa)),
        Contender("oneDNN fp32", "torch-fp32", cap(isa)),
    ]


class Process:
    """A contender's process."""

    def __init__(self, contender: Contender) -> None:
        env = {**os.environ, **contender.env, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "edgebnn.bench.contender", contender.program]
        self.contender = contender
        self._process = subprocess.Popen(
            command,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def ask(self, request: Any) -> Any:
        """The answer to one request; an error entry where the process is gone."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass
        line = self._process.stdout.readline()
        return json.loads(line) if line else {"error": "the process ended"}

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)


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


def time_layer(processes: Sequence[Process], layer: Layer, rounds: int = ROUNDS) -> dict[str, Timing]:
    """Timings of one layer by contender name."""
    return time_request(processes, {"layer": dataclasses.asdict(layer)}, rounds)


def time_request(
    processes: Sequence[Process], request: Mapping[str, Any], rounds: int = ROUNDS
) -> dict[str, Timing]:
    """Timings by contender name of what ``request`` names (contender.py): every round runs every contender once, the
    next round the other way round."""
    counts: dict[str, int] = {}
    about: dict[str, Any] = {}
    failed: dict[str, str] = {}
    for process in processes:
        name = process.contender.name
        answer = process.ask({**request, "only": process.contender.only})
        if "error" in answer:
            failed[name] = answer["error"]
            continue
        about[name] = answer
        once = min(process.ask(1) for _ in range(3))
        counts[name] = max(1, round(ROUND / max(once, 1e-7)))
    samples: dict[str, list[float]] = {name: [] for name in counts}
    running = [p for p in processes if p.contender.name in counts]
    for i in range(rounds):
        for process in running if i % 2 == 0 else reversed(running):
            name = process.contender.name
            samples[name].append(process.ask(counts[name]) / counts[name] * 1e6)
    timed = {name: Timing(tuple(us), about[name]) for name, us in samples.items()}
    return {**timed, **{name: Timing((), {}, error) for name, error in failed.items()}}


def ratio(peer: Timing, ours: Timing) -> tuple[float, float, float]:
    """(median, lower quartile, upper quartile) of the rounds' peer time / our time."""
    rounds = [p / o for p, o in zip(peer.us, ours.us, strict=True)]
    low, middle, high = statistics.quantiles(rounds, n=4)
    return middle, low, high
