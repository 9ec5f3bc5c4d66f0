"""Recipes of several stages: weights carried over, exact resume from a later stage, names."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from edgebnn import models  # noqa: E402
from edgebnn.errors import UsageError  # noqa: E402
from edgebnn.train.digits import load_digits  # noqa: E402
from edgebnn.train.kws import LabelledFeatures  # noqa: E402
from edgebnn.train.loop import TrainConfig  # noqa: E402
from edgebnn.train.recipes import RECIPES, carry_over, fit_recipe, stage_file, stages  # noqa: E402
from edgebnn.train.session import fit  # noqa: E402

ARCH = {"name": "cnn", "channels": 8, "blocks": 2, "stem_stride": 2, "weight": "binary", "act": "lsq:2"}


@pytest.fixture(scope="module")
def digits() -> LabelledFeatures:
    torch.set_num_threads(1)
    d = load_digits()
    return LabelledFeatures(d.variants[:320], d.label[:320], d.val[:40], d.val_label[:40], d.names)


class Watch:
    """Notes the stages' epochs; raises KeyboardInterrupt in the step it is told to."""

    def __init__(self, stop: tuple[int, int] | None = None) -> None:
        self.stop, self.epochs = stop, []

    def start(self, epoch: int, epochs: int) -> None:
        self.epochs.append((epoch, epochs))

    def step(self, epoch: int, step: int, steps: int) -> None:
        if self.stop == (len(self.epochs), epoch):
            raise KeyboardInterrupt

    def epoch(self, metrics: dict[str, float], epochs: int) -> None:
        pass

    def warn(self, message: str) -> None:
        pass


STAGES = {"two-stage": 2, "progressive": 5, "distillation": 2, "stochastic": 2}


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_ends_with_the_network_asked_for(
    recipe: str, digits: LabelledFeatures, tmp_path: Path
) -> None:
    out, watch = tmp_path / "d.pt", Watch()
    config = TrainConfig.plain(epochs=5, batch_size=32)
    network, metrics = fit_recipe(recipe, models.build, ARCH, digits, config, out, observer=watch)
    assert [path.name for path in tmp_path.iterdir()] == ["d.pt"]
    loaded = models.load(out).network
    assert {**loaded.arch, **ARCH} == loaded.arch == network.arch
    assert len(watch.epochs) == len(metrics["stages"]) == STAGES.get(recipe, 1)
    assert metrics["recipe"] == recipe and 0 <= metrics["val_accuracy"] <= 1


@pytest.mark.parametrize(("recipe", "last"), [("two-stage", 2), ("distillation", 4), ("stochastic", 2)])
def test_resume_in_a_later_stage_is_exact(
    recipe: str, last: int, digits: LabelledFeatures, tmp_path: Path
) -> None:
    config = TrainConfig.plain(epochs=4, batch_size=32)
    whole, _ = fit_recipe(recipe, models.build, ARCH, digits, config, tmp_path / "whole.pt")
    out = tmp_path / "cut.pt"
    with pytest.raises(KeyboardInterrupt):
        fit_recipe(recipe, models.build, ARCH, digits, config, out, observer=Watch((2, 1)))
    assert stage_file(out, 0).is_file() and not out.exists()
    watch = Watch()
    resumed, _ = fit_recipe(recipe, models.build, ARCH, digits, config, out, resume=True, observer=watch)
    assert watch.epochs == [(1, last)], "the first stage is not trained again"
    a, b = whole.state_dict(), resumed.state_dict()
    assert a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_weights_are_carried_over_and_quantisers_start_afresh() -> None:
    before = models.build({**ARCH, "weight": "int:4", "act": "lsq:4"})
    with torch.no_grad():
        before.blocks[0].conv.weight.mul_(50)
        before.blocks[0].conv.act.step.fill_(7.0)
    after = models.build(ARCH)
    carry_over(after, before.state_dict())
    assert torch.equal(after.stem.weight, before.stem.weight)
    assert torch.equal(after.blocks[0].conv.weight, before.blocks[0].conv.weight.clamp(-1, 1))
    assert float(after.blocks[0].conv.act.step.detach()) == 1.0


def test_unknown_recipes_suggest_the_nearest() -> None:
    with pytest.raises(UsageError, match="unknown recipe 'progresive'") as caught:
        stages("progresive", "binary", "sign")
    assert caught.value.hint == "did you mean 'progressive'?"
    for recipe in RECIPES:
        shares = [stage.share for stage in stages(recipe, "binary", "sign") if not stage.teaches]
        assert sum(shares) == pytest.approx(1.0)


