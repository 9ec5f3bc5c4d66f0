"""Options that the training commands share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from edgebnn.cli.common import json_option
from edgebnn.cli.config import apply_policy, policy_options, read_arch
from edgebnn.errors import UsageError

if TYPE_CHECKING:
    from edgebnn.models import Network

F = TypeVar("F", bound=Callable[..., Any])

POSITIVE = click.FloatRange(0, min_open=True)


@dataclass(frozen=True)
class Common:
    """Their values. Raises UsageError where ``out`` is a folder."""

    out: Path
    arch_file: Path | None
    recipe: str
    epochs: int
    noise: float
    adversarial: float
    gradient_scaling: float
    batch_size: int
    lr: float
    schedule: str
    warmup: int
    seed: int
    threads: int | None
    device: str
    log: Path | None
    resume: bool
    layer: tuple[str, ...]
    as_json: bool

    def __post_init__(self) -> None:
        if self.out.is_dir():
            raise UsageError(
                f"{self.out}: is a folder", "give the name of the checkpoint to write, such as kws.pt"
            )

    def arch(self, default: dict[str, Any]) -> dict[str, Any]:
        """The complete architecture: that of ``--arch``, else ``default``, with the policy of file and flags."""
        from edgebnn.models import build

        arch = apply_policy(read_arch(self.arch_file) if self.arch_file else default, self.layer)
        return build(arch).arch  # refuses bad names before any work is done

    def builder(self) -> Callable[[dict[str, Any]], Network]:
        """What builds a network on ``--device``. Raises UsageError where that cannot be used."""
        from edgebnn.models import build
        from edgebnn.train import devices

        device = devices.choose(self.device)
        return lambda arch: build(arch).to(device)

    def hyperparameters(self) -> dict[str, Any]:
        """Arguments of ``TrainConfig``."""
        names = ["epochs", "batch_size", "lr", "seed", "noise", "adversarial", "gradient_scaling"]
        names += ["schedule", "warmup"]
        return {name: getattr(self, name) for name in names}


def common_options(epochs: int, batch_size: int) -> Callable[[F], F]:
    """Adds the options of ``Common``, with these defaults."""
    path = click.Path(path_type=Path)
    options = [
        click.option("--out", required=True, type=path, help="Checkpoint to write."),
        click.option(
            "--arch",
            "arch_file",
            type=path,
            metavar="FILE",
            help="Architecture in JSON, such as best.json of edgebnn search, instead of width, weight and act.",
        ),
        click.option(
            "--recipe",
            default="plain",
            show_default=True,
            metavar="NAME",
            help="plain; two-stage (activations, then weights); progressive (FP32, INT8, INT4, ternary, then"
            " --weight); distillation (from the teachers, or the float network, trained first);"
            " gradient-scaling; stochastic; robust (noisy and adversarial inputs).",
        ),
        click.option("--epochs", type=click.IntRange(1), default=epochs, show_default=True),
        click.option(
            "--noise",
            type=click.FloatRange(0),
            default=0.0,
            show_default=True,
            help="Of the inputs, in int8 steps.",
        ),
        click.option(
            "--adversarial",
            type=click.FloatRange(0),
            default=0.0,
            show_default=True,
            help="Largest change, in int8 steps, of inputs moved to where the loss is higher.",
        ),
        click.option(
            "--gradient-scaling",
            type=click.FloatRange(0),
            default=0.0,
            show_default=True,
            help="Factor of element-wise gradient scaling (EWGS) in the quantisers.",
        ),
        click.option("--batch-size", type=click.IntRange(2), default=batch_size, show_default=True),
        click.option("--lr", type=POSITIVE, default=5e-3, show_default=True, help="Peak."),
        click.option(
            "--schedule",
            default="one-cycle",
            show_default=True,
            metavar="NAME",
            help="Of the learning rate: one-cycle; cosine or linear to 0 after the warm-up.",
        ),
        click.option(
            "--warmup",
            type=click.IntRange(0),
            default=5,
            show_default=True,
            help="Epochs of cosine and linear.",
        ),
        click.option("--seed", type=int, default=0, show_default=True),
        click.option("--threads", type=click.IntRange(1), help="CPU threads; default: PyTorch's."),
        click.option(
            "--device",
            default="cpu",
            show_default=True,
            metavar="NAME",
            help="Where to train: cpu; cuda or cuda:N; auto: a GPU if there is one.",
        ),
        click.option(
            "--log",
            "--log-file",
            "log",
            type=path,
            help="Append one JSON line an epoch: metrics and layers. Under torchrun write --log-file.",
        ),
        click.option("--resume", is_flag=True, help="Go on from the last epoch of a run that was stopped."),
        policy_options,
        json_option,
    ]

    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add
