"""``edgebnn boards``: the boards firmware can be built for."""

from __future__ import annotations

from dataclasses import asdict

import click

from edgebnn.cli.common import console, emit_json, json_option


@click.command(epilog="Example: edgebnn boards --json")
@json_option
def boards(as_json: bool) -> None:
    """List the boards firmware can be built for, and how far each has been tried."""
    from edgebnn.device import boards as registry

    found = [registry.load(name) for name in registry.names()]
    if as_json:
        emit_json({"boards": [asdict(board) for board in found]})
        return
    from rich.table import Table

    table = Table("board", "target", "flash", "RAM", "emulator", "status", box=None)
    for board in found:
        sizes = (f"{board.flash_size // 1024} KB", f"{board.ram_size // 1024} KB")
        emulator = "QEMU" if board.emulator else "-"
        table.add_row(board.name, board.target, *sizes, emulator, board.status)
    console().print(table)
