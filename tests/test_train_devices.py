"""Training on another device. PyTorch's "meta" device computes shapes only, but refuses to mix its tensors with those
of the CPU: what runs on it leaves no tensor behind on a GPU either."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edgebnn import models  # noqa: E402
from edgebnn.errors import UsageError  # noqa: E402
from edgebnn.train import devices  # noqa: E402
from edgebnn.train.kws import LabelledFeatures  # noqa: E402
from edgebnn.train.loop import TrainConfig, Trainer  # noqa: E402

ARCHITECTURES: tuple[dict[str, Any], ...] = (
    {"name": "kws1d"},
    {"name": "kws1d", "weight": "twn", "act": "pact:4"},
    {"name": "kws1d", "weight": "xnor", "act": "approx"},
    {"name": "kws1d", "weight": "bitnet158", "act": "lsq:8"},
    {"name": "dscnn", "weight": "int8", "act": "int8:unsigned"},
    {"name": "dscnn", "weight": "float", "act": "float"},
)


def on_meta(arch: dict[str, Any]) -> models.Network:
    """A network whose values are set up on "meta", but for the flags that its code looks at."""
    network = models.build(arch)
    flags = {id(m): m.ready.fill_(True) for m in network.modules() if hasattr(m, "ready")}
    network.to("meta")
    for module in network.modules():
        if id(module) in flags:
            module.ready = flags[id(module)]
    return network


def clips(shape: list[int], classes: int) -> LabelledFeatures:
    rng = np.random.default_rng(0)
    x = rng.integers(-128, 128, (16, 2, *shape), np.int8)
    y = rng.integers(0, classes, 16)
    return LabelledFeatures(x, y, x[:4, 0], y[:4], [str(i) for i in range(classes)])


@pytest.mark.parametrize("arch", ARCHITECTURES, ids=lambda a: f"{a['name']}-{a.get('weight')}-{a.get('act')}")
def test_a_step_stays_on_the_device(arch: dict[str, Any]) -> None:
    network = on_meta(arch)
    config = TrainConfig(epochs=1, batch_size=8, noise=1.0, adversarial=1.0, distill=0.5)
    trainer = Trainer(network, clips(network.input.shape, 12), config, [on_meta({"name": "dscnn"})])
    (x, y), *_ = trainer._batches()
    assert x.device.type == "cpu"
    loss = trainer._loss(0, x.to("meta"), y.to("meta"))
    loss.backward()
    assert loss.device.type == "meta"
    assert all(p.grad is None or p.grad.device.type == "meta" for p in network.parameters())


def test_mixing_devices_would_be_seen() -> None:
    with pytest.raises(RuntimeError, match="device"):
        torch.ones(3) + torch.ones(3, device="meta")


@pytest.mark.parametrize("name", ["cuda:99", "abacus"])
def test_a_device_that_is_not_there(name: str) -> None:
    with pytest.raises(UsageError, match=f"--device {name}: cannot be used") as caught:
        devices.choose(name)
    assert "\n" not in str(caught.value)


def test_auto_is_there() -> None:
    assert devices.choose("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
