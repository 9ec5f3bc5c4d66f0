"""The results as JSON and Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.training import versus
from benchmarks.training.runs import MODELS, seeds_of
from benchmarks.training.train import command, result
from edgebnn.estimate import cost

INTRO = f"""\
# Keyword spotters: accuracy, size, estimated speed

Written by `make results-kws`; `results.json` holds the same. Data: Google Speech Commands v0.02 (Warden 2018), 12
classes, 15 211 training clips with six augmented copies each. Accuracy is that on the 675 validation clips of 41 other
speakers, which chose the networks and hyper-parameters too, with the weights of the last epoch. The standard error of
one accuracy, from the number of clips, is 1.2 points; "error" is the standard error of the mean over seeds alone.

- wXaY: X-bit (1: binary) weights and Y-bit activations in the blocks; stem and head are INT8. int8: everything is
  INT8. The number after kws1d is that of channels.
- bytes: weights and constants in flash. cycles: {cost.LABEL} (Cortex-M4,
  {cost.TABLES["cortex-m4"].source}),
  of the emitted image, gcc -O2. arena: bytes of RAM. All three are of the first seed, converted with `--optimize size`;
  the last two columns with `--optimize speed`.
- CPU min: training of one seed on one thread, mean; of some seeds wall time, which is no less. Students of the same
  seed share their teachers' answers; the first of them bears the time for these.
- differ: validation clips that the converted integer model puts in another class than the trained network (first seed).
  Their two best logits are equal or one code apart in one of the two: the 16-bit multipliers of the quantisers and
  behind the binary convolutions move some codes by one (DESIGN.md).
"""

DIGITS = """\
The 8 x 8 images that come with scikit-learn, 1437 to train on, 360 for validation; 32 channels, ends INT8. Columns as
above.
"""


def document(work: Path, seeds: int, costs: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """{model: {"val", "seeds", "bytes", "cycles", "arena", "minutes", "command", ...}} of what is done."""
    table: dict[str, dict[str, Any]] = {}
    for model in MODELS:
        done = {seed: found for seed in seeds_of(model, seeds) if (found := result(work, model, seed))}
        if not done:
            continue
        costed = costs.get(model.name, {})
        size, speed = costed.get("size", {}), costed.get("speed", {})
        table[model.name] = {
            "val": [round(100 * found["val_accuracy"], 2) for found in done.values()],
            "seeds": list(done),
            "bytes": size.get("bytes"),
            "cycles": size.get("cycles"),
            "arena": size.get("arena"),
            "minutes": round(statistics.mean(found["minutes"] for found in done.values()), 1),
            "command": command(model),
            "role": model.role,
            "epochs": next(iter(done.values()))["epochs"],
            "speed": {key: speed[key] for key in ("bytes", "cycles", "arena")} if speed else None,
            "disagreements": costed.get("disagreements"),
        }
    return table


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _row(name: str, entry: dict[str, Any], wanted: Sequence[int]) -> list[str]:
    val = entry["val"]
    error = statistics.stdev(val) / len(val) ** 0.5 if len(val) > 1 else None
    missing = [seed for seed in wanted if seed not in entry["seeds"]]
    speed = entry["speed"] or {}
    return [
        name,
        entry["role"],
        f"{statistics.mean(val):.2f}",
        f"{min(val):.2f} - {max(val):.2f}" if len(val) > 1 else "-",
        "-" if error is None else f"{error:.2f}",
        f"{len(val)}" + (f" ({', '.join(map(str, missing))} missing)" if missing else ""),
        str(entry["epochs"]),
        f"{entry['minutes']:.1f}",
        _number(entry["bytes"]),
        _number(entry["cycles"]),
        _number(entry["arena"]),
        _number(entry["disagreements"]),
        _number(speed.get("bytes")),
        _number(speed.get("cycles")),
    ]


def _rows(table: dict[str, dict[str, Any]], seeds: int, task: str) -> list[str]:
    heads = ["network", "role", "accuracy %", "spread", "error", "seeds", "epochs", "CPU min", "bytes"]
    heads += ["est. cycles", "arena", "differ", "fast: bytes", "fast: est. cycles"]
    lines = ["| " + " | ".join(heads) + " |", "| --- | --- |" + " ---: |" * (len(heads) - 2)]
    models = [model for model in MODELS if model.task == task]
    for model in models:
        if model.name in table:
            row = _row(model.name, table[model.name], seeds_of(model, seeds))
            lines.append("| " + " | ".join(row) + " |")
    absent = [model.name for model in models if model.name not in table]
    return [*lines, *(["", f"Not trained yet: {', '.join(absent)}."] if absent else [])]


def markdown(table: dict[str, dict[str, Any]], seeds: int) -> str:
    """results.md."""
    lines = [INTRO, *_rows(table, seeds, "kws"), *versus.section(table)]
    lines += ["", "## Digits", "", DIGITS, *_rows(table, seeds, "digits"), "", "## Commands", ""]
    lines += [f"    {entry['command']}" for entry in table.values()]
    return "\n".join(lines) + "\n"
