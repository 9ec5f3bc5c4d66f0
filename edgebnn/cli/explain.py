"""``edgebnn explain``: each layer's precision, reason, cost and what to change."""

from __future__ import annotations

from pathlib import Path

import click

from edgebnn.cli.common import console, emit_json, json_option, model_file


@click.command(epilog="Example: edgebnn explain examples/kws/kws.pt --target cortex-m4")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--target", default="cortex-m4", show_default=True, metavar="NAME")
@click.option(
    "--changes",
    type=click.IntRange(0),
    default=3,
    show_default=True,
    help="For so many of the dearest blocks of a checkpoint, cost the alternatives.",
)
@json_option
def explain(model: Path, target: str, changes: int, as_json: bool) -> None:
    """Say for each layer of MODEL (a checkpoint, a .ebnn file or a converted model's folder) whether it is
    binary, ternary, k-bit, INT8 or float, why, what it costs in bytes and cycles, and what to change.
    """
    from edgebnn.search.explain import explain as run_explain

    checkpoint = model.suffix.lower() in (".pt", ".pth")
    result = run_explain(model if checkpoint else model_file(model), target, changes)
    if as_json:
        emit_json(
            {
                "target": result.target,
                "cycles": result.cycles_are,
                "notes": list(result.notes),
                "layers": [layer.to_dict() for layer in result.layers],
            }
        )
        return
    from rich.table import Table

    table = Table("layer", "precision", "why", "bytes", "cycles", "kernel", box=None, pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"
    for column in table.columns[3:5]:
        column.justify = "right"
    for layer in result.layers:
        cells = ["-" if value is None else f"{value:,}" for value in (layer.bytes, layer.cycles)]
        table.add_row(layer.name, layer.precision, layer.why, *cells, layer.kernel or "-")
    out = console()
    out.print(table)
    if result.cycles_are:
        total = [sum(getattr(x, key) or 0 for x in result.layers) for key in ("bytes", "cycles")]
        out.print(
            f"{result.target}: {total[0]:,} bytes of weights and constants, {total[1]:,} cycles"
            f" ({result.cycles_are})"
        )
    for note in result.notes:
        out.print(note)
    for layer in result.layers:
        for change in layer.change:
            out.print(f"{layer.name}: {change}", soft_wrap=True)
