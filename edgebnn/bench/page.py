"""The report of a benchmark as a Markdown page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edgebnn.bench.measure import MEMORY

_METHOD = """\
Times are {clock} of each contender's process, {rounds} rounds that take the contenders in turn, in {passes}, with
new processes. A time is the median of the passes' medians; a ratio is peer time / our time in the same round, also the
median of the passes' medians, with [lowest-highest] of the passes. "layer" goes from NHWC to NHWC with every change of
layout; "kernel" is the kernel alone, as it runs between layers that share its layout. Peers are capped to the same
instruction set, except where "(any ISA)" stands: those take the best the processor has. Larq Compute Engine is tuned
for AArch64 and runs portable code elsewhere. Streaming layers take copies of their weights in turn that no cache holds
together; the share of the speed at which as many bytes are read, in the same rounds, stands beside them.
"""
_NETWORKS = """\
Random weights; first and last layer (INT8) included. PyTorch runs the float network of the same shape, batch norm
folded, frozen and packed for oneDNN (`torch.jit.optimize_for_inference`), channels last.
"""


def markdown(report: Mapping[str, Any]) -> str:
    """The page: what is required, one table of layers an instruction set, the networks, what was not measured."""
    passes = report["passes"]
    method = _METHOD.format(
        clock=report["clock"],
        rounds=report["rounds"],
        passes="one pass" if passes == 1 else f"each of {passes} passes over everything",
    )
    levels = ", ".join(f"{isa} (kernels of {level})" for isa, level in report["levels"].items())
    versions = [f"{name} {version}" for name, version in report["versions"].items()]
    threads = "one thread" if report["threads"] == 1 else f"{report['threads']} threads, ours and the peers'"
    lines = [
        "# Kernels and networks on this machine beside their peers",
        "",
        f"`{report['command']}` on {report['cpu']}, {levels}; " + "; ".join([*versions, threads]) + ".",
        "",
        method,
    ]
    if report.get("required"):
        lines += ["## Required and measured", "", *_required(report["required"]), ""]
    for isa in report["isa"]:
        rows = [r for r in report["results"] if r["isa"] == isa and r["kind"] == "layer"]
        if rows:
            lines += [f"## Layers, {isa}", "", *_layers(rows), ""]
    networks = [r for r in report["results"] if r["kind"] == "network"]
    if networks:
        lines += ["## Networks", "", _NETWORKS, *_networks(networks), ""]
    failed = [
        f"{r['isa']}, {r['shape']}{', ' + r['precision'] if 'precision' in r else ''}: {r['error']}"
        for r in report["failed"]
    ]
    if report["missing"] or failed:
        lines += ["Not measured:", *(f"- {m}" for m in (*report["missing"], *failed)), ""]
    return "\n".join(lines)


def _table(head: Sequence[str], right: Iterable[int], rows: Iterable[Sequence[str]]) -> list[str]:
    """``right``: columns of figures."""
    right = set(right)
    rule = "|".join("---:" if i in right else "---" for i in range(len(head)))
    return [f"| {' | '.join(head)} |", f"|{rule}|", *(f"| {' | '.join(row)} |" for row in rows)]


def _span(values: Sequence[float], digits: int = 1) -> str:
    return f"{min(values):.{digits}f}-{max(values):.{digits}f}" if values else ""


def _required(figures: Sequence[Mapping[str, Any]]) -> list[str]:
    """Required figures beside the measured ones."""
    rows = []
    for f in figures:
        unit, measured = f["unit"], f["measured"]
        rows.append(
            (
                f["what"],
                f["isa"],
                f"{'at most' if f['sign'] == '<=' else 'at least'} {f['required']:g}{unit}",
                "" if f["aim"] is None else f"{f['aim']:g}{unit}",
                "" if measured is None else f"{measured:.2f}{unit}",
                _span(f["passes"], 2),
                f["verdict"],
            )
        )
    count = {v: sum(f["verdict"] == v for f in figures) for v in ("met", "MISSED", "not measured")}
    said = ", ".join(f"{n} {verdict}" for verdict, n in count.items() if n)
    head = ("figure", "ISA", "required", "aim", "measured", "passes", "verdict")
    return [f"{said}.", "", *_table(head, (2, 3, 4, 5), rows)]


def _peer(p: Mapping[str, Any]) -> str:
    uncapped = " (any ISA)" if p.get("isa") == "any" else ""
    kernel = f", kernel {p['kernel_ratio']:.1f}x" if "kernel_ratio" in p else ""
    return f"{p['us']:.0f} us{uncapped}: layer {p['ratio']:.1f}x [{_span(p['passes'])}]{kernel}"


def _layers(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """One instruction set's layers."""
    names = list(dict.fromkeys(name for r in rows for name in (*r["peers"], *r["failed"])))
    own = [n for n in dict.fromkeys(name for r in rows for name in r["own"]) if n != MEMORY]
    own = [n for n in own if n not in names]
    names = [n for n in names if not n.startswith("edgebnn")]
    cells = []
    for r in rows:
        products = f"{r['mac_per_s'] / 1e9:.0f}"
        if MEMORY in r["own"]:
            products += f" ({r['own'][MEMORY]['ratio']:.0%} of memory)"
        cells.append(
            (
                r["shape"],
                r["precision"],
                f"{r['us']:.1f}",
                f"{r['kernel_us']:.1f}" if "kernel_us" in r else r["failed"].get("edgebnn, kernel alone", ""),
                products,
                *(_peer(r["peers"][n]) if n in r["peers"] else r["failed"].get(n, "") for n in names),
                *(_other(r["own"][n]) if n in r["own"] else r["failed"].get(n, "") for n in own),
            )
        )
    head = ("layer", "precision", "layer us", "kernel us", "GMAC/s", *names, *own)
    return _table(head, (2, 3, 4), cells)


def _other(p: Mapping[str, Any]) -> str:
    return f"{p['us']:.0f} us: {p['ratio']:.2f}x [{_span(p['passes'], 2)}]"


def _networks(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    names = list(dict.fromkeys(name for r in rows for name in (*r["peers"], *r["failed"])))
    cells = []
    for r in rows:
        peers = []
        for name in names:
            p = r["peers"].get(name)
            ratio = f"{p['us'] / 1000:.2f} ms: {p['ratio']:.1f}x [{_span(p['passes'])}]" if p else ""
            peers.append(ratio or r["failed"].get(name, ""))
        most = ", ".join(f"{k['kernel'].removeprefix('ebnn_')} {k['share']:.0%}" for k in r["kernels"][:3])
        cells.append(
            (
                r["shape"],
                r["isa"],
                f"{r['us'] / 1000:.2f}",
                f"{r['mac_per_s'] / 1e9:.0f}",
                f"{r['weight_bytes'] / 1e6:.2f}",
                f"{r['arena'] / 1024:.0f}",
                *peers,
                most,
            )
        )
    head = ("network", "ISA", "ms", "GMAC/s", "weights, MB", "arena, KB", *names, "most time in")
    return _table(head, range(2, 6), cells)
