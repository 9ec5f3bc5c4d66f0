"""``edgebnn profile``: counts of each layer on a board or emulator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgebnn.cli.common import console, emit_json, json_option, say, stderr_console
from edgebnn.errors import DeviceError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from edgebnn.device.profile import Profile

_BAR = 20
_WIDTH_WITH_BARS = 100


@click.command(epilog="Example: edgebnn profile build/kws --emulate mps2-an386")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--emulate", metavar="BOARD", help="Start this board in QEMU, see 'edgebnn boards'.")
@click.option(
    "--port", metavar="PORT", help="Serial port of a board, or a pyserial URL such as socket://host:port."
)
@click.option("--baud", type=click.IntRange(min=300), help="Baud rate of the port [115200].")
@click.option(
    "-n", "runs", type=click.IntRange(min=1, max=1_000_000), default=1, help="Inferences to measure [1]."
)
@json_option
def profile(
    folder: Path, emulate: str | None, port: str | None, baud: int | None, runs: int, as_json: bool
) -> None:
    """Profile the converted model in FOLDER layer by layer.

    On a board, counts are core cycles; on an emulator they are executed instructions, which are neither
    cycles nor time.
    """
    from edgebnn.device.profile import profile as run_profile

    err = stderr_console()
    so_far: Profile | None = None
    try:
        with _progress(err, runs, live=err.is_terminal and not as_json) as (message, show):

            def keep(part: Profile) -> None:
                nonlocal so_far
                so_far = part
                show(part)

            result = run_profile(
                folder, emulate=emulate, port=port, baud=baud, runs=runs, message=message, progress=keep
            )
    except DeviceError:
        if so_far is not None and runs > 1:
            say("measured before the device was lost:")
            err.print(_table(so_far, runs, err.width))
        raise
    if as_json:
        emit_json(result.as_dict())
    else:
        out = console()
        out.print(_table(result, runs, out.width))


@contextmanager
def _progress(
    err: Console, runs: int, live: bool
) -> Iterator[tuple[Callable[[str], None], Callable[[Profile], None]]]:
    """What shows messages and tables while measuring: a live display, or plain lines and no tables."""
    if not live:
        yield say, lambda part: None
        return
    from rich.live import Live

    with Live(console=err, transient=True, refresh_per_second=8) as display:
        yield display.update, lambda part: display.update(_table(part, runs, err.width))


def _table(result: Profile, runs: int, width: int) -> Table:
    """The per-layer table of a profile, complete or not, for a terminal of ``width`` columns."""
    from rich.table import Table

    macs = sum(layer.macs for layer in result.layers)
    where = f"{result.board} ({result.core}), {'emulated by QEMU' if result.emulated else result.status}"
    time = "" if result.milliseconds is None else f" = {result.milliseconds:.3f} ms"
    spread = "" if result.minimum == result.maximum else f", {result.minimum:,} to {result.maximum:,}"
    table = Table(
        title=f"{result.model} on {where}",
        caption=f"run {result.runs} of {runs}: {result.total:,} {result.unit}{time} per inference{spread}",
        box=None,
    )
    table.add_column("layer", overflow="ellipsis")
    table.add_column("kernel", overflow="ellipsis")
    table.add_column("MACs", justify="right", no_wrap=True)
    table.add_column(result.unit, justify="right", no_wrap=True)
    table.add_column("per MAC", justify="right", no_wrap=True)
    table.add_column("share", justify="right", no_wrap=True)
    bars = width >= _WIDTH_WITH_BARS
    if bars:
        table.add_column("", no_wrap=True)
    for layer in result.layers:
        share = layer.count / result.total if result.total else 0.0
        rate = f"{layer.count / layer.macs:.2f}" if layer.macs else "-"
        numbers = (f"{layer.macs:,}", f"{layer.count:,}", rate, f"{share:.1%}")
        bar = ("█" * round(_BAR * share),) if bars else ()
        table.add_row(layer.name, layer.kernel.removeprefix("ebnn_"), *numbers, *bar)
    rate = f"{result.total / macs:.2f}" if macs else "-"
    table.add_row("total", "", f"{macs:,}", f"{result.total:,}", rate, "", style="bold")
    return table
