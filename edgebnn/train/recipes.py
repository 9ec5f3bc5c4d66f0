"""Training recipes: how a network gets from fresh weights to the quantisers asked for, in one stage or several.

- ``plain``: one stage.
- ``two-stage``: low-bit activations with float weights first, then the weights too, without weight decay
  (Bulat et al., "Improved training of binary networks ...", 2019; Liu et al., 2020).
- ``progressive``: FP32, INT8, INT4, ternary, then the weights asked for, the weights carried over, each stage at
  a lower learning rate (Zhuang et al., "Towards Effective Low-bitwidth Convolutional Neural Networks", 2018).
- ``distillation``: learns from teachers; where none are given, from itself in float, trained first for
  half as many epochs (Hinton et al., "Distilling the Knowledge in a Neural Network", 2015).
- ``gradient-scaling``: element-wise scaled gradients (``edgebnn.train.gradient_scaling``).
- ``stochastic``: weights and activations are binarised or rounded at random, then deterministically, as on the
  device (Courbariaux et al., "BinaryConnect", 2015).
- ``robust``: noisy and adversarial inputs (Wong, Rice, Kolter, "Fast is better than free", 2020).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from edgebnn.errors import UsageError, did_you_mean
from edgebnn.train import distributed, gradient_scaling
from edgebnn.train.checkpoint import Checkpoint, read, save
from edgebnn.train.kws import LabelledFeatures
from edgebnn.train.layers import Conv2d, Linear
from edgebnn.train.loop import TrainConfig, check_unchanged
from edgebnn.train.network import Network
from edgebnn.train.session import Observer, fit, run_file

#: what ``robust`` adds to the inputs, in steps of their int8 grid, where the configuration says nothing
ROBUST = 2.0

RECIPES = (
    "plain",
    "two-stage",
    "progressive",
    "distillation",
    "gradient-scaling",
    "stochastic",
    "robust",
)


@dataclass(frozen=True)
class Stage:
    """Quantisers of the blocks, share of the epochs, factor of the learning rate, and whether weights
    decay. ``changes``: values of the configuration where it has 0; ``teaches``: the stage's network is the
    teacher of the next one, which starts afresh.
    """

    weight: str
    act: str
    share: float
    lr: float = 1.0
    decay: bool = True
    changes: dict[str, float] = field(default_factory=dict)
    teaches: bool = False


def stages(recipe: str, weight: str, act: str, taught: bool = False) -> list[Stage]:
    """The stages of a recipe that ends with quantisers ``weight`` and ``act``; ``taught``: teachers are given.

    Raises UsageError for an unknown name, and for ``stochastic`` where neither quantiser has a stochastic form.
    """
    if recipe == "plain":
        return [Stage(weight, act, 1.0)]
    if recipe == "two-stage":
        return [Stage("float", act, 0.5), Stage(weight, act, 0.5, 0.6, decay=False)]
    if recipe == "progressive":
        return [
            Stage("float", "float", 0.15),
            Stage("int8", "lsq:8", 0.1, 0.6),
            Stage("int:4", "lsq:4", 0.15, 0.6),
            Stage("twn", act, 0.2, 0.6),
            Stage(weight, act, 0.4, 0.6, decay=False),
        ]
    if recipe == "distillation":
        alpha = {"distill": 0.5}
        if taught:
            return [Stage(weight, act, 1.0, changes=alpha)]
        return [Stage("float", "float", 0.5, teaches=True), Stage(weight, act, 1.0, changes=alpha)]
    if recipe == "gradient-scaling":
        return [Stage(weight, act, 1.0, changes={"gradient_scaling": gradient_scaling.DELTA})]
    if recipe == "stochastic":
        return [Stage(*_stochastic(weight, act), 0.5), Stage(weight, act, 0.5, 0.6)]
    if recipe == "robust":
        return [Stage(weight, act, 1.0, changes={"noise": ROBUST, "adversarial": ROBUST})]
    raise UsageError(f"unknown recipe {recipe!r}", hint=did_you_mean(recipe, RECIPES))


def _stochastic(weight: str, act: str) -> tuple[str, str]:
    """The stochastic forms of two quantisers, of either where there is one."""
    name, *arguments = weight.split(":")
    form = weight
    if name in ("binary", "bnn", "binaryconnect"):
        form = "binary:stochastic"
    elif name in ("int", "int8") and arguments[1:] in ([], ["channel"]):
        form = f"int:{arguments[0] if arguments else 8}:stochastic"
    noisy = "stochastic" if act.split(":")[0] == "sign" else act
    if (form, noisy) == (weight, act) and "stochastic" not in weight:
        raise UsageError(
            f"recipe stochastic: neither weights {weight!r} nor activations {act!r} have a stochastic form",
            hint="use weights binary or int:K, or activations sign",
        )
    return form, noisy


def stage_file(out: Path, index: int) -> Path:
    """Where the result of a stage waits until the last one is done: ``kws.stage0.pt`` for ``kws.pt``."""
    return out.with_suffix(f".stage{index}.pt")


@torch.no_grad()
def carry_over(
    network: Network,
    state: dict[str, torch.Tensor],
    changed: tuple[str, ...] = (".act.", ".weight_quantizer."),
) -> None:
    """Copies what ``state``, of a network of other quantisers, has of ``network``; quantisers whose path has a part
    of ``changed`` start afresh.
    """
    own = network.state_dict()
    kept = {
        key: value
        for key, value in state.items()
        if key in own and own[key].shape == value.shape and not any(part in key for part in changed)
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
    plan = stages(recipe, arch["weight"], arch["act"], bool(teachers))
    last = len(plan) - 1
    targets = [stage_file(out, i) for i in range(last)] + [out]
    if resume and not any(path.is_file() for t in targets for path in (run_file(t), t) if path != out):
        raise UsageError(f"{run_file(targets[0])}: no such file, nothing to resume", "start without --resume")
    for i, (stage, target) in enumerate(zip(plan, targets, strict=True)):
        torch.manual_seed(config.seed)
        network = build({**arch, "weight": stage.weight, "act": stage.act})
        settings = _settings(config, stage)
        if resume and i < last and target.is_file():
            _check_stage(target, network, recipe, settings)
            continue
        if i > 0 and plan[i - 1].teaches:
            teachers = [load_network(build, targets[i - 1])]
        elif i > 0:
            before = plan[i - 1]
            changed = {".act.": before.act != stage.act, ".weight_quantizer.": before.weight != stage.weight}
            state = read(targets[i - 1])["state_dict"]
            carry_over(network, state, tuple(part for part, differs in changed.items() if differs))
        # A stage may have been cut off before its first checkpoint: then there is nothing to resume from.
        go_on = resume and run_file(target).is_file()
        metrics = fit(
            network, features, settings, target, teachers, frontend, go_on, observer, log, teacher_cache
        )
        if i < last and distributed.writes():
            made_by = {"recipe": recipe, "config": dataclasses.asdict(settings)}
            save(target, Checkpoint(network, features.names, frontend, metrics, made_by))
        distributed.wait()
    for target in targets[:-1]:
        target.unlink(missing_ok=True)
    return network, {**metrics, "recipe": recipe, "stages": [dataclasses.asdict(stage) for stage in plan]}


def _settings(config: TrainConfig, stage: Stage) -> TrainConfig:
    """What a stage trains with; the caller's own values go before those of the recipe."""
    changes: dict[str, Any] = {key: getattr(config, key) or value for key, value in stage.changes.items()}
    return dataclasses.replace(
        config,
        epochs=max(1, round(stage.share * config.epochs)),
        lr=config.lr * stage.lr,
        weight_decay=config.weight_decay if stage.decay else 0.0,
        **changes,
    )


def _check_stage(path: Path, network: Network, recipe: str, settings: TrainConfig) -> None:
    """Raises UsageError where the finished stage in ``path`` was trained in another way."""
    stored = read(path)
    made_by = stored.get("training")
    before: dict[str, Any] = {**made_by, **made_by.get("config", {})} if isinstance(made_by, dict) else {}
    check_unchanged(before, {"recipe": recipe, **dataclasses.asdict(settings)})
    check_unchanged(stored["arch"], network.arch)


def load_network(build: Callable[[dict[str, Any]], Network], path: Path) -> Network:
    """The network of a checkpoint that this process or its predecessor wrote."""
    stored = read(path)
    network = build(stored["arch"])
    network.load_state_dict(stored["state_dict"])
    return network
