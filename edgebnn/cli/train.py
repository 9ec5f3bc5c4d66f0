"""``edgebnn train``: trains networks, with checkpoints to resume from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgebnn.cli.common import emit_json, json_option, say, stderr_console
from edgebnn.cli.config import ENVIRONMENT, apply_policy, policy_options, read_arch
from edgebnn.errors import UsageError

if TYPE_CHECKING:
    from edgebnn.models import Network
    from edgebnn.train.kws import LabelledFeatures

TEACHER: dict[str, Any] = {"epochs": 14, "mixup": 0.0, "weight_decay": 5e-4}
BITS = {"1": "sign", "2": "lsq:2", "3": "lsq:3", "4": "lsq:4", "8": "lsq:8"}

ARCH = click.option(
    "--arch",
    "arch_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Architecture in JSON, such as best.json of edgebnn search, instead of width, weight and act.",
)


@click.group()
def train() -> None:
    """Train a network."""


@train.command(
    context_settings=ENVIRONMENT,
    epilog="Example: edgebnn train kws --data DIR --out kws.pt --epochs 60 --bits 2",
)
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Folder of the speech data.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Checkpoint to write.")
@click.option(
    "--model",
    type=click.Choice(["kws1d", "dscnn", "dscnn-int8"]),
    default="kws1d",
    show_default=True,
    help="kws1d: binary weights; dscnn: FP32 baseline; dscnn-int8: INT8 baseline.",
)
@ARCH
@click.option("--width", type=click.IntRange(4, 1024), default=64, show_default=True, help="Channels.")
@click.option(
    "--blocks", type=click.IntRange(1, 64), default=4, show_default=True, help="Blocks of either model."
)
@click.option(
    "--kernel",
    type=click.IntRange(1, 49),
    default=5,
    show_default=True,
    help="Frames that a block of kws1d sees.",
)
@click.option(
    "--stem-kernel",
    type=click.IntRange(1, 49),
    default=5,
    show_default=True,
    help="Frames that its stem sees.",
)
@click.option(
    "--bits", type=click.Choice(list(BITS)), default="2", show_default=True, help="Activation bits of kws1d."
)
@click.option("--act", help="Activation quantiser of kws1d's blocks instead, such as pact:4 or approx.")
@click.option(
    "--weight",
    default="binary",
    show_default=True,
    help="Weight quantiser of kws1d's blocks, such as binary or twn.",
)
@click.option(
    "--recipe",
    default="plain",
    show_default=True,
    metavar="NAME",
    help="plain, two-stage (activations, then weights) or progressive (FP32, INT8, INT4, ternary, then --weight).",
)
@click.option("--epochs", type=click.IntRange(1), default=45, show_default=True)
@click.option(
    "--mixup", type=click.FloatRange(0, 0.5), default=0.3, show_default=True, help="Largest share mixed in."
)
@click.option("--weight-decay", type=click.FloatRange(0), default=3e-4, show_default=True)
@click.option(
    "--adversarial",
    type=click.FloatRange(0),
    default=0.0,
    show_default=True,
    help="Largest change, in int8 steps, of inputs moved to where the loss is higher.",
)
@click.option(
    "--feature-loss",
    type=click.FloatRange(0),
    default=0.0,
    show_default=True,
    help="Weight of the difference between the teachers' and the network's features.",
)
@click.option(
    "--noise", type=click.FloatRange(0), default=0.0, show_default=True, help="Of the inputs, in int8 steps."
)
@click.option(
    "--distill",
    type=click.FloatRange(0, 1),
    default=0.7,
    show_default=True,
    help="Weight of the teachers' loss; 1 learns from them alone.",
)
@click.option("--temperature", type=click.FloatRange(0, min_open=True), default=2.0, show_default=True)
@click.option("--batch-size", type=click.IntRange(2), default=128, show_default=True)
@click.option("--lr", type=click.FloatRange(0, min_open=True), default=5e-3, show_default=True, help="Peak.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--teacher",
    "teachers",
    multiple=True,
    default=["auto"],
    show_default=True,
    metavar="FILE|auto|none",
    help="Network to learn from, may be repeated: a checkpoint; auto: an FP32 DS-CNN, trained first and kept"
    " beside OUT; none.",
)
@click.option(
    "--teacher-cache",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Keep the teachers' answers in DIR, for runs of the same teachers, seed and augmentation.",
)
@click.option("--threads", type=click.IntRange(1), help="CPU threads; default: PyTorch's.")
@click.option(
    "--log",
    "--log-file",
    "log",
    type=click.Path(path_type=Path),
    help="Append one JSON line an epoch: metrics and layers. Under torchrun write --log-file.",
)
@click.option("--resume", is_flag=True, help="Go on from the last epoch of a run that was stopped.")
@policy_options
@json_option
def kws(
    data: Path,
    out: Path,
    model: str,
    arch_file: Path | None,
    width: int,
    blocks: int,
    kernel: int,
    stem_kernel: int,
    bits: str,
    act: str | None,
    weight: str,
    recipe: str,
    epochs: int,
    mixup: float,
    weight_decay: float,
    adversarial: float,
    feature_loss: float,
    noise: float,
    distill: float,
    temperature: float,
    batch_size: int,
    lr: float,
    seed: int,
    teachers: tuple[str, ...],
    teacher_cache: Path | None,
    threads: int | None,
    log: Path | None,
    resume: bool,
    layer: tuple[str, ...],
    as_json: bool,
) -> None:
    """Train a keyword spotter of twelve classes on Speech Commands.

    DIR holds kws12_train.npz and kws12_val.npz, or the data set's own folders (edgebnn data
    speech-commands). Each epoch is stored beside OUT, in OUT with the suffix .run.pt; OUT itself appears
    at the end: the last epoch's weights, in the form that conversion needs.
    """
    from edgebnn.frontend import MfccConfig
    from edgebnn.models import build, load
    from edgebnn.train import distributed, reproducible
    from edgebnn.train.kws import load_kws
    from edgebnn.train.loop import TrainConfig
    from edgebnn.train.recipes import fit_recipe, stages

    _check_out(out)
    size = {"channels": width, "blocks": blocks}
    shape = {**size, "kernel": kernel, "stem_kernel": stem_kernel}
    arch: dict[str, Any] = {
        "kws1d": {"name": "kws1d", **shape, "weight": weight, "act": act or BITS[bits]},
        "dscnn": {"name": "dscnn", **size, "weight": "float", "act": "float"},
        "dscnn-int8": {"name": "dscnn", **size, "weight": "int8", "act": "int8:unsigned"},
    }[model]
    arch = apply_policy(read_arch(arch_file) if arch_file else arch, layer)
    reproducible.seed(seed, threads)
    arch = build(arch).arch  # complete; refuses bad names before any work is done
    stages(recipe, arch["weight"], arch["act"])
    learn_from = [load(Path(name)).network for name in teachers if name not in ("auto", "none")]
    with distributed.session(), _Progress() as progress:
        with distributed.first():
            features = load_kws(data, progress.prepare)
        if "auto" in teachers and model != "dscnn":
            learn_from.append(_make_teacher(out, features, batch_size, lr, seed, progress))
        config = TrainConfig(
            epochs=epochs,
            batch_size=batch_size,
            lr=lr,
            seed=seed,
            distill=distill if learn_from else 0.0,
            temperature=temperature,
            mixup=mixup,
            noise=noise,
            adversarial=adversarial,
            features=feature_loss if learn_from else 0.0,
            weight_decay=weight_decay,
        )
        network, metrics = fit_recipe(
            recipe,
            build,
            arch,
            features,
            config,
            out,
            learn_from,
            MfccConfig().to_dict(),
            resume,
            progress,
            log,
            teacher_cache,
        )
        if distributed.writes():
            _report(network, out, metrics, as_json)


@train.command(
    context_settings=ENVIRONMENT,
    epilog="Example: edgebnn train digits --out digits.pt --weight twn --act lsq:2",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Checkpoint to write.")
@ARCH
@click.option("--width", type=click.IntRange(1, 1024), default=32, show_default=True, help="Channels.")
@click.option("--weight", default="binary", show_default=True, help="Weight quantiser of the blocks.")
@click.option("--act", default="lsq:2", show_default=True, help="Activation quantiser of the blocks.")
@click.option(
    "--recipe",
    default="plain",
    show_default=True,
    metavar="NAME",
    help="plain, two-stage (activations, then weights) or progressive (FP32, INT8, INT4, ternary, then --weight).",
)
@click.option("--epochs", type=click.IntRange(1), default=12, show_default=True)
@click.option(
    "--adversarial",
    type=click.FloatRange(0),
    default=0.0,
    show_default=True,
    help="Largest change, in int8 steps, of inputs moved to where the loss is higher.",
)
@click.option("--batch-size", type=click.IntRange(2), default=64, show_default=True)
@click.option("--lr", type=click.FloatRange(0, min_open=True), default=5e-3, show_default=True, help="Peak.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--threads", type=click.IntRange(1), help="CPU threads; default: PyTorch's.")
@click.option(
    "--log",
    "--log-file",
    "log",
    type=click.Path(path_type=Path),
    help="Append one JSON line an epoch: metrics and layers. Under torchrun write --log-file.",
)
@click.option("--resume", is_flag=True, help="Go on from the last epoch of a run that was stopped.")
@policy_options
@json_option
def digits(
    out: Path,
    arch_file: Path | None,
    width: int,
    weight: str,
    act: str,
    recipe: str,
    epochs: int,
    adversarial: float,
    batch_size: int,
    lr: float,
    seed: int,
    threads: int | None,
    log: Path | None,
    resume: bool,
    layer: tuple[str, ...],
    as_json: bool,
) -> None:
    """Train a small network on handwritten digits (scikit-learn's 8 x 8 images): seconds, no download."""
    from edgebnn.models import build
    from edgebnn.train import distributed, reproducible
    from edgebnn.train.digits import load_digits
    from edgebnn.train.loop import TrainConfig
    from edgebnn.train.recipes import fit_recipe

    _check_out(out)
    reproducible.seed(seed, threads)
    arch = {"name": "cnn", "channels": width, "weight": weight, "act": act}
    arch = apply_policy(read_arch(arch_file) if arch_file else arch, layer)
    arch = build(arch).arch  # complete; refuses bad names before any work is done
    features = load_digits()
    config = TrainConfig.plain(
        epochs=epochs, batch_size=batch_size, lr=lr, seed=seed, adversarial=adversarial
    )
    with distributed.session(), _Progress() as progress:
        network, metrics = fit_recipe(
            recipe, build, arch, features, config, out, resume=resume, observer=progress, log=log
        )
        if distributed.writes():
            _report(network, out, metrics, as_json)


@train.command(epilog="Example: edgebnn train curves run.jsonl --out curves.svg")
@click.argument("log", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="SVG file to write.")
@json_option
def curves(log: Path, out: Path, as_json: bool) -> None:
    """Draw loss and validation accuracy by epoch from LOG, which --log of a training wrote."""
    from edgebnn.report import plots

    epochs: list[dict[str, float]] = []
    try:
        for line in log.read_text(encoding="utf-8").splitlines():
            epochs.append({key: float(json.loads(line)[key]) for key in ("epoch", "loss", "val_accuracy")})
    except OSError as error:
        raise UsageError(f"{log}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError):
        raise UsageError(f"{log}: line {len(epochs) + 1} is no epoch of a training log") from None
    plots.curves(epochs, out)
    if as_json:
        emit_json({"out": str(out), "epochs": len(epochs)})
    else:
        say(f"wrote {out}")


def _check_out(out: Path) -> None:
    if out.is_dir():
        raise UsageError(f"{out}: is a folder", "give the name of the checkpoint to write, such as kws.pt")


def _report(network: Network, out: Path, metrics: dict[str, Any], as_json: bool) -> None:
    if as_json:
        emit_json({"checkpoint": str(out), "arch": network.arch, **metrics})
    else:
        click.echo(f"validation accuracy {100 * metrics['val_accuracy']:.2f} %")
    say(f"wrote {out}")


def _make_teacher(
    out: Path, features: LabelledFeatures, batch_size: int, lr: float, seed: int, progress: _Progress
) -> Network:
    """The FP32 DS-CNN beside ``out``, trained first if there is none."""
    from edgebnn.frontend import MfccConfig
    from edgebnn.models import build, load
    from edgebnn.train import distributed, reproducible
    from edgebnn.train.loop import TrainConfig
    from edgebnn.train.session import fit, run_file

    path = out.with_name(f"{out.stem}.teacher.pt")
    if not path.is_file():
        reproducible.seed(seed)
        network = build({"name": "dscnn"})
        config = TrainConfig(**{**TEACHER, "batch_size": batch_size, "lr": lr, "seed": seed, "distill": 0.0})
        if distributed.writes():
            say("training the teacher, an FP32 DS-CNN")
        run = run_file(path)
        fit(
            network,
            features,
            config,
            path,
            frontend=MfccConfig().to_dict(),
            resume=run.is_file(),
            observer=progress,
        )
    return load(path).network


class _Progress:
    """Progress bars on standard error; one plain line an epoch where that is no terminal."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        from edgebnn.train import distributed

        self.console = stderr_console()
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal or not distributed.writes(),
        )
        self.task = self.bar.add_task("loading", total=None)

    def __enter__(self) -> _Progress:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def prepare(self, what: str, done: int, total: int) -> None:
        self.bar.update(self.task, description=what, completed=done, total=total)

    def start(self, epoch: int, epochs: int) -> None:
        self.bar.update(self.task, description="training", completed=epoch, total=epochs)
        if epoch:
            say(f"resuming after epoch {epoch} of {epochs}")

    def step(self, epoch: int, step: int, steps: int) -> None:
        self.bar.update(self.task, completed=epoch + step / steps)

    def epoch(self, metrics: dict[str, float], epochs: int) -> None:
        self.console.print(
            f"epoch {metrics['epoch']}/{epochs}  loss {metrics['loss']:.4f}"
            f"  validation {100 * metrics['val_accuracy']:.2f} %  {metrics['seconds']:.1f} s"
        )

    def warn(self, message: str) -> None:
        self.console.print(f"warning: {message}")
