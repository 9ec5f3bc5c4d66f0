"""``edgebnn verify``: NumPy reference, host runtime, emitted C and emulated firmware, byte for byte."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from edgebnn.cli.common import emit_json, json_option, stderr_console
from edgebnn.errors import MismatchError, UsageError

CHOICES = ("reference", "host", "c", "emulator")


@click.command(epilog="Example: edgebnn verify build/kws --on reference,host,c,emulator -n 64")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--on",
    "wanted",
    default="reference,host,c",
    show_default=True,
    metavar="LIST",
    help="Two or more of reference, host, c, emulator; all are compared with the first.",
)
@click.option(
    "--data", type=click.Path(path_type=Path), metavar="FILE.npz", help="Inputs; default: random ones."
)
@click.option(
    "-n", "count", type=click.IntRange(min=1), default=64, show_default=True, help="Number of inputs."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Seed of the random inputs.")
@json_option
def verify(folder: Path, wanted: str, data: Path | None, count: int, seed: int, as_json: bool) -> None:
    """Compare several executions of the converted model in DIR, byte for byte, after every layer."""
    executions = [word.strip() for word in wanted.split(",") if word.strip()]
    for word in executions:
        if word not in CHOICES:
            raise UsageError(f"--on: unknown execution '{word}'", f"choose from {', '.join(CHOICES)}")
    if len(set(executions)) < 2 or len(set(executions)) != len(executions):
        raise UsageError("--on: name at least two different executions", f"choose from {', '.join(CHOICES)}")

    import numpy as np

    from edgebnn.cli.inputs import load_dataset
    from edgebnn.device import model_folder
    from edgebnn.report.verify import compare, load_plan

    planned = load_plan(folder, model_folder.read(folder).report)
    if data is not None:
        inputs = load_dataset(data, planned.graph)[0][:count]
    else:
        shape = (count, *planned.graph.tensors[planned.graph.input].shape)
        inputs = np.random.default_rng(seed).integers(-128, 128, shape).astype(np.int8)

    from rich.progress import Progress

    console = stderr_console()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bars:
        tasks = {name: bars.add_task(name, total=len(inputs)) for name in executions}
        result = compare(
            folder, planned, executions, inputs, lambda name, done: bars.update(tasks[name], completed=done)
        )
    if as_json:
        emit_json({"identical": result.difference is None, **asdict(result)})
    elif result.difference is None:
        names = " = ".join(result.executions)
        click.echo(f"{names}: identical bytes in {result.layers} layers for {result.inputs} inputs")
    if result.difference is not None:
        d = result.difference
        raise MismatchError(
            f"layer '{d.layer}' ({d.op}, {d.kernel}) on {d.execution} differs from {d.against}:"
            f" input {d.input}, byte {d.byte} first, {d.count} in all",
            "the layers before it agree; look at that kernel",
        )
