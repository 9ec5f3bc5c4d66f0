"""What an INT8 network of the same accuracy would cost: the control's widths, interpolated."""

from __future__ import annotations

import itertools
import math
import statistics
from typing import Any

from benchmarks.training.pareto import front


def at_accuracy(points: list[tuple[float, float]], accuracy: float) -> float | None:
    """Cost at which a curve of (cost, accuracy) reaches ``accuracy``: between its undominated points linear in
    the accuracy and the cost's logarithm. None above the best; below the cheapest point, its cost.
    """
    best = front(points)
    if not best or accuracy > best[-1][1]:
        return None
    if accuracy <= best[0][1]:
        return best[0][0]
    for (low_cost, low), (high_cost, high) in itertools.pairwise(best):
        if accuracy <= high:
            share = (accuracy - low) / (high - low)
            return math.exp((1 - share) * math.log(low_cost) + share * math.log(high_cost))
    return None


def section(table: dict[str, dict[str, Any]]) -> list[str]:
    """Lines of Markdown: each low-bit kws1d beside the INT8 control at its accuracy."""
    rows = {n: e for n, e in table.items() if n.startswith("kws1d-") and e["bytes"]}
    mean = {name: statistics.mean(entry["val"]) for name, entry in rows.items()}
    control = [name for name in rows if name.endswith("-int8")]
    low_bit = [name for name in rows if name not in control]
    if len(control) < 2 or not low_bit:
        return []
    lowest = min(mean[name] for name in control)
    lines = [
        "",
        "## Against INT8 at equal accuracy",
        "",
        "The control is the same topology in INT8 (kws1d-*-int8); its cost at the accuracy of a low-bit network is",
        "interpolated between the widths trained. Ratios are low-bit / INT8: under 1 the low-bit network is cheaper.",
        'Where the accuracy is below that of every control ("<"), the comparison is with the smallest one, which is',
        "better.",
        "",
        "| network | accuracy % | bytes | INT8 bytes | ratio | est. cycles | INT8 est. cycles | ratio | INT8 wins |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for name in low_bit:
        cells, wins = [name, ("< " if mean[name] < lowest else "") + f"{mean[name]:.2f}"], []
        for key in ("bytes", "cycles"):
            points = [(rows[n][key], mean[n]) for n in control]
            other = at_accuracy(points, mean[name])
            if other is None:
                cells += [f"{rows[name][key]:,}", "not reached", "-"]
                continue
            ratio = rows[name][key] / other
            cells += [f"{rows[name][key]:,}", f"{other:,.0f}", f"{ratio:.2f}"]
            wins += [key] if ratio > 1 else []
        lines.append("| " + " | ".join([*cells, ", ".join(wins) or "-"]) + " |")
    return lines + _other_topologies(table, {name: mean[name] for name in low_bit})


def _other_topologies(table: dict[str, dict[str, Any]], low_bit: dict[str, float]) -> list[str]:
    """One paragraph for each INT8 network that is no kws1d: which low-bit ones it beats in accuracy and a cost."""
    lines: list[str] = []
    for name, entry in table.items():
        if name.startswith(("kws1d-", "teacher", "digits")) or not entry["bytes"]:
            continue
        accuracy = statistics.mean(entry["val"])
        beaten = {
            key: [n for n, mean in low_bit.items() if mean <= accuracy and table[n][key] >= entry[key]]
            for key in ("bytes", "cycles")
        }
        who = {key: ", ".join(names) or "none" for key, names in beaten.items()}
        lines += [
            "",
            f"{name} ({accuracy:.2f} %, {entry['bytes']:,} bytes, {entry['cycles']:,} cycles) is at least as accurate",
            f"with no more bytes as: {who['bytes']}; with no more cycles as: {who['cycles']}.",
        ]
    return lines
