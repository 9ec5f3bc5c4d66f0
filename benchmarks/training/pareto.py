"""The trade between accuracy and size, and accuracy and estimated cycles, as one SVG."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any


def front(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Those (cost, accuracy) that no cheaper or equally cheap point beats, by rising cost."""
    best: list[tuple[float, float]] = []
    for cost, accuracy in sorted(points, key=lambda point: (point[0], -point[1])):
        if not best or accuracy > best[-1][1]:
            best.append((cost, accuracy))
    return best


def plot(table: dict[str, dict[str, Any]], path: Path) -> None:
    """Writes the SVG of the keyword spotters that have costs; binary and ternary ones beside INT8 ones."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "edgebnn"  # the same file from the same figures
    from matplotlib import pyplot, ticker

    left_out = ("teacher", "digits")
    rows = {n: entry for n, entry in table.items() if entry["bytes"] and not n.startswith(left_out)}
    kinds = {"INT8": ("s", "tab:orange"), "binary and ternary": ("o", "tab:blue")}
    figure, axes = pyplot.subplots(1, 2, figsize=(10, 4.2), sharey=True, layout="constrained")
    sizes, cycles = [5, 10, 20, 50, 100], [0.4, 0.6, 0.8, 1, 1.5, 2, 3, 4]
    panels: tuple[tuple[str, float, str, list[float]], ...] = (
        ("bytes", 1e3, "weights + constants, KB", [*sizes]),
        ("cycles", 1e6, "Cortex-M4 cycles, millions (estimate)", cycles),
    )
    for axis, (key, unit, label, ticks) in zip(axes, panels, strict=True):
        for kind, (marker, colour) in kinds.items():
            points = {
                name: (entry[key] / unit, statistics.mean(entry["val"]), entry["val"])
                for name, entry in rows.items()
                if ("int8" in name) == (kind == "INT8")
            }
            for name, (x, y, val) in points.items():
                axis.errorbar(
                    x, y, [[y - min(val)], [max(val) - y]], fmt=marker, color=colour, capsize=2, ms=5
                )
                axis.annotate(
                    name.removeprefix("kws1d-"), (x, y), xytext=(4, 4), textcoords="offset points", size=7
                )
            line = front([(x, y) for x, y, _ in points.values()])
            axis.plot(*zip(*line, strict=True), color=colour, lw=0.8, label=kind) if line else None
        baseline = table.get("dscnn-fp32")
        if baseline:
            mean = statistics.mean(baseline["val"])
            axis.axhline(mean, color="grey", ls="--", lw=0.8, label="FP32 DS-CNN")
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(ticker.FixedLocator(ticks))
        axis.xaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
        axis.xaxis.set_minor_locator(ticker.NullLocator())
        axis.set_xlabel(label)
        axis.grid(True, which="both", lw=0.3)
    axes[0].set_ylabel("validation accuracy, %")
    axes[0].legend(loc="lower right", fontsize=8)
    figure.savefig(path, format="svg", metadata={"Date": None})
    pyplot.close(figure)
