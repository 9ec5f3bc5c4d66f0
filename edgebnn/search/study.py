"""The search: candidates are planned, refused where they miss a budget, trained where they meet it.

Every worker runs ``search`` on the same storage (an SQLite file, or any database by URL); a worker that
stops loses only the candidate it was training, and a later call goes on.
"""

from __future__ import annotations

import json
import logging
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from edgebnn.errors import ModelError, UsageError
from edgebnn.search.cost import Budget, Cost, cost_of_arch
from edgebnn.search.space import Space, describe

#: trains an architecture: (arch, report(epoch, accuracy)) -> validation accuracy
Train = Callable[[dict[str, Any], Callable[[int, float], None]], float]

PRUNERS: dict[str, Callable[[], optuna.pruners.BasePruner]] = {
    "median": lambda: optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=2),
    "halving": lambda: optuna.pruners.SuccessiveHalvingPruner(),
    "none": lambda: optuna.pruners.NopPruner(),
}


@dataclass(frozen=True)
class Settings:
    """What makes two studies comparable; a study is resumed with the same only.

    ``penalty`` is taken off the accuracy for using a budget fully, in proportion to the fullest one: of two
    candidates that are equally accurate the cheaper one wins.
    """

    task: str
    space: Space
    target: str
    budget: Budget
    epochs: int
    penalty: float = 0.01
    seed: int = 0


@dataclass(frozen=True)
class Result:
    """A candidate that was planned. ``accuracy`` is None where it was refused or its training was pruned."""

    number: int
    arch: dict[str, Any]
    cost: Cost
    accuracy: float | None
    state: str  # "trained", "pruned" or "refused"
    misses: tuple[str, ...] = ()
    overshoot: float = 0.0  # of the worst limit, as a share; negative where all are met


def open_study(name: str, storage: str, settings: Settings, pruner: str = "median") -> optuna.Study:
    """The study ``name`` in ``storage``, made if there is none; one of other settings that refused every candidate
    is made anew. Raises UsageError where it was made with other settings or the storage cannot be opened.
    """
    _quiet()
    study = _create(name, storage, pruner)
    now = json.loads(json.dumps(asdict(settings)))
    before: dict[str, Any] | None = study.user_attrs.get("settings")
    if before not in (None, now) and _refused_all(study):
        optuna.delete_study(study_name=name, storage=storage)
        study, before = _create(name, storage, pruner), None
    first = before is None
    # Only the first worker's suggestions repeat: others must not make the same ones.
    study.sampler = optuna.samplers.TPESampler(
        n_startup_trials=8,
        constant_liar=True,
        seed=settings.seed if first else None,
    )
    if before is None:
        study.set_user_attr("settings", now)
        study.enqueue_trial(settings.space.smallest(), skip_if_exists=True)
    elif before != now:
        key = next(key for key in now if before.get(key) != now[key])
        raise UsageError(
            f"study {name!r}: {key} was {before.get(key)}, is now {now[key]}",
            "go on with the same options, or give the new search another --study or --storage",
        )
    return study


def _refused_all(study: optuna.Study) -> bool:
    trials = [trial for trial in study.get_trials(deepcopy=False) if trial.state != TrialState.WAITING]
    return bool(trials) and all("misses" in trial.user_attrs for trial in trials)


def _create(name: str, storage: str, pruner: str) -> optuna.Study:
    for attempt in range(3):
        try:
            return optuna.create_study(
                study_name=name,
                storage=storage,
                pruner=PRUNERS[pruner](),
                direction="maximize",
                load_if_exists=True,
            )
        except ModuleNotFoundError:
            raise  # the driver of the database
        except Exception as error:  # whatever SQLAlchemy and its drivers raise
            if attempt < 2:  # another worker may be making the tables
                time.sleep(0.5)
                continue
            reason = str(error).splitlines()[0]
            raise UsageError(
                f"{storage}: the storage cannot be opened ({reason})",
                "give sqlite:///FILE or another database's URL",
            ) from None
    raise AssertionError


