"""The measured networks: random weights, whole inferences from the stored input to the stored output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgebnn.bench.measure import OURS, Timing, best_level, ratio, time_request
from edgebnn.bench.process import Contender, Process
from edgebnn.targets import cpu

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
    """The network's .ebnn file in ``folder``. Needs PyTorch."""
    from edgebnn import ir
    from edgebnn.models import random
    from edgebnn.passes import lower

    path = folder / f"{list(NETWORKS).index(name)}.ebnn"
    ir.save(lower(random.graph(NETWORKS[name], NETWORKS[name]["name"])), path)
    return path


def contenders(isa: str, cap: Mapping[str, str]) -> list[Contender]:
    """Ours, and PyTorch capped to ``isa``."""
    return [
        Contender(OURS, "edgebnn-network", {cpu.VARIABLE: best_level(isa)}),
        Contender("PyTorch fp32", "torch-network", cap),
    ]


def time_network(processes: Sequence[Process], name: str, file: Path, rounds: int) -> dict[str, Timing]:
    """Timings by contender name."""
    request = {"network": NETWORKS[name], "file": str(file)}
    return time_request(processes, request, rounds)


def result(name: str, isa: str, timings: Mapping[str, Timing]) -> dict[str, Any]:
    """One entry of "networks": us of an inference; ratios: peer / ours over the rounds, median and quartiles; layers:
    us of each, most first."""
    ours = timings[OURS]
    entry: dict[str, Any] = {"network": name, "isa": isa}
    if ours.error:
        return {**entry, "error": ours.error}
    peers: dict[str, Any] = {}
    for peer, timing in timings.items():
        if peer == OURS:
            continue
        if timing.error:
            peers[peer] = {"error": timing.error}
            continue
        middle, low, high = (round(v, 2) for v in ratio(timing, ours))
        peers[peer] = {"us": round(timing.median, 1), "ratio": middle, "quartiles": [low, high]}
    macs = ours.about["macs"]
    return {
        **entry,
        "us": round(ours.median, 1),
        "macs": macs,
        "mac_per_s": round(macs / ours.median * 1e6),
        "weight_bytes": ours.about["weight_bytes"],
        "arena": ours.about["arena"],
        "kernels": ours.about["kernels"],
        "peers": peers,
    }


def line(r: Mapping[str, Any]) -> str:
    """One result in a line of text."""
    if "error" in r:
        return f"{r['isa']}  {r['network']}: {r['error']}"
    peers = "  ".join(
        f"{name} {p['ratio']:.1f}x" if "us" in p else f"{name}: {p['error']}"
        for name, p in r["peers"].items()
    )
    return f"{r['isa']}  {r['network']}: {r['us'] / 1000:.2f} ms  {peers}"


def page(document: Mapping[str, Any], command: str) -> str:
    """The report as a Markdown page."""
    versions = ", ".join(f"{name} {version}" for name, version in document["versions"].items())
    lines = [
        "# Whole networks on this machine beside PyTorch",
        "",
        f"`{command}` on {document['cpu']}; {versions}.",
        "",
        "One thread. Times are processor time of each process, medians over rounds that take the contenders "
        "in turn. Ratios are peer time / our time in the same round: median [quartiles].",
        "",
        "Random weights; first and last layer (INT8) included. PyTorch runs the float network of the same shape, batch "
        "norm folded, frozen and packed for oneDNN (`torch.jit.optimize_for_inference`), channels last.",
        "",
        "| network | ISA | ms | GMAC/s | weights, MB | arena, KB | PyTorch fp32 | most time in |",
        "|---|---|---:|---:|---:|---:|---|---|",
    ]
    for r in document["networks"]:
        if "error" in r:
            lines.append(f"| {r['network']} | {r['isa']} | {r['error']} | | | | | |")
            continue
        p = r["peers"]["PyTorch fp32"]
        peer = p.get("error", "")
        if "us" in p:
            low, high = p["quartiles"]
            peer = f"{p['us'] / 1000:.1f} ms: {p['ratio']:.1f}x [{low:.1f}-{high:.1f}]"
        most = ", ".join(f"{k['kernel'].removeprefix('ebnn_')} {k['share']:.0%}" for k in r["kernels"][:3])
        lines.append(
            f"| {r['network']} | {r['isa']} | {r['us'] / 1000:.2f} | {r['mac_per_s'] / 1e9:.0f} |"
            f" {r['weight_bytes'] / 1e6:.2f} | {r['arena'] / 1024:.0f} | {peer} | {most} |"
        )
    return "\n".join([*lines, ""])
