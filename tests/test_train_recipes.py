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
from edgebnn.train.recipes import carry_over, fit_recipe, stage_file, stages  # noqa: E402

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


@pytest.mark.parametrize("recipe", ["plain", "two-stage", "progressive"])
def test_a_recipe_ends_with_the_network_asked_for(
    recipe: str, digits: LabelledFeatures, tmp_path: Path
) -> None:
    out, watch = tmp_path / "d.pt", Watch()
    config = TrainConfig.plain(epochs=5, batch_size=32)
    network, metrics = fit_recipe(recipe, models.build, ARCH, digits, config, out, observer=watch)
    assert [path.name for path in tmp_path.iterdir()] == ["d.pt"]
    loaded = models.load(out).network
    assert {**loaded.arch, **ARCH} == loaded.arch == network.arch
    assert (
        len(watch.epochs) == len(metrics["stages"]) == {"plain": 1, "two-stage": 2, "progressive": 5}[recipe]
    )
    assert metrics["recipe"] == recipe and 0 <= metrics["val_accuracy"] <= 1


def test_resume_in_a_later_stage_is_exact(digits: LabelledFeatures, tmp_path: Path) -> None:
    config = TrainConfig.plain(epochs=4, batch_size=32)
    whole, _ = fit_recipe("two-stage", models.build, ARCH, digits, config, tmp_path / "whole.pt")
    out = tmp_path / "cut.pt"
    with pytest.raises(KeyboardInterrupt):
        fit_recipe("two-stage", models.build, ARCH, digits, config, out, observer=Watch((2, 1)))
    assert stage_file(out, 0).is_file() and not out.exists()
    watch = Watch()
    resumed, _ = fit_recipe("two-stage", models.build, ARCH, digits, config, out, resume=True, observer=watch)
    assert watch.epochs == [(1, 2)], "the first stage is not trained again"
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
    for recipe in ("plain", "two-stage", "progressive"):
        assert sum(stage.share for stage in stages(recipe, "binary", "sign")) == pytest.approx(1.0)
