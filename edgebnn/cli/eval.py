"""``edgebnn eval``: accuracy on labelled data, on this machine."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from edgebnn.cli.common import emit_json, isa_option, json_option, model_file, threads_option
from edgebnn.errors import UsageError


@click.command("eval", epilog="Example: edgebnn eval build/kws/kws.ebnn --data validation.npz --json")
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE.npz",
    help="Arrays 'features' or 'x' (int8 inputs) and 'label' or 'y' (class numbers).",
)
@isa_option
@threads_option
@json_option
def eval_(model: Path, data: Path, isa: str | None, threads: int, as_json: bool) -> None:
    """Measure the accuracy of MODEL, a .ebnn file or a converted model's folder."""
    from edgebnn import ir
    from edgebnn.cli.inputs import load_dataset
    from edgebnn.host import Runtime
    from edgebnn.plan import plan
    from edgebnn.targets import load as load_target

    graph = ir.load(model_file(model))
    x, y = load_dataset(data, graph)
    if y is None:
        raise UsageError(f"{data}: no array named 'label' or 'y'", "accuracy needs labelled data")
    runtime = Runtime(plan(graph, load_target("host", isa), threads=threads))
    predicted = np.array([int(np.argmax(np.asarray(runtime.run(clip)).ravel())) for clip in x])
    accuracy = float(np.mean(predicted == y))
    if as_json:
        emit_json({"accuracy": accuracy, "n": len(y)})
        return
    click.echo(f"accuracy {100 * accuracy:.2f} % on {len(y)} inputs")
    labels = graph.meta.get("labels") or [str(i) for i in range(graph.tensors[graph.output].elements)]
    for index, label in enumerate(labels):
        rows = y == index
        if rows.any():
            share = float(np.mean(predicted[rows] == index))
            click.echo(f"  {label:12} {100 * share:6.2f} %  of {int(rows.sum())}")
