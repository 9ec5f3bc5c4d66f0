"""``edgebnn advise``: which precision for a task, a target and budgets."""

from __future__ import annotations

from pathlib import Path

import click

from edgebnn.cli.common import console, emit_json, json_option
from edgebnn.errors import UsageError


@click.command(epilog="Example: edgebnn advise --task kws --flash 20000 --accuracy-loss 3 --target cortex-m4")
@click.option("--task", type=click.Choice(["kws", "digits"]), help="Take the task's default network.")
@click.option("--model", type=click.Path(path_type=Path), help="Take the network of this checkpoint instead.")
@click.option("--target", default="cortex-m4", show_default=True, metavar="NAME")
@click.option("--flash", type=click.IntRange(1), metavar="BYTES", help="Budget of weights and constants.")
@click.option("--ram", type=click.IntRange(1), metavar="BYTES", help="Budget of the arena.")
@click.option("--cycles", type=click.IntRange(1), metavar="N", help="Budget of one inference.")
@click.option(
    "--accuracy-loss",
    type=click.FloatRange(0),
    default=5.0,
    show_default=True,
    metavar="POINTS",
    help="What may be lost against float.",
)
@json_option
def advise(
    task: str | None,
    model: Path | None,
    target: str,
    flash: int | None,
    ram: int | None,
    cycles: int | None,
    accuracy_loss: float,
    as_json: bool,
) -> None:
    """Recommend a precision from size, accuracy and target, with the cost of every choice.

    Bytes and cycles are those of the planned network; the losses are rules of thumb, which training replaces.
    """
    from edgebnn import models, targets
    from edgebnn.search.advice import TASKS
    from edgebnn.search.advice import advise as run_advise
    from edgebnn.search.cost import Budget

    if (task is None) == (model is None):
        raise UsageError("give either --task or --model")
    targets.load(target)
    arch = TASKS[task] if task else models.load(model).network.arch if model else {}
    if "channels" not in models.build(arch).arch or arch["name"] not in ("cnn", "kws1d"):
        raise UsageError(f"{model}: advice is for cnn and kws1d networks, not {arch['name']}")
    arch = {**models.build(arch).arch, "layers": {}}
    advice = run_advise(arch, target, Budget(flash, ram, cycles), accuracy_loss)
    if as_json:
        emit_json(
            {
                "target": target,
                "recommendation": advice.choice.to_dict(),
                "reason": advice.reason,
                "options": [option.to_dict() for option in advice.options],
            }
        )
        return
    from rich.table import Table

    table = Table("precision", "channels", "expected loss", "flash", "RAM", "cycles", "over", box=None)
    for column in table.columns[1:6]:
        column.justify = "right"
    for o in advice.options:
        numbers = (f"{v:,}" for v in (o.cost.flash, o.cost.ram, o.cost.cycles))
        mark = "bold" if o is advice.choice else None
        loss = f"{o.precision.loss:g} points"
        table.add_row(
            o.precision.label, str(o.channels), loss, *numbers, ", ".join(o.misses) or "-", style=mark
        )
    out = console()
    out.print(table)
    source = "estimates" if advice.choice.cost.source == "estimate" else "the planner's figures"
    out.print(f"On {target}; cycles are {source}, losses rules of thumb against float.")
    out.print(
        f"Recommended: {advice.choice.precision.label}, {advice.choice.channels} channels: {advice.reason}."
    )
    p = advice.choice.precision
    out.print(f"Train it with: --weight {p.weight} --act {p.act} --width {advice.choice.channels}")
