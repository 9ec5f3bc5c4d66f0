"""``edgebnn search``: bit widths and architecture under budgets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgebnn.cli.common import console, emit_json, json_option, say
from edgebnn.errors import UsageError

if TYPE_CHECKING:
    from edgebnn.search.study import Result, Settings


@click.command(
    epilog="Example: edgebnn search digits --flash 8000 --cycles 300000 --trials 20 --out build/search"
)
@click.argument("task", type=click.Choice(["digits", "kws"]))
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the speech data (kws).")
@click.option("--flash", type=click.IntRange(1), metavar="BYTES", help="Budget of weights and constants.")
@click.option("--ram", type=click.IntRange(1), metavar="BYTES", help="Budget of the arena.")
@click.option("--cycles", type=click.IntRange(1), metavar="N", help="Budget of one inference.")
@click.option("--target", default="cortex-m4", show_default=True, metavar="NAME")
@click.option("--trials", type=click.IntRange(1), default=20, show_default=True, help="Candidates to train.")
@click.option("--epochs", type=click.IntRange(1), default=8, show_default=True, help="Of each candidate.")
@click.option(
    "--space",
    "limits",
    multiple=True,
    metavar="KEY=V,V",
    help="Values of channels, blocks, kernels, strides, weights (1 t 2 4 8), acts (1 2 3 4 8) or shortcuts"
    " (yes no); may be repeated.",
)
@click.option(
    "--penalty",
    type=click.FloatRange(0, 1),
    default=0.01,
    show_default=True,
    help="Taken off the accuracy of a candidate that uses a budget fully.",
)
@click.option(
    "--pruner", type=click.Choice(["median", "halving", "none"]), default="median", show_default=True
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--threads", type=click.IntRange(1), help="CPU threads; default: PyTorch's.")
@click.option("--study", "name", default="edgebnn", show_default=True, help="Name within the storage.")
@click.option(
    "--storage", metavar="URL", help="Shared by all workers; default: the SQLite file OUT/study.db."
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the results.")
@json_option
def search(
    task: str,
    data: Path | None,
    flash: int | None,
    ram: int | None,
    cycles: int | None,
    target: str,
    trials: int,
    epochs: int,
    limits: tuple[str, ...],
    penalty: float,
    pruner: str,
    seed: int,
    threads: int | None,
    name: str,
    storage: str | None,
    out: Path,
    as_json: bool,
) -> None:
    """Search for the most accurate network of TASK within budgets.

    A candidate is planned for the target first, and trained only if it meets every budget. Start the command
    several times to work with several processes (or, with a database as storage, machines) on one study, and
    again after a stop to go on. OUT gets results.json, results.md, pareto.svg and best.json, which
    edgebnn train takes as --arch.
    """
    from edgebnn import targets
    from edgebnn.search.cost import Budget
    from edgebnn.search.report import write
    from edgebnn.search.space import SPACES
    from edgebnn.search.study import Settings, open_study, results
    from edgebnn.search.study import search as run_search
    from edgebnn.search.tasks import load_task, train_candidate
    from edgebnn.train import reproducible

    targets.load(target)
    space = SPACES[task]
    for text in limits:
        space = space.limited(text)
    settings = Settings(task, space, target, Budget(flash, ram, cycles), epochs, penalty, seed)
    features = load_task(task, data)
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file, not a folder")
    out.mkdir(parents=True, exist_ok=True)
    reproducible.seed(seed, threads)
    study = open_study(name, storage or f"sqlite:///{out.absolute()}/study.db", settings, pruner)
    run_search(study, settings, train_candidate(task, features, epochs, seed), trials, _say)
    found = results(study)
    document = write(found, settings, out)
    if as_json:
        emit_json(document)
    else:
        _show(found, settings)
    say(f"wrote {out}")


def _say(result: Result) -> None:
    from edgebnn.search.space import describe

    cost = f"{result.cost.flash:,} bytes, {result.cost.cycles:,} cycles"
    outcome = {
        "trained": f"{100 * (result.accuracy or 0):.2f} %",
        "pruned": "stopped early",
        "refused": "refused: " + ", ".join(result.misses),
    }[result.state]
    say(f"{result.number}: {describe(result.arch)}; {cost}: {outcome}")


def _show(found: list[Result], settings: Settings) -> None:
    from rich.table import Table

    from edgebnn.search.report import rows
    from edgebnn.search.study import pareto

    header, lines = rows(pareto(found))
    table = Table(*header, box=None, title=f"Not beaten in accuracy, flash and cycles ({settings.target})")
    for column in table.columns[1:]:
        column.justify = "right"
    for line in lines:
        table.add_row(*line)
    console().print(table)