def test_recipes_change_what_they_are_named_for(digits: LabelledFeatures, tmp_path: Path) -> None:
    """The recipe's changes reach the training: other weights than the plain recipe's, and the caller's own values
    go before the recipe's.
    """
    found = {}
    for name, recipe, own in (
        ("plain", "plain", {}),
        ("robust", "robust", {}),
        ("given", "robust", {"noise": 9.0}),
        ("scaled", "gradient-scaling", {}),
    ):
        config = TrainConfig.plain(epochs=1, batch_size=32, **own)
        network, metrics = fit_recipe(recipe, models.build, ARCH, digits, config, tmp_path / "d.pt")
        found[name] = network.stem.weight.detach().clone()
    names = list(found)
    assert not any(torch.equal(found[a], found[b]) for a in names for b in names if a < b)
    assert metrics["stages"][0]["changes"] == {"gradient_scaling": 1e-3}


def test_stochastic_forms() -> None:
    def forms(weight: str, act: str) -> tuple[str, str]:
        first, last = stages("stochastic", weight, act)
        assert (last.weight, last.act) == (weight, act)
        return first.weight, first.act

    assert forms("binary", "lsq:2") == ("binary:stochastic", "lsq:2")
    assert forms("xnor", "sign") == ("xnor", "stochastic")
    assert forms("int8", "lsq:8") == ("int:8:stochastic", "lsq:8")
    assert forms("int:4", "lsq:8") == ("int:4:stochastic", "lsq:8")
    with pytest.raises(
        UsageError, match="neither weights 'twn' nor activations 'lsq:2' have a stochastic form"
    ):
        stages("stochastic", "twn", "lsq:2")


def test_distillation_learns_from_the_teachers_given_or_from_itself_in_float(
    digits: LabelledFeatures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def noted(network, features, settings, target, teachers, *rest):  # type: ignore[no-untyped-def]
        seen.append((target.name, [t.arch["weight"] for t in teachers], settings.distill, settings.epochs))
        return fit(network, features, settings, target, teachers, *rest)

    monkeypatch.setattr("edgebnn.train.recipes.fit", noted)
    config = TrainConfig.plain(epochs=5, batch_size=64)
    fit_recipe("distillation", models.build, ARCH, digits, config, tmp_path / "d.pt")
    assert seen == [("d.stage0.pt", [], 0.0, 2), ("d.pt", ["float"], 0.5, 5)]
    seen.clear()
    teacher = models.build({**ARCH, "weight": "xnor"})
    config = TrainConfig.plain(epochs=1, batch_size=64, distill=0.9)
    fit_recipe("distillation", models.build, ARCH, digits, config, tmp_path / "d.pt", [teacher])
    assert seen == [("d.pt", ["xnor"], 0.9, 1)]


@pytest.mark.parametrize(
    ("recipe", "changes", "message"),
    [
        ("two-stage", {"seed": 1}, "cannot resume: seed was 0, is now 1"),
        ("stochastic", {}, "cannot resume: recipe was 'two-stage', is now 'stochastic'"),
        ("plain", {}, "nothing to resume"),
    ],
)
def test_a_finished_stage_of_another_run_is_refused(
    recipe: str, changes: dict, message: str, digits: LabelledFeatures, tmp_path: Path
) -> None:
    out = tmp_path / "cut.pt"
    config = TrainConfig.plain(epochs=2, batch_size=64)
    with pytest.raises(KeyboardInterrupt):
        fit_recipe("two-stage", models.build, ARCH, digits, config, out, observer=Watch((2, 0)))
    assert stage_file(out, 0).is_file() and not out.exists()
    before = sorted(tmp_path.iterdir())
    config = TrainConfig.plain(epochs=2, batch_size=64, **changes)
    with pytest.raises(UsageError, match=message):
        fit_recipe(recipe, models.build, ARCH, digits, config, out, resume=True)
    assert sorted(tmp_path.iterdir()) == before


def test_quantisers_that_stay_are_carried_over_too() -> None:
    before = models.build(ARCH)
    with torch.no_grad():
        before.blocks[0].conv.act.step.fill_(7.0)
    after = models.build({**ARCH, "weight": "xnor"})
    carry_over(after, before.state_dict(), changed=(".weight_quantizer.",))
    assert float(after.blocks[0].conv.act.step.detach()) == 7.0
