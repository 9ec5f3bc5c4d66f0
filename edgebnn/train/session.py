"""One training run with its files: a checkpoint after each epoch to resume from, the finished one at the
end.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from edgebnn.errors import ModelError, UsageError
from edgebnn.train import distributed
from edgebnn.train.checkpoint import Checkpoint, read, save
from edgebnn.train.kws import LabelledFeatures
from edgebnn.train.loop import TrainConfig, Trainer, check_unchanged
from edgebnn.train.network import Network
from edgebnn.train.watchdog import channel_health, warnings


class Observer(Protocol):
    """Is told how training goes; the command line draws its progress bar this way."""

    def start(self, epoch: int, epochs: int) -> None:
        """Before the first step: ``epoch`` of ``epochs`` are done."""

    def step(self, epoch: int, step: int, steps: int) -> None:
        """After ``step`` of ``steps`` of the epoch after ``epoch``."""

    def epoch(self, metrics: dict[str, float], epochs: int) -> None:
        """After an epoch."""

    def warn(self, message: str) -> None:
        """Something about a layer that a person should know."""


def run_file(out: Path) -> Path:
    """Where a run that writes ``out`` keeps what it resumes from: ``kws.run.pt`` for ``kws.pt``."""
    return out.with_suffix(".run.pt")


def fit(
    network: Network,
    features: LabelledFeatures,
    config: TrainConfig,
    out: Path,
    teachers: Sequence[Network] = (),
    frontend: dict[str, Any] | None = None,
    resume: bool = False,
    observer: Observer | None = None,
    log: Path | None = None,
    teacher_cache: Path | None = None,
) -> dict[str, Any]:
    """Trains ``network``, on the device that it is on, and writes ``out``, the inference part of the result; returns
    its metrics and leaves the network on the CPU.

    After each epoch ``run_file(out)`` holds the whole state; it is removed at the end. With ``resume``
    the run goes on from there. Raises UsageError when there is nothing to resume or the run had other
    options. ``log`` gets one JSON line an epoch: metrics, and for each layer its mean gradient norm,
    share of sign flips, and shares of dead and saturated input channels on some validation clips.
    ``teacher_cache`` as of ``Trainer``.
    """
    run = run_file(out)
    trainer = Trainer(network, features, config, teachers, teacher_cache)
    if resume:
        _resume(trainer, run, features.names)
    checkpoint = Checkpoint(network, features.names, frontend)

    distributed.wait()  # all have read what to resume from

    def on_step(step: int, steps: int) -> None:
        if observer and distributed.writes():
            observer.step(trainer.epoch, step, steps)

    def on_epoch(metrics: dict[str, float]) -> None:
        if not distributed.writes():
            return
        checkpoint.metrics, checkpoint.training = dict(metrics), trainer.state()
        save(run, checkpoint)
        layers = trainer.watchdog.report()
        for path, health in channel_health(network, trainer.sample()).items():
            layers[path].update(health)
        if log is not None:
            _append(log, {**metrics, "layers": layers})
        if observer:
            observer.epoch(metrics, config.epochs)
            for line in warnings(layers):
                observer.warn(line)

    if observer and distributed.writes():
        observer.start(trainer.epoch, config.epochs)
    last = trainer.run(on_step, on_epoch)
    network.to("cpu")
    checkpoint.training = None
    checkpoint.metrics = {
        "val_accuracy": last["val_accuracy"],
        "val_clips": len(features.val_label),
        "loss": last["loss"],
        "epochs": config.epochs,
        "seed": config.seed,
        "minutes": round(sum(epoch["cpu_seconds"] for epoch in trainer.history) / 60, 2),
        "history": [round(epoch["val_accuracy"], 4) for epoch in trainer.history],
    }
    if distributed.writes():
        save(out, checkpoint, compact=True)
        run.unlink(missing_ok=True)
    distributed.wait()
    return checkpoint.metrics


def _append(log: Path, document: dict[str, Any]) -> None:
    try:
        with log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(document) + "\n")
    except OSError as error:
        raise UsageError(f"{log}: cannot be written ({error.strerror})") from None


def _resume(trainer: Trainer, run: Path, names: list[str]) -> None:
    if not run.is_file():
        raise UsageError(f"{run}: no such file, nothing to resume", hint="start without --resume")
    stored = read(run)
    check_unchanged(stored["arch"], trainer.network.arch)
    if stored["labels"] != names:
        raise UsageError(
            f"cannot resume: {run} has {len(stored['labels'])} classes ({', '.join(stored['labels'][:4])} ...), the"
            f" data {len(names)} ({', '.join(names[:4])} ...)",
            hint="resume with the same data",
        )
    if not isinstance(stored.get("training"), dict):
        raise ModelError(f"{run}: holds no training state", hint="start again without --resume")
    trainer.load_state(stored["training"])
    try:
        trainer.network.load_state_dict(stored["state_dict"])
    except (RuntimeError, TypeError, AttributeError):
        raise ModelError(f"{run}: damaged weights", hint="start again without --resume") from None
