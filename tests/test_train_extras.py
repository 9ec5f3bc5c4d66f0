"""Adversarial inputs, feature loss, gradient scaling, curves, and resuming with other data."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from click.testing import CliRunner  # noqa: E402

from edgebnn import models  # noqa: E402
from edgebnn.cli.train import train  # noqa: E402
from edgebnn.errors import UsageError  # noqa: E402
from edgebnn.train.checkpoint import Checkpoint, save  # noqa: E402
from edgebnn.train.digits import load_digits  # noqa: E402
from edgebnn.train.extras import attacked, similarity_loss  # noqa: E402
from edgebnn.train.gradient_scaling import GradientScaling  # noqa: E402
from edgebnn.train.kws import LabelledFeatures  # noqa: E402
from edgebnn.train.loop import TrainConfig, Trainer  # noqa: E402
from edgebnn.train.quantizers import activation_quantizer, weight_quantizer  # noqa: E402
from edgebnn.train.session import fit, run_file  # noqa: E402

ARCH = {"name": "cnn", "channels": 8, "blocks": 1, "stem_stride": 2}


def small(names: list[str] | None = None) -> LabelledFeatures:
    torch.set_num_threads(1)
    d = load_digits()
    return LabelledFeatures(d.variants[:128], d.label[:128], d.val[:16], d.val_label[:16], names or d.names)


def test_attacks_raise_the_loss_within_their_size() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(16, 4, generator=generator)
    moved = attacked(lambda z: (z**2).sum(), x, 0.1, generator)
    assert (moved - x).abs().max() <= 0.1 + 1e-6 and not moved.requires_grad
    far = x.abs() > 0.2
    assert (moved.abs() > x.abs())[far].all(), "away from zero, where the square grows"


def test_similarity_ignores_width_and_scale() -> None:
    x = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    assert float(similarity_loss(x, 3 * x)) == pytest.approx(0, abs=1e-10)
    assert float(similarity_loss(x, torch.cat([x, x], 1))) == pytest.approx(0, abs=1e-10)
    assert float(similarity_loss(x, x.flip(0))) > 0.1


def test_training_with_both_pulls_features_towards_the_teacher() -> None:
    data, distances = small(), []
    torch.manual_seed(1)
    teacher = models.build({**ARCH, "channels": 12, "weight": "float", "act": "float"})
    Trainer(teacher, data, TrainConfig.plain(epochs=4, batch_size=32)).run()
    for weight in (0.0, 20.0):
        torch.manual_seed(0)
        network = models.build(ARCH)
        config = TrainConfig.plain(epochs=4, batch_size=32, features=weight, adversarial=2.0)
        trainer = Trainer(network, data, config, [teacher])
        trainer.run()
        noted: dict[str, torch.Tensor] = {}
        for name, one in (("mine", network), ("theirs", teacher)):
            handle = one.head.register_forward_pre_hook(
                lambda m, i, name=name, to=noted: to.update({name: i[0]})
            )
            with torch.no_grad():
                one.eval()(one.dequantize(torch.from_numpy(data.val)))
            handle.remove()
        distances.append(float(similarity_loss(noted["mine"], noted["theirs"])))
    assert distances[1] < distances[0]


def test_gradient_scaling_follows_its_formula() -> None:
    class Two(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.act, self.weight = activation_quantizer("dorefa:2"), weight_quantizer("xnor", 2)

    network, delta = Two(), 0.5
    x = torch.tensor([[0.0, 0.1, 0.4, 1.0, 1.5]], requires_grad=True)
    w = torch.tensor([[0.5, -0.1], [0.2, 0.6]], requires_grad=True)
    pull = torch.tensor([[1.0, 2.0, -3.0, 4.0, 5.0]])

    def gradients() -> tuple[list[float], torch.Tensor]:
        x.grad = w.grad = None
        (network.act(x) * pull).sum().backward()
        (network.weight(w) * torch.tensor([[1.0, -1.0], [2.0, 2.0]])).sum().backward()
        return x.grad[0].tolist(), w.grad

    plain_x, plain_w = gradients()
    scaling = GradientScaling(network, delta)
    scaled_x, scaled_w = gradients()
    # Levels 0, 1/3, 2/3, 1: x - q is 0, 0.1, 0.4 - 1/3, 0; beyond the range there is no gradient.
    assert scaled_x == pytest.approx([1.0, 2 * 1.05, -3 * (1 - 0.5 * (0.4 - 1 / 3)), 4.0, 0.0])
    # Each channel by its own range, here 2 * mean|w|; its second value lies alone in channel 1.
    q = network.weight(w).detach()
    width = torch.tensor([[0.6], [1e-12]])
    error = (w.detach().clamp(torch.tensor([[-0.3], [0.4]]), torch.tensor([[0.3], [0.4]])) - q) / width
    torch.testing.assert_close(scaled_w, plain_w * (1 + delta * plain_w.sign() * error))
    with torch.no_grad():
        network.act(x)
    network.eval()
    assert gradients()[0] == plain_x
    scaling.remove()
    assert gradients()[0] == plain_x and not network.train().act._forward_hooks


def test_resume_with_other_classes_is_refused(tmp_path: Path) -> None:
    data, out = small(), tmp_path / "a.pt"
    config, network = TrainConfig.plain(epochs=2, batch_size=32), models.build(ARCH)
    trainer = Trainer(network, data, config)
    save(run_file(out), Checkpoint(network, data.names, training=trainer.state()))
    other = small([f"class {i}" for i in range(10)])
    with pytest.raises(UsageError, match="teachers was"):
        fit(models.build(ARCH), data, config, out, [models.build(ARCH)], resume=True)
    with pytest.raises(UsageError, match=r"cannot resume: .* has 10 classes \(0, 1, 2, 3 ...\), the data 10"):
        fit(models.build(ARCH), other, config, out, resume=True)


def test_curves_command(tmp_path: Path) -> None:
    log, out = tmp_path / "log.jsonl", tmp_path / "c.svg"
    pytest.importorskip("matplotlib")
    lines = [{"epoch": e, "loss": 1.0 / e, "val_accuracy": 0.1 * e, "layers": {}} for e in (1, 2, 3)]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = CliRunner().invoke(train, ["curves", str(log), "--out", str(out)], catch_exceptions=False)
    assert result.exit_code == 0 and ET.parse(out).getroot().tag.endswith("svg")
    log.write_text(json.dumps(lines[0]) + "\nnonsense\n")
    error = CliRunner().invoke(train, ["curves", str(log), "--out", str(out)]).exception
    assert "line 2 is no epoch" in str(error)