def search(
    study: optuna.Study,
    settings: Settings,
    train: Train,
    trials: int,
    on_result: Callable[[Result], None] | None = None,
    patience: int = 30,
) -> None:
    """Works on ``study`` until ``trials`` candidates were trained (or pruned), by all workers together, or
    ten times as many were refused.

    Raises ModelError when the first ``patience`` candidates, the smallest of the space among them, were all
    refused: it says which constraint binds, and by how much the nearest candidate misses it.
    """
    costs: dict[str, Cost] = {}  # by architecture: the sampler repeats candidates
    while True:
        finished = [t for t in study.get_trials(deepcopy=False) if t.state.is_finished()]
        trained = sum("accuracy" in t.user_attrs or bool(t.intermediate_values) for t in finished)
        if trained >= trials:
            return
        refused = len(finished) - trained
        if refused >= patience and trained == 0:
            raise _nothing_fits(study)
        if refused >= max(patience, 10 * trials):
            return
        trial = study.ask()
        _evaluate(study, trial, settings, train, costs)
        if on_result:
            frozen = next(t for t in study.get_trials(deepcopy=False) if t.number == trial.number)
            result = _result(frozen)
            if result is not None:
                on_result(result)


def _evaluate(
    study: optuna.Study, trial: Trial, settings: Settings, train: Train, costs: dict[str, Cost]
) -> None:
    arch = settings.space.suggest(trial)
    trial.set_user_attr("arch", arch)
    key = json.dumps(arch, sort_keys=True)
    try:
        if key not in costs:
            costs[key] = cost_of_arch(arch, settings.target, settings.budget)
    except ModelError as error:
        trial.set_user_attr("error", str(error))
        study.tell(trial, state=TrialState.FAIL)
        return
    cost = costs[key]
    trial.set_user_attr("cost", cost.to_dict())
    shares = settings.budget.shares(cost)
    trial.set_user_attr("overshoot", max(shares.values(), default=0.0) - 1)
    trial.set_constraint("budget", max(shares.values(), default=0.0) - 1)
    misses = settings.budget.misses(cost)
    if misses:
        trial.set_user_attr("misses", misses)
        study.tell(trial, state=TrialState.PRUNED)
        return

    def report(epoch: int, accuracy: float) -> None:
        trial.report(accuracy, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned

    try:
        accuracy = train(arch, report)
    except optuna.TrialPruned:
        study.tell(trial, state=TrialState.PRUNED)
        return
    except BaseException:
        study.tell(trial, state=TrialState.FAIL)
        raise
    trial.set_user_attr("accuracy", accuracy)
    study.tell(trial, accuracy - settings.penalty * max(shares.values(), default=0.0))


def results(study: optuna.Study) -> list[Result]:
    """All candidates that were planned, by all workers, in order."""
    found = (_result(trial) for trial in study.get_trials(deepcopy=False))
    return [result for result in found if result is not None]


def _result(trial: FrozenTrial) -> Result | None:
    attrs = trial.user_attrs
    if trial.state not in (TrialState.COMPLETE, TrialState.PRUNED) or "cost" not in attrs:
        return None
    misses = tuple(attrs.get("misses", ()))
    state = "refused" if misses else "trained" if trial.state == TrialState.COMPLETE else "pruned"
    return Result(
        trial.number,
        attrs["arch"],
        Cost(**attrs["cost"]),
        attrs.get("accuracy"),
        state,
        misses,
        attrs.get("overshoot", 0.0),
    )


def pareto(found: list[Result]) -> list[Result]:
    """The trained candidates that no other one beats in accuracy, flash and cycles at once, each once; best
    accuracy first."""
    trained = [result for result in found if result.accuracy is not None]

    def beats(a: Result, b: Result) -> bool:
        assert a.accuracy is not None and b.accuracy is not None
        one = (-a.accuracy, a.cost.flash, a.cost.cycles)
        other = (-b.accuracy, b.cost.flash, b.cost.cycles)
        return all(x <= y for x, y in zip(one, other, strict=True)) and one != other

    front = [b for b in trained if not any(beats(a, b) for a in trained)]
    known: dict[
        tuple[str, Cost, float | None], Result
    ] = {}  # two workers may have trained the same candidate
    for result in front:
        known.setdefault((json.dumps(result.arch, sort_keys=True), result.cost, result.accuracy), result)
    return sorted(known.values(), key=lambda result: -(result.accuracy or 0.0))


def _nothing_fits(study: optuna.Study) -> ModelError:
    refused = results(study)
    if not refused:
        errors = [t.user_attrs["error"] for t in study.get_trials(deepcopy=False) if "error" in t.user_attrs]
        return ModelError(f"no candidate converts: {errors[-1] if errors else 'unknown error'}")
    nearest = min(refused, key=lambda result: result.overshoot)
    return ModelError(
        f"no candidate of {len(refused)} meets the budget; the nearest ({describe(nearest.arch)}) needs "
        + " and ".join(nearest.misses),
        "raise that limit, or allow smaller candidates with --space",
    )


def _quiet() -> None:
    optuna.logging.set_verbosity(logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
