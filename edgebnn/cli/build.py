"""``edgebnn build``: the firmware of a converted model for a board."""

from __future__ import annotations

from pathlib import Path

import click

from edgebnn.cli.common import console, emit_json, json_option, say


@click.command(epilog="Example: edgebnn build build/kws --board mps2-an386")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--board", required=True, help="Board, see 'edgebnn boards'.")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), help="Folder for the build [FOLDER/build/BOARD]."
)
@click.option(
    "--opt", type=click.Choice(["0", "1", "2", "3", "s"]), default="2", help="Optimisation level [2]."
)
@click.option(
    "--kernel-opt", type=click.Choice(["0", "1", "2", "3", "s"]), help="Level of the kernels [as --opt]."
)
@click.option(
    "--mode", type=click.Choice(["performance", "energy"]), default="performance", help="Measuring mode."
)
@click.option(
    "--mlperf-model", default="", help="Model name to tell the MLPerf Tiny runner, for example kws01."
)
@json_option
def build(
    folder: Path,
    board: str,
    out: Path | None,
    opt: str,
    kernel_opt: str | None,
    mode: str,
    mlperf_model: str,
    as_json: bool,
) -> None:
    """Build the firmware of the converted model in FOLDER for a board, and report its size."""
    from edgebnn.device.build import build as build_firmware

    if not as_json:
        say(f"building for {board}")
    result = build_firmware(
        folder, board, out, opt=opt, kernel_opt=kernel_opt, mode=mode, mlperf_model=mlperf_model
    )
    sizes = result.sizes
    if as_json:
        emit_json(
            {
                "board": result.board,
                "elf": str(result.elf),
                "flash": {
                    "total": sizes.flash,
                    "text": sizes.text,
                    "rodata": sizes.rodata,
                    "data": sizes.data,
                },
                "ram": {"total": sizes.ram, "data": sizes.data, "bss": sizes.bss, "stack": sizes.stack},
                "parts": sizes.groups,
                "symbols": sizes.symbols,
            }
        )
        return
    from rich.table import Table

    table = Table("part of the image", "bytes", box=None)
    table.columns[1].justify = "right"
    for name, size in sizes.groups.items():
        table.add_row(f"flash: {name}", f"{size:,}")
    table.add_row("flash: total", f"{sizes.flash:,}", style="bold")
    table.add_row("RAM: data, arena and buffers", f"{sizes.data + sizes.bss:,}")
    table.add_row("RAM: stack, reserved", f"{sizes.stack:,}")
    table.add_row("RAM: total", f"{sizes.ram:,}", style="bold")
    for name, size in sorted(sizes.symbols.items(), key=lambda item: (-item[1], item[0])):
        table.add_row(f"  {name}", f"{size:,}", style="dim")
    console().print(table)
    console().print(f"{result.elf}", soft_wrap=True)
