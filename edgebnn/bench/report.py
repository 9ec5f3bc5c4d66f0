"""Results of a benchmark as JSON values and as a Markdown table."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgebnn.bench.layers import Layer
from edgebnn.bench.measure import KERNEL, OURS, Timing, ratio


def cpu_name() -> str:
    """The processor's name as the operating system gives it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _us(timing: Timing) -> float:
    return round(timing.median, 2)


def weight_bytes(layer: Layer) -> int:
    """Bytes of the weights as our kernels of streaming layers store them: 2 bits, or 8."""
    return layer.in_c * layer.out_c * layer.kernel**2 * (8 if layer.weights == "s8" else 2) // 8


def result(layer: Layer, isa: str, timings: Mapping[str, Timing]) -> dict[str, Any]:
    """One entry of "results". us: the whole layer, NHWC to NHWC; kernel_us: its kernel alone, tensors in the layouts
    that it wants; ratios: peer / ours over the rounds, median and quartiles; a peer's "isa": what its library says it
    uses, "any" where it cannot be capped."""
    ours, kernel = timings[OURS], timings[KERNEL]
    entry: dict[str, Any] = {"shape": layer.name, "precision": layer.precision(), "isa": isa}
    if ours.error or kernel.error:
        return {**entry, "error": ours.error or kernel.error}
    peers: dict[str, Any] = {}
    for name, timing in timings.items():
        if name in (OURS, KERNEL):
            continue
        if timing.error:
            peers[name] = {"error": timing.error}
            continue
        middle, low, high = (round(v, 2) for v in ratio(timing, ours))
        alone = [round(v, 2) for v in ratio(timing, kernel)]
        peers[name] = {
            "us": _us(timing),
            "ratio": middle,
            "quartiles": [low, high],
            "kernel_ratio": alone[0],
            "kernel_quartiles": alone[1:],
            **({"isa": timing.about["isa"]} if "isa" in timing.about else {}),
        }
    return {
        **entry,
        "us": _us(ours),
        "kernel_us": _us(kernel),
        "mac_per_s": round(layer.macs / ours.median * 1e6),
        **({"weight_bytes_per_s": round(weight_bytes(layer) / ours.median * 1e6)} if layer.streaming else {}),
        "kernel": kernel.about["kernels"][0],
        "kernels": ours.about["kernels"],
        "peers": peers,
    }


def document(
    results: Sequence[Mapping[str, Any]],
    isas: Iterable[str],
    versions: Mapping[str, str],
    bandwidth: float | None = None,
    missing: Sequence[str] = (),
) -> dict[str, Any]:
    """The whole report. ``bandwidth``: bytes a second that one thread reads from memory, where it was measured.
    ``missing``: peers that were not measured, with the reason."""
    return {
        "cpu": cpu_name(),
        "isa": list(isas),
        "versions": dict(versions),
        "missing": list(missing),
        **({} if bandwidth is None else {"read_bytes_per_s": round(bandwidth)}),
        "results": list(results),
    }


def line(r: Mapping[str, Any]) -> str:
    """One result in a line of text."""
    if "error" in r:
        return f"{r['isa']}  {r['shape']}  {r['precision']}: {r['error']}"
    peers = "  ".join(
        f"{name} {p['ratio']:.1f}x" if "us" in p else f"{name}: {p['error']}"
        for name, p in r["peers"].items()
    )
    return (
        f"{r['isa']}  {r['shape']}  {r['precision']}: {r['us']:.1f} us (kernel {r['kernel_us']:.1f})  {peers}"
    )


def markdown(report: Mapping[str, Any], command: str) -> str:
    """The report as a page: one table an instruction set."""
    lines = [
        "# Kernels on this machine beside their peers",
        "",
        f"`{command}` on {report['cpu']}; "
        + ", ".join(f"{name} {version}" for name, version in report["versions"].items())
        + ".",
        "",
        "One thread. Times are processor time of each contender's process in microseconds, medians over rounds that "
        "take the contenders in turn. Ratios are peer time / our time in the same round: median [quartiles]. "
        '"layer" goes from NHWC to NHWC with every change of layout; "kernel" is the kernel alone, as it runs between '
        'layers that share its layout. Peers are capped to the same instruction set, except where "(any ISA)" stands: '
        "those take the best the processor has. Larq Compute Engine is tuned for AArch64 and runs portable code "
        "elsewhere. One thread reads "
        f"{report['read_bytes_per_s'] / 1e9:.1f} GB/s from memory; streaming layers take copies of their weights in "
        "turn that no cache holds together, and the share of that speed stands beside them.",
        "",
    ]
    for isa in report["isa"]:
        rows = [r for r in report["results"] if r["isa"] == isa]
        names = list(dict.fromkeys(name for r in rows for name in r.get("peers", {})))
        lines += [f"## {isa}", ""]
        lines.append("| layer | precision | layer us | kernel us | GMAC/s | " + " | ".join(names) + " |")
        lines.append("|---|---|---:|---:|---:|" + "---|" * len(names))
        lines += [_row(r, names, report.get("read_bytes_per_s", 0)) for r in rows]
        lines.append("")
    if report["missing"]:
        lines += ["Not measured:", *(f"- {m}" for m in report["missing"]), ""]
    return "\n".join(lines)


def _row(r: Mapping[str, Any], names: Sequence[str], bandwidth: float) -> str:
    if "error" in r:
        return (
            f"| {r['shape']} | {r['precision']} | {r['error']} | | | " + " | ".join("" for _ in names) + " |"
        )
    cells = []
    for name in names:
        p = r["peers"].get(name, {})
        if "us" in p:
            low, high = p["quartiles"]
            uncapped = " (any ISA)" if p.get("isa") == "any" else ""
            layer = f"layer {p['ratio']:.1f}x [{low:.1f}-{high:.1f}]"
            cells.append(f"{p['us']:.0f} us{uncapped}: {layer}, kernel {p['kernel_ratio']:.1f}x")
        else:
            cells.append(p.get("error", ""))
    head = f"{r['us']:.1f} | {r['kernel_us']:.1f} | {r['mac_per_s'] / 1e9:.0f}"
    if "weight_bytes_per_s" in r:
        head += f" ({r['weight_bytes_per_s'] / bandwidth:.0%} of memory)"
    return f"| {r['shape']} | {r['precision']} | {head} | " + " | ".join(cells) + " |"
