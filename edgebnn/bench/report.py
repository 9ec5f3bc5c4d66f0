"""Results of a benchmark as JSON values and as lines of text."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgebnn.bench.layers import Layer
from edgebnn.bench.measure import KERNEL, MEMORY, OURS, VARIANTS, Timing, best_level, ratios

#: timings by contender name, of one pass
Pass = Mapping[str, Timing]


@dataclass(frozen=True)
class Settings:
    """How it was measured. ``command``: what measures it again; ``passes`` of ``rounds`` each."""

    command: str
    rounds: int
    passes: int = 1
    threads: int = 1


def cpu_name() -> str:
    """The processor's name as the operating system gives it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _error(passes: Sequence[Pass], name: str) -> str | None:
    """Why the contender was not measured in each of the passes."""
    return next((p[name].error for p in passes if p[name].error), None)


def _us(passes: Sequence[Pass], name: str) -> float:
    """Microseconds: the median of the passes' medians."""
    return round(statistics.median(p[name].median for p in passes), 2)


def _beside(passes: Sequence[Pass], name: str, base: str = OURS) -> dict[str, Any]:
    """Time of ``name`` / time of ``base``: "ratio", the median of the passes' medians, these medians, and the quartiles
    of all rounds."""
    each = [ratios(p[name], p[base]) for p in passes]
    medians = [statistics.median(rounds) for rounds in each]
    low, _, high = statistics.quantiles([r for rounds in each for r in rounds], n=4)
    return {
        "ratio": round(statistics.median(medians), 2),
        "passes": [round(m, 2) for m in medians],
        "quartiles": [round(low, 2), round(high, 2)],
    }


def result(layer: Layer, isa: str, passes: Sequence[Pass]) -> dict[str, Any]:
    """One entry of "results", or {"shape", "precision", "isa", "error"}. us: the whole layer, NHWC to NHWC; kernel_us:
    its kernel alone, tensors in the layouts that it wants; peers, own (our layers of other precisions) and memory (a
    reading of as many bytes as the weights have): "us" and their time / ours; a peer's "isa": what its library says it
    uses, "any" where it cannot be capped; failed: why a contender was not measured."""
    entry: dict[str, Any] = {
        "kind": "layer",
        "shape": layer.name,
        "precision": layer.precision(),
        "isa": isa,
    }
    if error := _error(passes, OURS):
        return {**entry, "error": error}
    ours = passes[0][OURS]
    kernel: dict[str, Any] = {}
    if KERNEL in passes[0] and not _error(passes, KERNEL):
        kernel["kernel_us"] = _us(passes, KERNEL)
    peers, own, failed = {}, {}, {}
    for name, timing in passes[0].items():
        if name in (OURS, MEMORY):
            continue
        if error := _error(passes, name):
            failed[name] = error
        elif name in VARIANTS:
            own[name] = {"us": _us(passes, name), **_beside(passes, name)}
        elif name != KERNEL:
            peers[name] = {"us": _us(passes, name), **_beside(passes, name)}
            if kernel:
                peers[name]["kernel_ratio"] = _beside(passes, name, KERNEL)["ratio"]
            peers[name] |= {key: timing.about[key] for key in ("isa",) if key in timing.about}
    if MEMORY in passes[0] and not _error(passes, MEMORY):
        us = _us(passes, MEMORY)
        bytes_per_s = round(layer.weight_bytes / us * 1e6)
        own[MEMORY] = {"us": us, **_beside(passes, MEMORY), "bytes_per_s": bytes_per_s}
    us = _us(passes, OURS)
    return {
        **entry,
        "us": us,
        **kernel,
        "passes_us": [round(p[OURS].median, 2) for p in passes],
        "mac_per_s": round(layer.macs / us * 1e6),
        "kernels": ours.about["kernels"],
        "peers": peers,
        "own": own,
        "failed": failed,
    }


def network(name: str, isa: str, passes: Sequence[Pass]) -> dict[str, Any]:
    """One entry of "results" for a whole network, or one with "error". us: an inference; kernels: the share of the time
    that each takes, most first."""
    entry: dict[str, Any] = {"kind": "network", "shape": name, "isa": isa}
    if error := _error(passes, OURS):
        return {**entry, "error": error}
    about, us = passes[0][OURS].about, _us(passes, OURS)
    names = [peer for peer in passes[0] if peer != OURS]
    failed = {peer: error for peer in names if (error := _error(passes, peer))}
    return {
        **entry,
        "us": us,
        "passes_us": [round(p[OURS].median, 2) for p in passes],
        "macs": about["macs"],
        "mac_per_s": round(about["macs"] / us * 1e6),
        "weight_bytes": about["weight_bytes"],
        "arena": about["arena"],
        "kernels": about["kernels"],
        "peers": {
            peer: {"us": _us(passes, peer), **_beside(passes, peer)} for peer in names if peer not in failed
        },
        "failed": failed,
    }


def document(
    results: Sequence[Mapping[str, Any]],
    isas: Iterable[str],
    versions: Mapping[str, str],
    settings: Settings,
    missing: Sequence[str] = (),
) -> dict[str, Any]:
    """The whole report: {"cpu", "isa", "results": [{"shape", "isa", "us", "mac_per_s", "peers": {NAME: {"us",
    "ratio"}}}]} and more; layers of ours that were not measured are in "failed". ``missing``: peers that were not
    measured, with the reason."""
    isas = list(isas)
    return {
        "cpu": cpu_name(),
        "isa": isas,
        "levels": {isa: best_level(isa) for isa in isas},
        "command": settings.command,
        "threads": settings.threads,
        "clock": "processor time" if settings.threads == 1 else "wall clock",
        "passes": settings.passes,
        "rounds": settings.rounds,
        "versions": dict(versions),
        "missing": list(missing),
        "results": [dict(r) for r in results if "error" not in r],
        "failed": [dict(r) for r in results if "error" in r],
    }


def line(r: Mapping[str, Any]) -> str:
    """One result in a line of text."""
    head = f"{r['isa']}  {r['shape']}" + (f"  {r['precision']}" if "precision" in r else "")
    if "error" in r:
        return f"{head}: {r['error']}"
    own = {name.removeprefix("edgebnn, "): p for name, p in r.get("own", {}).items()}
    beside = [f"{name} {p['ratio']:.1f}x" for name, p in (*r["peers"].items(), *own.items())]
    beside += [f"{name}: {why}" for name, why in r["failed"].items()]
    kernel = f" (kernel {r['kernel_us']:.1f})" if "kernel_us" in r else ""
    return f"{head}: {r['us']:.1f} us{kernel}  " + "  ".join(beside)
