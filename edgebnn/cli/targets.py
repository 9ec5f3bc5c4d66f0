"""``edgebnn targets``: the processors a model can be converted for."""

from __future__ import annotations

from dataclasses import asdict

import click

from edgebnn import targets as registry
from edgebnn.cli.common import console, emit_json, json_option


@click.command(epilog="Example: edgebnn targets --json")
@json_option
def targets(as_json: bool) -> None:
    """List the processors a model can be converted for."""
    found = [registry.load(name) for name in registry.names()]
    if as_json:
        emit_json({"targets": [asdict(target) for target in found]})
        return
    from rich.table import Table

    table = Table("target", "processor", "kernels, best first", "default board", box=None)
    for target in found:
        table.add_row(target.name, target.title, ", ".join(target.isa), target.board or "-")
    console().print(table)
