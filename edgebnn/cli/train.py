"""``edgebnn train``: trains networks, with checkpoints to resume from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgebnn.cli.common import emit_json, json_option, say
from edgebnn.cli.config import ENVIRONMENT
from edgebnn.cli.train_options import POSITIVE, Common, common_options
from edgebnn.errors import UsageError

if TYPE_CHECKING:
    from edgebnn.cli.train_progress import Progress
    from edgebnn.models import Network
    from edgebnn.train.kws import LabelledFeatures

TEACHER: dict[str, Any] = {"epochs": 14, "mixup": 0.0, "weight_decay": 5e-4}
BITS = {"1": "sign", "2": "lsq:2", "3": "lsq:3", "4": "lsq:4", "8": "lsq:8"}


@click.group()
def train() -> None:
    """Train a network."""


@train.command(
    context_settings=ENVIRONMENT,
    epilog="Example: edgebnn train kws --data DIR --out kws.pt --epochs 60 --bits 2",
)
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Folder of the speech data.")
@click.option(
    "--model",
    type=click.Choice(["kws1d", "dscnn", "dscnn-int8"]),
    default="kws1d",
    show_default=True,
    help="kws1d: binary weights; dscnn: FP32 baseline; dscnn-int8: INT8 baseline.",
)
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
    "--mixup", type=click.FloatRange(0, 0.5), default=0.3, show_default=True, help="Largest share mixed in."
)
@click.option("--weight-decay", type=click.FloatRange(0), default=3e-4, show_default=True)
@click.option(
    "--feature-loss",
    type=click.FloatRange(0),
    default=0.0,
    show_default=True,
    help="Weight of the difference between the teachers' and the network's features.",
)
@click.option(
    "--distill",
    type=click.FloatRange(0, 1),
    default=0.7,
    show_default=True,
    help="Weight of the teachers' loss; 1 learns from them alone.",
)
@click.option("--temperature", type=POSITIVE, default=2.0, show_default=True)
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
@common_options(epochs=45, batch_size=128)
def kws(
    data: Path,
    model: str,
    width: int,
    blocks: int,
    kernel: int,
    stem_kernel: int,
    bits: str,
    act: str | None,
    weight: str,
    mixup: float,
    weight_decay: float,
    feature_loss: float,
    distill: float,
    temperature: float,
    teachers: tuple[str, ...],
    teacher_cache: Path | None,
    **common: Any,
) -> None:
    """Train a keyword spotter of twelve classes on Speech Commands.

    DIR holds kws12_train.npz and kws12_val.npz, or the data set's own folders (edgebnn data
    speech-commands). Each epoch is stored beside OUT, in OUT with the suffix .run.pt; OUT itself appears
    at the end: the last epoch's weights, in the form that conversion needs.
    """
    from edgebnn.cli.train_progress import Progress
    from edgebnn.frontend import MfccConfig
    from edgebnn.models import load
    from edgebnn.train import distributed, reproducible
    from edgebnn.train.kws import load_kws
    from edgebnn.train.loop import TrainConfig
    from edgebnn.train.recipes import fit_recipe, stages

    options = Common(**common)
    size = {"channels": width, "blocks": blocks}
    shape = {**size, "kernel": kernel, "stem_kernel": stem_kernel}
    default: dict[str, Any] = {
        "kws1d": {"name": "kws1d", **shape, "weight": weight, "act": act or BITS[bits]},
        "dscnn": {"name": "dscnn", **size, "weight": "float", "act": "float"},
        "dscnn-int8": {"name": "dscnn", **size, "weight": "int8", "act": "int8:unsigned"},
    }[model]
    reproducible.seed(options.seed, options.threads)
    arch = options.arch(default)
    stages(options.recipe, arch["weight"], arch["act"])
    learn_from = [load(Path(name)).network for name in teachers if name not in ("auto", "none")]
    with distributed.session(), Progress() as progress:
        build = options.builder()
        with distributed.first():
            features = load_kws(data, progress.prepare)
        if "auto" in teachers and model != "dscnn":
            learn_from.append(_make_teacher(options, build, features, progress))
        taught = bool(learn_from) or options.recipe == "distillation"
        config = TrainConfig(
            **options.hyperparameters(),
            distill=distill if taught else 0.0,
            temperature=temperature,
            mixup=mixup,
            features=feature_loss if taught else 0.0,
            weight_decay=weight_decay,
        )
        network, metrics = fit_recipe(
            options.recipe,
            build,
            arch,
            features,
            config,
            options.out,
            learn_from,
            MfccConfig().to_dict(),
            options.resume,
            progress,
            options.log,
            teacher_cache,
        )
        if distributed.writes():
            _report(network, metrics, options)


@train.command(
    context_settings=ENVIRONMENT,
    epilog="Example: edgebnn train digits --out digits.pt --weight twn --act lsq:2",
)
@click.option("--width", type=click.IntRange(1, 1024), default=32, show_default=True, help="Channels.")
@click.option("--weight", default="binary", show_default=True, help="Weight quantiser of the blocks.")
@click.option("--act", default="lsq:2", show_default=True, help="Activation quantiser of the blocks.")
@common_options(epochs=12, batch_size=64)
def digits(width: int, weight: str, act: str, **common: Any) -> None:
    """Train a small network on handwritten digits (scikit-learn's 8 x 8 images): seconds, no download."""
    from edgebnn.cli.train_progress import Progress
    from edgebnn.train import distributed, reproducible
    from edgebnn.train.digits import load_digits
    from edgebnn.train.loop import TrainConfig
    from edgebnn.train.recipes import fit_recipe

    options = Common(**common)
    reproducible.seed(options.seed, options.threads)
    arch = options.arch({"name": "cnn", "channels": width, "weight": weight, "act": act})
    features = load_digits()
    config = TrainConfig.plain(**options.hyperparameters())
    with distributed.session(), Progress() as progress:
        network, metrics = fit_recipe(
            options.recipe,
            options.builder(),
            arch,
            features,
            config,
            options.out,
            resume=options.resume,
            observer=progress,
            log=options.log,
        )
        if distributed.writes():
            _report(network, metrics, options)


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


def _report(network: Network, metrics: dict[str, Any], options: Common) -> None:
    out = options.out
    if options.as_json:
        emit_json({"checkpoint": str(out), "arch": network.arch, **metrics})
    else:
        click.echo(f"validation accuracy {100 * metrics['val_accuracy']:.2f} %")
    say(f"wrote {out}")


def _make_teacher(
    options: Common,
    build: Callable[[dict[str, Any]], Network],
    features: LabelledFeatures,
    progress: Progress,
) -> Network:
    """The FP32 DS-CNN beside ``--out``, trained first if there is none."""
    from edgebnn.frontend import MfccConfig
    from edgebnn.models import load
    from edgebnn.train import distributed, reproducible
    from edgebnn.train.loop import TrainConfig
    from edgebnn.train.session import fit, run_file

    path = options.out.with_name(f"{options.out.stem}.teacher.pt")
    if not path.is_file():
        reproducible.seed(options.seed)
        network = build({"name": "dscnn"})
        own = {"batch_size": options.batch_size, "lr": options.lr, "seed": options.seed}
        config = TrainConfig(**{**TEACHER, **own, "distill": 0.0})
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
