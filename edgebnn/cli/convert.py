"""``edgebnn convert``: from a trained model to a folder of C."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import click

from edgebnn import targets
from edgebnn.cli import output as output_folder
from edgebnn.cli.common import console, emit_json, json_option, say, threads_option
from edgebnn.errors import UsageError


@click.command(epilog="Example: edgebnn convert examples/kws/kws.pt --target cortex-m4 -o build/kws")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--target", "target_name", required=True, metavar="NAME", help="A name of 'edgebnn targets'.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Output folder.")
@click.option(
    "--optimize",
    type=click.Choice(["size", "speed"]),
    default="speed",
    show_default=True,
    help="What to prefer where a kernel trades flash for speed.",
)
@click.option("--flash", type=click.IntRange(min=1), metavar="BYTES", help="Budget of weights and constants.")
@click.option("--ram", type=click.IntRange(min=1), metavar="BYTES", help="Budget of the arena.")
@click.option(
    "--clock", metavar="HZ", help="Also print estimated milliseconds at this clock, for example 80MHz."
)
@threads_option
@click.option("--name", metavar="IDENT", help="C name of the model; default: the model's own.")
@json_option
def convert(
    model: Path,
    target_name: str,
    output: Path,
    optimize: str,
    flash: int | None,
    ram: int | None,
    clock: str | None,
    threads: int,
    name: str | None,
    as_json: bool,
) -> None:
    """Convert MODEL to C for a target: NAME.c, NAME.h, NAME.ebnn and report.json in the output folder."""
    from edgebnn.cli.convert_words import other_choice
    from edgebnn.converters import load_model
    from edgebnn.emit import emit
    from edgebnn.passes import lower
    from edgebnn.plan import plan

    target = targets.load(target_name)
    if name is not None and not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,62}", name):
        raise UsageError(f"--name '{name}' is not a C identifier", "use letters, digits and '_'")
    if threads > 1 and not target.hosted:
        raise UsageError(f"--threads {threads}: target {target.name} has no operating system", "leave it out")
    hertz = None
    if clock is not None:
        from edgebnn.cli.estimate import clock_hz
        from edgebnn.estimate import cost

        hertz = clock_hz(clock)
        if target.name not in cost.TABLES:
            raise UsageError(
                f"--clock: {target.name} has no published cycle table",
                "leave it out, or choose a target of " + ", ".join(cost.TABLES),
            )
    output_folder.check(output)
    graph = lower(load_model(model))
    if name is not None:
        graph = dataclasses.replace(graph, name=name)
    planned = plan(graph, target, optimize=optimize, flash=flash, ram=ram, threads=threads)
    with output_folder.replacing(output) as folder:
        emit(planned, folder)
        path = folder / "report.json"
        report = json.loads(path.read_text(encoding="utf-8"))
        # Kept because it decides the plan, which verify makes again; a flash budget shows in "optimize", too.
        budgets = {"flash_budget": flash, "ram_budget": ram}
        report |= {key: value for key, value in budgets.items() if value is not None}
        report["other_choice"] = other_choice(planned, flash, ram)
        if hertz is not None:
            report["estimate"] = _estimate(folder, hertz)
        path.write_text(json.dumps(report, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    if as_json:
        emit_json(report)
    else:
        _show(report)
    say(f"wrote {output}")


def _estimate(folder: Path, hertz: float) -> dict[str, Any]:
    """One inference by the instruction-level estimator, without its tables."""
    from edgebnn.estimate.model import estimate

    found = estimate(folder).as_dict(hertz)
    return {
        key: found[key] for key in ("clock_hz", "cycles", "estimated_ms", "note", "source", "optimization")
    }


def _show(report: dict[str, Any]) -> None:
    from rich.table import Table

    from edgebnn.cli import convert_words

    table = Table("layer", "kernel", "in/weights/out", "output", "MACs", "bytes", box=None, pad_edge=False)
    for column in table.columns[-2:]:
        column.justify = "right"
    for layer in report["layers"]:
        types = (layer["in_dtype"], layer["weight_dtype"], layer["out_dtype"])
        table.add_row(
            layer["name"],
            layer["kernel"].removeprefix("ebnn_"),
            "/".join(name for name in types if name),
            "x".join(map(str, layer["out_shape"])),
            f"{layer['macs']:,}",
            f"{layer['weight_bytes'] + layer['constant_bytes']:,}",
        )
    flash = report["flash"]
    out = console()
    out.print(table)
    out.print(
        f"{report['name']} for {report['target']}: weights {flash['weights']:,} + constants"
        f" {flash['constants']:,} = {flash['total']:,} bytes of flash, arena {report['arena']:,} bytes of RAM",
        soft_wrap=True,
    )
    lines = [
        *convert_words.slow_lines(report),
        convert_words.choice_line(report),
        convert_words.budget_line(report),
        convert_words.time_line(report),
    ]
    for line in lines:
        if line is not None:
            out.print(line, soft_wrap=True)
