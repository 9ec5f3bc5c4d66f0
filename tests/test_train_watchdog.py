"""The watchdogs of training: gradients, flips, dead and saturated channels, values that are not finite."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edgebnn import models  # noqa: E402
from edgebnn.errors import ModelError  # noqa: E402
from edgebnn.train.kws import LabelledFeatures  # noqa: E402
from edgebnn.train.loop import TrainConfig, Trainer  # noqa: E402
from edgebnn.train.session import fit  # noqa: E402
from edgebnn.train.watchdog import Watchdog, channel_health, first_not_finite, warnings  # noqa: E402


def network() -> models.Network:
    torch.manual_seed(0)
    return models.build({"name": "cnn", "channels": 8, "blocks": 2, "stem_stride": 2})


def data() -> LabelledFeatures:
    rng = np.random.default_rng(0)
    x = rng.integers(-64, 65, (80, 8, 8, 1)).astype(np.int8)
    label = rng.integers(0, 10, 80)
    return LabelledFeatures(x[:64, None], label[:64], x[64:], label[64:], [str(i) for i in range(10)])


def test_report_of_gradients_and_flips() -> None:
    net = network()
    watchdog = Watchdog(net)
    for _, layer in (
        pairs := [(path, m) for path, m in net.named_modules() if hasattr(m, "weight_quantizer")]
    ):
        layer.weight.grad = torch.ones_like(layer.weight)
    watchdog.after_backward()
    with torch.no_grad():
        net.blocks[0].conv.weight[:4] *= -1
    report = watchdog.report()
    assert list(report) == [path for path, _ in pairs]
    assert report["blocks.0.conv"] == {"gradient": pytest.approx(576**0.5), "flips": 0.5}
    assert report["blocks.1.conv"]["flips"] == 0
    assert watchdog.report()["blocks.0.conv"] == {"gradient": 0.0, "flips": 0.0}


def test_warnings_name_the_layer() -> None:
    calm = {"gradient": 1.0, "flips": 0.01}
    assert warnings({"a": calm}) == []
    lines = warnings(
        {"a": {**calm, "gradient": 200.0}, "b": {**calm, "gradient": 0.0}, "c": {**calm, "flips": 0.5}}
    )
    assert [line.split(":")[0] for line in lines] == ["layer a", "layer b", "layer c"]
    assert "explode" in lines[0] and "vanish" in lines[1] and "50 %" in lines[2]
    lines = warnings(
        {"d": {**calm, "dead": 0.5, "saturated": 0.1}, "e": {**calm, "dead": 0.1, "saturated": 0.6}}
    )
    assert [line.split(":")[0] for line in lines] == ["layer d", "layer e"]
    assert "50 % of its input channels have one code" in lines[0] and "60 %" in lines[1]


def test_dead_and_saturated_channels() -> None:
    net = network().train()
    x = net.dequantize(torch.from_numpy(data().val))
    net(x)
    with torch.no_grad():
        net.blocks[0].affine.bias[0] = -100.0
        net.blocks[0].affine.gain[1] = 1000.0
        net.blocks[0].affine.bias[1] = 500.0
    health = channel_health(net, x)
    assert health["blocks.0.conv"]["dead"] >= 1 / 8
    assert net.training
    assert set(health) == {"blocks.0.conv", "blocks.1.conv"}


def test_not_finite_names_the_layer() -> None:
    net = network()
    trainer = Trainer(net, data(), TrainConfig.plain(epochs=1, batch_size=16))
    with torch.no_grad():
        net.blocks[1].norm.weight[3] = float("nan")
    assert first_not_finite(net, net.dequantize(torch.from_numpy(data().val))) == "blocks.1.norm"
    with pytest.raises(ModelError, match=r"layer blocks\.1\.norm: not finite in epoch 1, step 1"):
        trainer.run()


def test_log_has_a_line_an_epoch(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    fit(network(), data(), TrainConfig.plain(epochs=2, batch_size=16), tmp_path / "a.pt", log=log)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert lines[0]["layers"]["blocks.0.conv"]["gradient"] > 0
    assert {"gradient", "flips", "dead", "saturated"} == set(lines[1]["layers"]["blocks.1.conv"])
    assert {"gradient", "flips"} == set(lines[1]["layers"]["stem"])
