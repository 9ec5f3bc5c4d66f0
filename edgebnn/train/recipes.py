"""Training recipes: one network trained in stages of falling precision, the weights carried over.

``plain`` is one stage. ``two-stage`` trains low-bit activations with float weights first, then quantises
the weights too, without weight decay (Bulat et al., "Improved training of binary networks ...", 2019; Liu
et al., 2020). ``progressive`` goes FP32, INT8, INT4, ternary, then to the weights asked for, each stage
at a lower learning rate (Zhuang et al., "Towards Effective Low-bitwidth Convolutional Neural Networks",
2018).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from edgebnn.errors import UsageError, did_you_mean
from edgebnn.train import distributed
from edgebnn.train.checkpoint import Checkpoint, read, save
from edgebnn.train.kws import LabelledFeatures
from edgebnn.train.layers import Conv2d, Linear
from edgebnn.train.loop import TrainConfig
from edgebnn.train.network import Network
from edgebnn.train.session import Observer, fit, run_file


@dataclass(frozen=True)
class Stage:
    """Quantisers of the blocks, share of the epochs, factor of the learning rate, and whether weights
    decay.
    """

    weight: str
    act: str
    share: float
    lr: float = 1.0
    decay: bool = True


def stages(recipe: str, weight: str, act: str) -> list[Stage]:
    """The stages of a recipe that ends with quantisers ``weight`` and ``act``. Raises UsageError."""
    table = {
        "plain": [Stage(weight, act, 1.0)],
        "two-stage": [Stage("float", act, 0.5), Stage(weight, act, 0.5, 0.6, decay=False)],
        "progressive": [
            Stage("float", "float", 0.15),
            Stage("int8", "lsq:8", 0.1, 0.6),
            Stage("int:4", "lsq:4", 0.15, 0.6),
            Stage("twn", act, 0.2, 0.6),
            Stage(weight, act, 0.4, 0.6, decay=False),
        ],
    }
    if recipe not in table:
        raise UsageError(f"unknown recipe {recipe!r}", hint=did_you_mean(recipe, table))
    return table[recipe]


def stage_file(out: Path, index: int) -> Path:
    """Where the result of a stage waits until the last one is done: ``kws.stage0.pt`` for ``kws.pt``."""
    return out.with_suffix(f".stage{index}.pt")


@torch.no_grad()
def carry_over(network: Network, state: dict[str, torch.Tensor]) -> None:
    """Copies what ``state``, of a network of other quantisers, has of ``network``; new quantisers start
    afresh.
    """
    own = network.state_dict()
    quantiser = (".act.", ".weight_quantizer.")
    kept = {
        key: value
        for key, value in state.items()
        if key in own and own[key].shape == value.shape and not any(part in key for part in quantiser)
    }
    network.load_state_dict({**own, **kept})
    for module in network.modules():
        if isinstance(module, (Conv2d, Linear)) and module.weight_quantizer.latent_clip is not None:
            module.weight.clamp_(-module.weight_quantizer.latent_clip, module.weight_quantizer.latent_clip)


def fit_recipe(
    recipe: str,
    build: Callable[[dict[str, Any]], Network],
    arch: dict[str, Any],
    features: LabelledFeatures,
    config: TrainConfig,
    out: Path,
    teachers: Sequence[Network] = (),
    frontend: dict[str, Any] | None = None,
    resume: bool = False,
    observer: Observer | None = None,
    log: Path | None = None,
    teacher_cache: Path | None = None,
) -> tuple[Network, dict[str, Any]]:
    """Trains ``build(arch)`` by a recipe and writes ``out``; returns the network and its metrics.

    ``arch`` has the quantisers of the end; ``config.epochs`` are shared out over the stages. Resumes like
    ``session.fit``, from the stage that was cut off.
    """
    plan = stages(recipe, arch["weight"], arch["act"])
    counts = [max(1, round(stage.share * config.epochs)) for stage in plan]
    last = len(plan) - 1
    for i, (stage, epochs) in enumerate(zip(plan, counts, strict=True)):
        done, target = stage_file(out, i), out if i == last else stage_file(out, i)
        if i < last and resume and done.is_file():
            continue
        torch.manual_seed(config.seed)
        network = build({**arch, "weight": stage.weight, "act": stage.act})
        if i > 0:
            carry_over(network, read(stage_file(out, i - 1))["state_dict"])
        settings = dataclasses.replace(
            config,
            epochs=epochs,
            lr=config.lr * stage.lr,
            weight_decay=config.weight_decay if stage.decay else 0.0,
        )
        # A stage may have been cut off before its first checkpoint: then there is nothing to resume from.
        go_on = resume and (run_file(target).is_file() or last == 0)
        metrics = fit(
            network, features, settings, target, teachers, frontend, go_on, observer, log, teacher_cache
        )
        if i < last and distributed.writes():
            save(target, Checkpoint(network, features.names, frontend, metrics))
        distributed.wait()
    for i in range(last):
        stage_file(out, i).unlink(missing_ok=True)
    return network, {**metrics, "recipe": recipe, "stages": [dataclasses.asdict(stage) for stage in plan]}
