"""Teachers' answers kept between runs, and the quantiser's fused gradients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edgebnn import models  # noqa: E402
from edgebnn.errors import UsageError  # noqa: E402
from edgebnn.train.kws import LABELS, LabelledFeatures  # noqa: E402
from edgebnn.train.loop import TrainConfig, Trainer  # noqa: E402
from edgebnn.train.quantizers.base import round_half_up  # noqa: E402
from edgebnn.train.quantizers.grid import quantize, quantize_within  # noqa: E402

SMALL = {"name": "kws1d", "channels": 8, "blocks": 1, "kernel": 3}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def noise(clips: int = 80) -> LabelledFeatures:
    rng = np.random.default_rng(1)
    x = rng.integers(-128, 128, (clips, 2, 49, 10, 1)).astype(np.int8)
    label = rng.integers(0, 12, clips)
    return LabelledFeatures(x, label, x[:16, 0], label[:16], list(LABELS))


def network(seed: int, **changes: object) -> models.Network:
    torch.manual_seed(seed)
    return models.build({**SMALL, **changes})


def trained(cache: Path | None, teacher: models.Network, **changes: object) -> models.Network:
    config = TrainConfig(epochs=2, batch_size=32, **changes)
    student = network(0)
    Trainer(student, noise(), config, [teacher], cache).run()
    return student


def same(a: models.Network, b: models.Network) -> bool:
    return all(
        torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


def test_kept_answers_give_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    teacher = network(5, act="lsq:4")
    plain = trained(None, teacher)
    assert same(trained(tmp_path / "cache", teacher), plain)
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 2, "one file an epoch"

    def refuse(*_: object) -> None:
        raise AssertionError("the teacher was asked although its answers are kept")

    with monkeypatch.context() as patch:
        patch.setattr(teacher, "forward", refuse)
        assert same(trained(tmp_path / "cache", teacher), plain)


def test_other_inputs_or_teachers_have_answers_of_their_own(tmp_path: Path) -> None:
    teacher = network(5, act="lsq:4")
    trained(tmp_path, teacher)
    trained(tmp_path, teacher, mask=3)
    trained(tmp_path, teacher, seed=1)
    trained(tmp_path, network(6, act="lsq:4"))
    assert len(list(tmp_path.glob("*.npy"))) == 8


def test_damaged_answers_are_computed_again(tmp_path: Path) -> None:
    teacher = network(5, act="lsq:4")
    plain = trained(tmp_path, teacher)
    for path in tmp_path.glob("*.npy"):
        path.write_bytes(path.read_bytes()[:100])
    assert same(trained(tmp_path, teacher), plain)


def test_a_cache_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        trained(tmp_path / "file", network(5))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_fused_quantiser_agrees_with_its_steps(layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    x = (2 * torch.randn(16, 4, 5, 3)).contiguous(memory_format=layout)
    x[0, 0, :, 0] = torch.tensor([0.0, 0.75, 0.125, -0.0, 0.375])  # on the limits and between two codes
    x.requires_grad_()
    step, grad = torch.tensor(0.25, requires_grad=True), torch.randn(x.shape)
    fused = quantize(x, step, 0, 3)
    steps = round_half_up((x / step).clamp(0, 3)) * step
    assert torch.equal(fused, steps)
    for got, expected in zip(
        torch.autograd.grad(fused, (x, step), grad), torch.autograd.grad(steps, (x, step), grad), strict=True
    ):
        torch.testing.assert_close(got, expected)
    within = quantize_within(x, step.detach(), -128, 127)
    assert torch.equal(within, round_half_up(x / step.detach()) * step.detach())
    assert torch.equal(torch.autograd.grad(within, x, grad)[0], grad)
