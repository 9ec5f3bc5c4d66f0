"""Search: budgets bind before training, workers share a study, a stopped search goes on, results are written."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
for package in ("optuna", "matplotlib", "sklearn", "unicorn"):
    pytest.importorskip(package)

import optuna  # noqa: E402

from edgebnn import models  # noqa: E402
from edgebnn.errors import ModelError, UsageError  # noqa: E402
from edgebnn.report import plots  # noqa: E402
from edgebnn.search.cost import Budget, Cost, cost_of_arch  # noqa: E402
from edgebnn.search.report import write  # noqa: E402
from edgebnn.search.space import ACT_BITS, SPACES, WEIGHT_BITS, describe  # noqa: E402
from edgebnn.search.study import Result, Settings, open_study, pareto, results, search  # noqa: E402

needs_gcc = pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="needs arm-none-eabi-gcc")
TINY = SPACES["digits"].limited("channels=8").limited("blocks=1,2").limited("kernels=3").limited("strides=2")


def settings(**budget: int) -> Settings:
    return Settings("digits", TINY, "cortex-m4", Budget(**budget), epochs=1)


def never(arch: dict, report: object) -> float:
    raise AssertionError("a candidate over the budget was trained")


@needs_gcc
@pytest.mark.parametrize("weight", list(WEIGHT_BITS))
def test_every_combination_of_bits_has_a_cost(weight: str) -> None:
    act = "8" if weight in "48" else "2"
    block = {"weight": WEIGHT_BITS[weight], "act": ACT_BITS[act], "shortcut": "no"}
    arch = {"name": "cnn", "channels": 8, "blocks": 1, "stem_stride": 2, "layers": {"blocks.0.conv": block}}
    cost = cost_of_arch(arch, "cortex-m4")
    assert cost.flash > 8 * 9 and cost.ram >= 8 * 8 and cost.cycles > 10_000 and cost.source == "estimate"
    # Without documented timings the planner's own figures are named as such.
    assert cost_of_arch(arch, "cortex-m55").source == "planner"


def test_budgets() -> None:
    budget, cost = Budget(flash=1000, cycles=100), Cost(1500, 999, 90, "estimate")
    assert budget.shares(cost) == {"flash": 1.5, "cycles": 0.9}
    assert budget.misses(cost) == ["1,500 bytes of flash of 1,000 (+50.0 %)"]
    assert Budget().misses(cost) == []


@needs_gcc
def test_an_impossible_budget_says_what_binds(tmp_path: Path) -> None:
    asked = settings(flash=10_000, cycles=20_000)
    study = open_study("s", f"sqlite:///{tmp_path}/s.db", asked)
    with pytest.raises(
        ModelError, match=r"no candidate of \d+ meets the budget; .* of 20,000 \(\+\d+\.\d %\)"
    ) as caught:
        search(study, asked, never, trials=3, patience=4)
    assert "flash" not in str(caught.value).partition("needs")[2]
    # Nothing was trained: another budget starts it anew.
    study = open_study("s", f"sqlite:///{tmp_path}/s.db", settings(flash=5))
    assert not results(study)
    study.add_trial(optuna.trial.create_trial(value=0.5))
    with pytest.raises(UsageError, match=r"study 's': budget was .* is now"):
        open_study("s", f"sqlite:///{tmp_path}/s.db", asked)
    with pytest.raises(UsageError, match="the storage cannot be opened"):
        open_study("s", f"sqlite:///{tmp_path}/no/folder.db", asked)


@needs_gcc
def test_pruning_and_going_on(tmp_path: Path) -> None:
    """Bad candidates are stopped early; a search that was stopped keeps its results."""
    asked, storage, epochs = settings(), f"sqlite:///{tmp_path}/s.db", []

    def train(arch: dict, report) -> float:  # type: ignore[no-untyped-def]
        accuracy = 0.9 if len(epochs) < 6 else 0.1
        epochs.append(0)
        for epoch in range(1, 5):
            epochs[-1] = epoch
            report(epoch, accuracy)
        return accuracy

    search(open_study("s", storage, asked), asked, train, trials=6)
    assert [r.accuracy for r in results(open_study("s", storage, asked))] == [0.9] * 6
    search(open_study("s", storage, asked), asked, train, trials=8)
    found = results(open_study("s", storage, asked))
    assert [r.state for r in found] == ["trained"] * 6 + ["pruned"] * 2
    assert epochs == [4] * 6 + [2] * 2


@needs_gcc
def test_two_workers_share_a_study(tmp_path: Path) -> None:
    options = ["--trials", "3", "--epochs", "1", "--threads", "1", "--flash", "4000", "--json"]
    space = [x for key in ("channels=8", "blocks=1,2", "strides=2") for x in ("--space", key)]
    command = [sys.executable, "-m", "edgebnn", "search", "digits", *options, *space]
    storage = f"sqlite:///{tmp_path}/shared.db"
    workers = [
        subprocess.Popen(
            [*command, "--storage", storage, "--out", str(tmp_path / name)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("a", "b")
    ]
    said = [worker.communicate(timeout=300) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], said
    numbers = [{line.split(":")[0] for line in err.splitlines() if line[:1].isdigit()} for _, err in said]
    assert not numbers[0] & numbers[1], "each candidate is one worker's"
    last = max((json.loads(out) for out, _ in said), key=lambda document: document["candidates"])
    assert {str(r["number"]) for r in last["results"]} <= numbers[0] | numbers[1]
    assert 3 <= last["trained"] + sum(r["state"] == "pruned" for r in last["results"]) <= 4
    assert last["best"]["flash"] <= 4000 and last["best"]["accuracy"] > 0.15
    folder = tmp_path / "a"
    assert models.build(json.loads((folder / "best.json").read_text())).arch["channels"] == 8
    assert ET.parse(folder / "pareto.svg").getroot().tag.endswith("svg")
    assert "| # | candidate | accuracy |" in (folder / "results.md").read_text()


def test_pareto_and_files(tmp_path: Path) -> None:
    block = {"weight": "twn", "act": "lsq:2", "shortcut": "no"}
    arch = {"channels": 8, "kernel": 3, "stem_stride": 2, "layers": {"blocks.0.conv": block}}
    assert describe(arch) == "8 channels, kernel 3, stride 2: WtA2-"
    found = [
        Result(i, arch, Cost(flash, 100, cycles, "estimate"), accuracy, "trained")
        for i, (accuracy, flash, cycles) in enumerate(
            [(0.9, 10, 10), (0.8, 10, 9), (0.9, 11, 10), (0.7, 9, 12), (0.9, 10, 10)]
        )
    ]
    assert [r.number for r in pareto(found)] == [0, 1, 3]
    document = write(found, settings(flash=50), tmp_path)
    assert document["best"]["number"] == 0 and len(document["pareto"]) == 3
    first = (tmp_path / "pareto.svg").read_bytes()
    write(found, settings(flash=50), tmp_path)
    assert (tmp_path / "pareto.svg").read_bytes() == first
    assert write([], settings(), tmp_path)["best"] is None


def test_bad_spaces_are_refused() -> None:
    for text, message in (
        ("chanels=3", "unknown dimension 'chanels'"),
        ("weights=1,3", "unknown value '3'"),
        ("channels=0", "not a number"),
    ):
        with pytest.raises(UsageError, match=message):
            SPACES["kws"].limited(text)


def test_training_curves(tmp_path: Path) -> None:
    epochs = [{"epoch": e, "loss": 1 / e, "val_accuracy": 0.5} for e in (1, 2, 1)]
    plots.curves(epochs, tmp_path / "c.svg")
    assert ET.parse(tmp_path / "c.svg").getroot().tag.endswith("svg")
    with pytest.raises(UsageError, match="holds no epoch"):
        plots.curves([], tmp_path / "c.svg")
    with pytest.raises(UsageError, match="cannot be written"):
        plots.curves(epochs, tmp_path / "no" / "c.svg")
