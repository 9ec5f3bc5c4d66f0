"""Every quantiser trains on the digits, converts, and gives the same bytes in NumPy, on the host and on an
emulated Cortex-M4; the integer model predicts what the trained one does.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from click.testing import CliRunner  # noqa: E402

from edgebnn import models  # noqa: E402
from edgebnn.cli.train import train  # noqa: E402
from edgebnn.converters import load_model  # noqa: E402
from edgebnn.errors import ModelError  # noqa: E402
from edgebnn.host import Runtime  # noqa: E402
from edgebnn.ir import Graph, reference  # noqa: E402
from edgebnn.passes import lower  # noqa: E402
from edgebnn.plan import plan  # noqa: E402
from edgebnn.targets import load as load_target  # noqa: E402
from edgebnn.train.checkpoint import Checkpoint, save  # noqa: E402
from edgebnn.train.digits import load_digits  # noqa: E402
from edgebnn.train.kws import LabelledFeatures  # noqa: E402
from edgebnn.train.loop import TrainConfig, Trainer, predict  # noqa: E402
from edgebnn.train.quantizers import ACTIVATIONS, WEIGHTS, weight_quantizer  # noqa: E402

needs_m4 = pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="needs arm-none-eabi-gcc")
PLAIN = TrainConfig.plain(epochs=1, batch_size=32)
CASES = [
    *({"weight": name} for name in WEIGHTS if name != "float"),
    *(
        {"weight": name}
        for name in ("twn:std", "dorefa:1", "dorefa:4", "lsq:4", "int:4", "int:2", "int:8:tensor")
    ),
    *({"weight": name} for name in ("int:4:asymmetric", "int:7:asymmetric", "int:4:stochastic")),
    {"weight": "binary:stochastic"},
    *({"act": name} for name in ACTIVATIONS if name not in ("float", "bipolar")),
    *({"act": name, "pad_mode": "lowest"} for name in ("bipolar:2", "bipolar:3", "bipolar:4", "lsq:2")),
    {"act": "bipolar:2", "pad_mode": "lowest", "weight": "twn", "after": "rprelu"},
    *({"act": name} for name in ("xnor:learned", "lsq:1", "pact:1", "dorefa:1", "hwgq:1")),
    {"act": "dorefa:1", "weight": "abc"},
    {"act": "lsq:1", "weight": "twn", "after": "rprelu"},
    *({"act": name} for name in ("lsq:3", "lsq:4", "lsq:8", "pact:4", "dorefa:3", "hwgq:4", "int8:unsigned")),
    {"weight": "bitnet", "act": "int8"},
    {"weight": "bitnet158", "act": "int8"},
    {"weight": "bitnet158", "act": "int8:dynamic"},
    {"weight": "twn", "act": "sign"},
    {"weight": "lsq", "act": "sign"},
    {"act": "approx", "before": "shift", "after": "rprelu"},
    {"act": "sign", "pad_mode": "one", "after": "prelu"},
    {"act": "lsq:2", "before": "none"},
    {"act": "sign", "after": "hardtanh"},
    {"weight": "binary", "layers": {"blocks.1.*": {"shortcut": "no"}}},
    {"weight": "int8", "layers": {"blocks.0.*": {"shortcut": "no"}}},
    *(
        {"weight": weight, "act": act, "ewgs": "ewgs"}
        for weight, act in (("binary", "sign"), ("twn", "lsq:2"))
    ),
]


@pytest.fixture(scope="module")
def digits() -> LabelledFeatures:
    torch.set_num_threads(1)
    d = load_digits()
    return LabelledFeatures(d.variants[:320], d.label[:320], d.val[:24], d.val_label[:24], d.names)


def run_on_m4(graph: Graph, clips: np.ndarray) -> list[np.ndarray]:
    """Outputs of the Cortex-M4 kernels, emulated."""
    pytest.importorskip("unicorn")
    pytest.importorskip("elftools")
    from edgebnn.estimate.planned import PlannedMachine

    machine = PlannedMachine(plan(graph, load_target("cortex-m4")))
    return [machine.run(clip) for clip in clips]


@needs_m4
@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case.values())))
def test_trains_converts_and_runs_alike(case: dict, digits: LabelledFeatures, tmp_path: Path) -> None:
    if "weight" in case and weight_quantizer(case["weight"], 1).kind == "s8":
        case = {"act": "lsq:8", **case}
    case = dict(case)
    scaling = 1e-3 if case.pop("ewgs", None) else 0.0
    torch.manual_seed(0)
    network = models.build({"name": "cnn", "channels": 8, "blocks": 2, "stem_stride": 2, **case})
    before = {key: value.clone() for key, value in network.state_dict().items()}
    config = dataclasses.replace(PLAIN, gradient_scaling=scaling)
    metrics = Trainer(network, digits, config).run()
    assert np.isfinite(metrics["loss"])
    assert any(not torch.equal(network.state_dict()[key], before[key]) for key in before)
    save(tmp_path / "m.pt", Checkpoint(network, digits.names), compact=True)
    graph = lower(load_model(tmp_path / "m.pt"))
    runtime = Runtime(plan(graph, load_target("host")))
    integer, outputs = [], []
    for x in digits.val:
        tensors = reference.run(graph, x)
        outputs.append(tensors[graph.output])
        np.testing.assert_array_equal(runtime.run(x), outputs[-1])
        integer.append(int(np.argmax(tensors["logits:0"])))
    trained = predict(network, torch.from_numpy(digits.val)).numpy()
    np.testing.assert_array_equal(trained, integer)
    for got, expected in zip(run_on_m4(graph, digits.val[:4]), outputs, strict=False):
        np.testing.assert_array_equal(got, expected)


def test_float_layers_are_refused_by_name(digits: LabelledFeatures, tmp_path: Path) -> None:
    for change, message in (
        ({"weight": "float"}, "blocks.0.conv: weights are float"),
        ({"act": "float"}, "act"),
    ):
        network = models.build({"name": "cnn", "channels": 8, "blocks": 1, **change})
        save(tmp_path / "m.pt", Checkpoint(network, digits.names))
        with pytest.raises(ModelError, match=message):
            load_model(tmp_path / "m.pt")


def test_bad_architectures_are_refused() -> None:
    for change in (
        {"before": "gain"},
        {"after": "tanh"},
        {"pad_mode": "two"},
        {"channels": 0},
        {"kernel": 2.5},
    ):
        with pytest.raises(ModelError):
            models.build({"name": "cnn", **change})


def test_digits_command(tmp_path: Path) -> None:
    out = tmp_path / "digits.pt"
    arguments = ["digits", "--out", str(out), "--epochs", "4", "--width", "16", "--threads", "1", "--json"]
    result = CliRunner().invoke(train, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert document["val_accuracy"] > 0.5 and document["val_clips"] == 360
    assert models.load(out).labels == [str(i) for i in range(10)]
