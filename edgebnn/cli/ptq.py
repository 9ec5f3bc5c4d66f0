"""``edgebnn ptq``: quantises a trained float network without training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgebnn.cli.common import console, emit_json, json_option, say
from edgebnn.errors import UsageError

if TYPE_CHECKING:
    from edgebnn.train.ptq.differences import Difference
    from edgebnn.train.ptq.report import Row


@click.command(epilog="Example: edgebnn ptq fp32.pt --task digits --weights binary --solver gptq --out q.pt")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--task", type=click.Choice(["digits", "kws"]), required=True, help="Where the data come from.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the speech data (kws).")
@click.option(
    "--weights",
    default="int8",
    show_default=True,
    help="int8, int8:tensor, int4, pot (powers of two), binary or ternary (of the blocks).",
)
@click.option("--solver", default="gptq", show_default=True, help="Of low-bit weights: grid, admm or gptq.")
@click.option(
    "--calibration",
    default="mse",
    show_default=True,
    help="Of the s8 ranges: minmax, moving, percentile, mse or kl.",
)
@click.option(
    "--drop",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Share of activations left unquantised at random while weights are solved.",
)
@click.option("--clips", type=click.IntRange(2), default=256, show_default=True, help="Calibration inputs.")
@click.option("--out", type=click.Path(path_type=Path), help="Checkpoint to write.")
@click.option("--compare", is_flag=True, help="Run every method and print accuracies and clipping.")
@json_option
def ptq(
    model: Path,
    task: str,
    data: Path | None,
    weights: str,
    solver: str,
    calibration: str,
    drop: float,
    clips: int,
    out: Path | None,
    compare: bool,
    as_json: bool,
) -> None:
    """Quantise MODEL, a checkpoint with float weights, without training it.

    Binary and ternary weights made this way trail those that were trained, by 5 to 10 points and often by more. With
    --out the layers are listed: how far weights and outputs are from the float network's.
    """
    from edgebnn import models
    from edgebnn.search.tasks import load_task
    from edgebnn.train.checkpoint import Checkpoint, save
    from edgebnn.train.ptq.apply import Settings
    from edgebnn.train.ptq.differences import differences
    from edgebnn.train.ptq.report import accuracy, quantize
    from edgebnn.train.ptq.report import compare as run_all

    settings = Settings(weights, solver, calibration, drop)
    if out is None and not compare:
        raise UsageError("nothing to do", "give --out FILE, --compare or both")
    checkpoint = models.load(model)
    features = load_task(task, data)
    if checkpoint.labels != features.names or checkpoint.network.input.shape != list(features.val.shape[1:]):
        raise UsageError(
            f"{model}: its {len(checkpoint.labels)} classes are not the {len(features.names)} of {task}",
            "give the data it was trained on",
        )
    before = accuracy(checkpoint.network, features)
    rows: list[Row] = []
    layers: list[Difference] = []
    if compare:
        for row in run_all(models.build, checkpoint.network, features, clips):
            rows.append(row)
            say(f"{row.method}: {100 * row.accuracy:.2f} %")
    if out is not None:
        network, row = quantize(models.build, checkpoint.network, features, clips, settings)
        rows.append(row)
        layers = differences(checkpoint.network, network, features.variants[:64, 0])
        metrics = {
            "val_accuracy": rows[-1].accuracy,
            "val_clips": len(features.val_label),
            "ptq": rows[-1].method,
        }
        save(out, Checkpoint(network, features.names, checkpoint.frontend, metrics), compact=True)
        say(f"wrote {out}")
    if as_json:
        emit_json(
            {
                "float_accuracy": before,
                "methods": [row.to_dict() for row in rows],
                "layers": [layer.to_dict() for layer in layers],
            }
        )
    else:
        _show(rows, before)
        if layers:
            _show_layers(layers)


def _show(rows: list[Row], before: float) -> None:
    from rich.table import Table

    table = Table("method", "accuracy", "most clipped range", "clipped", "worst SQNR", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    table.add_row("float", f"{100 * before:.2f} %", "-", "-", "-")
    for row in rows:
        most = max(row.ranges, key=lambda name: row.ranges[name].clipped)
        worst = min(r.sqnr for r in row.ranges.values())
        clipped = f"{100 * row.ranges[most].clipped:.3f} %"
        table.add_row(row.method, f"{100 * row.accuracy:.2f} %", most, clipped, f"{worst:.1f} dB")
    console().print(table)


def _show_layers(layers: list[Difference]) -> None:
    from rich.table import Table

    table = Table("layer", "weights", "SQNR of weights", "of outputs", box=None)
    for column in table.columns[2:]:
        column.justify = "right"
    for layer in layers:
        table.add_row(layer.layer, layer.kind, f"{layer.weights:.1f} dB", f"{layer.outputs:.1f} dB")
    console().print(table)
