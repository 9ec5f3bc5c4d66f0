"""The tasks that ``edgebnn search`` and ``advise`` know: data and a short training for a candidate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgebnn import models
from edgebnn.errors import UsageError
from edgebnn.train import reproducible
from edgebnn.train.digits import load_digits
from edgebnn.train.kws import LabelledFeatures, load_kws
from edgebnn.train.loop import TrainConfig, Trainer


def load_task(task: str, data: Path | None = None) -> LabelledFeatures:
    """Data of ``digits`` or ``kws`` (whose folder is ``data``). Raises UsageError."""
    if task == "digits":
        return load_digits()
    if data is None:
        raise UsageError("searching for a keyword spotter needs its data", "give --data DIR")
    return load_kws(data)


def train_candidate(
    task: str, features: LabelledFeatures, epochs: int, seed: int
) -> Callable[[dict[str, Any], Callable[[int, float], None]], float]:
    """A function that trains an architecture for ``epochs``, calls report(epoch, accuracy) after each and returns
    the last validation accuracy, 0..1.
    """

    def train(arch: dict[str, Any], report: Callable[[int, float], None]) -> float:
        reproducible.seed(seed)
        network = models.build(arch)
        if task == "digits":
            config = TrainConfig.plain(epochs=epochs, batch_size=64, seed=seed)
        else:
            config = TrainConfig(epochs=epochs, seed=seed, distill=0.0)
        trainer = Trainer(network, features, config)
        metrics = trainer.run(on_epoch=lambda m: report(int(m["epoch"]), float(m["val_accuracy"])))
        return float(metrics["val_accuracy"])

    return train
