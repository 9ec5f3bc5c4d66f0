"""``edgebnn data``: fetches public data sets."""

from __future__ import annotations

from pathlib import Path

import click

from edgebnn.cli.common import emit_json, json_option, say, stderr_console


@click.group()
def data() -> None:
    """Fetch and prepare data sets."""


@data.command("speech-commands", epilog="Example: edgebnn data speech-commands ~/data/speech")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--url", help="Fetch the archive from here instead (a mirror); the checksum stays the same.")
@click.option("--keep", is_flag=True, help="Keep the archive file.")
@json_option
def speech_commands(folder: Path, url: str | None, keep: bool, as_json: bool) -> None:
    """Download Google Speech Commands v0.02 (2.3 GB, CC BY 4.0) into DIR.

    A download that was cut off goes on where it stopped. Then train with: edgebnn train kws --data DIR
    --out kws.pt
    """
    import dataclasses

    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from edgebnn.data import SPEECH_COMMANDS, fetch

    archive = dataclasses.replace(SPEECH_COMMANDS, url=url) if url else SPEECH_COMMANDS
    console = stderr_console()
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("connecting", total=None)
        fetch(
            archive,
            folder,
            lambda what, done, total: bar.update(task, description=what, completed=done, total=total),
            keep=keep,
        )
    if as_json:
        emit_json({"folder": str(folder), "name": archive.name, "url": archive.url, "sha256": archive.sha256})
    else:
        click.echo(str(folder))
    say(f"{archive.name} is in {folder}")
