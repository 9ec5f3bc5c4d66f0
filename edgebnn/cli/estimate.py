"""``edgebnn estimate``: instructions and estimated cycles of each layer."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgebnn.cli.common import console, emit_json, json_option
from edgebnn.errors import UsageError

if TYPE_CHECKING:
    from edgebnn.estimate.model import Estimate

_UNITS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}


def clock_hz(text: str) -> float:
    """Hertz of ``120000000``, ``120M`` or ``120MHz``. Raises UsageError."""
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+(?:e[0-9]+)?)\s*([kmg]?)(?:hz)?\s*", text, re.IGNORECASE)
    value = float(match[1]) * _UNITS[match[2].lower()] if match else 0.0
    if value <= 0:
        raise UsageError(f"--clock {text}: not a frequency", "write for example --clock 120MHz")
    return value


@click.command(epilog="Example: edgebnn estimate build/kws --target cortex-m4")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--target", metavar="CPU", help="cortex-m0plus, m3, m4, m7 or m33 [the one it was converted for]."
)
@click.option(
    "--clock", metavar="HZ", help="Also print estimated milliseconds at this clock, for example 120MHz."
)
@click.option("--opt", "optimization", default="2", metavar="LEVEL", help="gcc level of the code [2].")
@json_option
def estimate(folder: Path, target: str | None, clock: str | None, optimization: str, as_json: bool) -> None:
    """Count one inference of the converted model in FOLDER, layer by layer.

    Instructions are exact. Cycles are an estimate from the processor's documented instruction timings,
    without wait states: a model, not a measurement. Processors without such timings get instructions only.
    """
    from edgebnn.estimate.model import estimate as run_estimate

    hertz = clock_hz(clock) if clock else None
    result = run_estimate(folder, target, optimization)
    if hertz and result.cycles is None:
        raise UsageError(f"--clock: {result.cpu} has no published cycle table", "use --target cortex-m4")
    if as_json:
        emit_json(result.as_dict(hertz))
    else:
        _print(result, hertz)


def _print(result: Estimate, hertz: float | None) -> None:
    from rich.table import Table

    from edgebnn.estimate import cost

    out = console()
    table = Table(title=f"{result.model} on {result.cpu}, gcc {result.optimization}", box=None)
    wide = out.width >= 110
    table.add_column("layer", overflow="fold")
    table.add_column("kernel", overflow="fold")
    numbers = ["MACs", "instructions"]
    if result.cycles:
        numbers += ["est. cycles", *(("low", "high") if wide else ()), "per MAC"]
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    rows = [
        (layer.name, layer.kernel.removeprefix("ebnn_"), layer.macs, layer.instructions, layer.cycles)
        for layer in result.layers
    ]
    rows.append(("total", "", sum(layer.macs for layer in result.layers), result.instructions, result.cycles))
    for i, (name, kernel, macs, instructions, cycles) in enumerate(rows):
        cells = [name, kernel, f"{macs:,}", f"{instructions:,}"]
        if cycles:
            rate = f"{cycles.nominal / macs:.3f}" if macs else "-"
            limits = [f"{cycles.low:,}", f"{cycles.high:,}"] if wide else []
            cells += [f"{cycles.nominal:,}", *limits, rate]
        table.add_row(*cells, style="bold" if i == len(result.layers) else None)
    out.print(table)
    if result.cycles:
        bounds = f"{result.cycles.low:,} to {result.cycles.high:,}"
        out.print(f"Cycles: {bounds}, {cost.LABEL}. Source: {result.source}.")
    else:
        out.print(f"Instructions only: {result.cpu} has no published cycle table.")
    if hertz and result.cycles:
        low, nominal, high = (
            1e3 * v / hertz for v in (result.cycles.low, result.cycles.nominal, result.cycles.high)
        )
        out.print(f"At {hertz / 1e6:g} MHz: {nominal:.2f} ms ({low:.2f} to {high:.2f}), {cost.LABEL}.")
    out.print(
        f"Code: {result.code:,} bytes of runtime, kernels and library; model {result.model_flash:,} bytes."
    )
    largest = ", ".join(f"{name} {size:,}" for name, size in list(result.kernel_code.items())[:8])
    out.print(f"Largest functions: {largest}.")
    out.print(f"Stack: {result.stack:,} bytes measured; {result.stack_bound:,} by frame sizes.")
