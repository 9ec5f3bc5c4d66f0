"""Plots as SVG, drawn with matplotlib: training curves, and accuracy against cost."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgebnn.errors import UsageError


@dataclass(frozen=True)
class Point:
    """A model in the accuracy-cost plot: ``accuracy`` 0..1, ``flash`` in bytes; ``front``: no other beats it."""

    label: str
    accuracy: float
    flash: int
    cycles: int
    front: bool = True


def _save(figure: Any, path: Path) -> None:
    """Writes beside and renames. Raises UsageError."""
    part = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        figure.savefig(part, format="svg", metadata={"Date": None})
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UsageError(f"{path}: cannot be written ({error.strerror})") from None


def _figure(width: float, height: float) -> Any:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "edgebnn"  # equal data gives an equal file
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def pareto(points: Sequence[Point], path: Path, cycles_are: str = "estimated cycles") -> None:
    """Accuracy in percent over cycles, the area of a point its flash; the front's points are joined and named."""
    figure = _figure(7, 4.5)
    axes = figure.subplots()
    for front, colour in ((False, "0.7"), (True, "tab:blue")):
        chosen = [p for p in points if p.front == front]
        axes.scatter(
            [p.cycles / 1e6 for p in chosen],
            [100 * p.accuracy for p in chosen],
            s=[20 + p.flash / 100 for p in chosen],
            color=colour,
            alpha=0.7,
        )
    line = sorted((p for p in points if p.front), key=lambda p: p.cycles)
    axes.plot([p.cycles / 1e6 for p in line], [100 * p.accuracy for p in line], color="tab:blue", lw=0.8)
    for p in line:
        axes.annotate(
            f"{p.label} ({p.flash / 1e3:.1f} kB)",
            (p.cycles / 1e6, 100 * p.accuracy),
            fontsize=7,
            xytext=(4, -8),
            textcoords="offset points",
        )
    axes.set(xlabel=f"million {cycles_are}", ylabel="validation accuracy, %")
    axes.grid(alpha=0.3)
    _save(figure, path)


def curves(epochs: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Loss and validation accuracy by epoch, from the lines of a training log (``edgebnn train --log``).

    An epoch number that does not grow starts a new stage or run, drawn after the one before. Raises UsageError
    where there is no epoch.
    """
    if not epochs:
        raise UsageError("the training log holds no epoch")
    figure = _figure(7, 4)
    left = figure.subplots()
    right = left.twinx()
    x = range(1, len(epochs) + 1)
    left.plot(x, [e["loss"] for e in epochs], color="tab:orange", label="loss")
    right.plot(x, [100 * e["val_accuracy"] for e in epochs], color="tab:blue", label="validation accuracy")
    for i in range(1, len(epochs)):
        if epochs[i]["epoch"] <= epochs[i - 1]["epoch"]:
            left.axvline(i + 0.5, color="0.6", lw=0.8, ls="--")
    left.set(xlabel="epoch", ylabel="training loss")
    right.set_ylabel("validation accuracy, %")
    left.grid(alpha=0.3)
    figure.legend(loc="outside upper center", ncols=2)
    _save(figure, path)
