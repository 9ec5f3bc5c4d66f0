"""Post-training quantisation: ranges, solvers, and networks that convert and run bit-exactly."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from click.testing import CliRunner  # noqa: E402

from edgebnn import models  # noqa: E402
from edgebnn.cli.ptq import ptq  # noqa: E402
from edgebnn.converters import load_model  # noqa: E402
from edgebnn.errors import ModelError, UsageError  # noqa: E402
from edgebnn.host import Runtime  # noqa: E402
from edgebnn.ir import reference  # noqa: E402
from edgebnn.passes import lower  # noqa: E402
from edgebnn.plan import plan  # noqa: E402
from edgebnn.targets import load as load_target  # noqa: E402
from edgebnn.train.checkpoint import Checkpoint, save  # noqa: E402
from edgebnn.train.digits import load_digits  # noqa: E402
from edgebnn.train.kws import LabelledFeatures  # noqa: E402
from edgebnn.train.loop import TrainConfig, Trainer  # noqa: E402
from edgebnn.train.ptq.apply import Settings, quantize_network  # noqa: E402
from edgebnn.train.ptq.calibrate import METHODS, choose, measure  # noqa: E402
from edgebnn.train.ptq.differences import differences  # noqa: E402
from edgebnn.train.ptq.report import ALL, Row, accuracy  # noqa: E402
from edgebnn.train.ptq.weights import SOLVERS, _error, project  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def trained() -> models.Network:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    arch = {"name": "cnn", "channels": 12, "blocks": 2, "stem_stride": 2, "weight": "float", "act": "float"}
    network = models.build(arch)
    Trainer(network, load_digits(), TrainConfig.plain(epochs=4, batch_size=48, lr=0.01)).run()
    return network


def test_calibration_methods() -> None:
    rng = np.random.default_rng(0)
    batches = [rng.normal(0, 1, 4000) for _ in range(4)]
    batches[0][0] = 40.0  # an outlier
    limits = {method: choose(batches, method) for method in METHODS}
    assert limits["minmax"] == 40.0
    assert limits["moving"] == pytest.approx(40 * 0.729 + 3.9 * 0.271, abs=0.5)
    assert limits["percentile"] == pytest.approx(3.3, abs=0.2)
    assert 3 < limits["mse"] < 40 and 2 < limits["kl"] < 40
    errors = {m: measure(batches, limit) for m, limit in limits.items()}
    noise = {m: r.clip_error + r.round_error for m, r in errors.items()}
    assert noise["mse"] == min(noise.values())
    assert errors["minmax"].clipped == 0 and errors["minmax"].clip_error == 0
    assert errors["percentile"].clipped == pytest.approx(0.001, abs=3e-4)
    assert choose([np.zeros(3)], "kl") == 1e-6
    # By hand: values 1 and 3 on two steps up to 2: codes 1 and 2, 3 is clipped to 2.
    hand = measure([np.array([1.0, 3.0])], 2.0, levels=2)
    assert (hand.clipped, hand.clip_error, hand.round_error) == (0.5, 0.5, 0.0)
    with pytest.raises(UsageError, match="unknown calibration 'entropie'"):
        choose(batches, "entropie")


def test_differences_by_hand() -> None:
    arch = {"name": "cnn", "channels": 8, "blocks": 1, "weight": "float", "act": "float", "ends": "float"}
    torch.manual_seed(0)
    one, other = models.build(arch), models.build(arch)
    other.load_state_dict(one.state_dict())
    clips = load_digits().val[:4]
    assert all(d.weights == d.outputs == np.inf for d in differences(one, other, clips))
    assert differences(one, other, clips)[0].to_dict()["weights"] is None
    with torch.no_grad():
        other.head.weight.mul_(1.1)
        other.head.bias.mul_(1.1)
    *same, head = differences(one, other, clips)
    assert all(d.outputs == np.inf for d in same)
    # An error of a tenth: 20 dB.
    assert (head.layer, head.kind) == ("head", "float")
    assert head.weights == pytest.approx(20, abs=1e-4) and head.outputs == pytest.approx(20, abs=1e-4)
    with pytest.raises(ModelError, match="different layers"):
        differences(one, models.build({**arch, "blocks": 2}), clips)


@pytest.mark.parametrize("levels", ["binary", "ternary"])
def test_solvers_reduce_the_output_error(levels: str) -> None:
    generator = torch.Generator().manual_seed(1)
    mix = torch.randn(24, 24, generator=generator, dtype=torch.float64)
    x = torch.randn(400, 24, generator=generator, dtype=torch.float64) @ mix
    w = torch.randn(6, 24, generator=generator, dtype=torch.float64)
    hessian = x.T @ x / 400
    codes, scale = project(w, levels)
    plain = _error(w, codes * scale, hessian).sum()
    for name, solver in SOLVERS.items():
        q = solver(w, hessian, levels)
        for row in q:
            values = set(np.round(row.abs().numpy() / float(row.abs().max()), 9))
            assert values <= ({1.0} if levels == "binary" else {0.0, 1.0}), name
        assert _error(w, q, hessian).sum() < (1.0 if name == "grid" else 0.85) * plain, name
    # With inputs that do not depend on each other, no ternary fit of the weights is better than the projection's.
    best = project(torch.tensor([[0.1, -0.2, 1.0, -2.0]]), "ternary")
    assert best[0].tolist() == [[0, 0, 1, -1]] and best[1].tolist() == [[1.5]]


@pytest.mark.parametrize(
    "settings",
    [
        *(Settings("int8", calibration=method) for method in METHODS),
        Settings("int8:tensor", calibration="minmax"),
        Settings("int4"),
        Settings("pot", calibration="kl"),
        Settings("ternary", "admm"),
        Settings("binary", "gptq", drop=0.5),
        Settings("binary", "grid"),
    ],
    ids=lambda s: f"{s.weights}-{s.solver}-{s.calibration}",
)
def test_quantised_networks_convert_and_run_alike(
    settings: Settings, trained: models.Network, tmp_path: Path
) -> None:
    digits = load_digits()
    clips = torch.from_numpy(digits.variants[:128, 0])
    network, ranges = quantize_network(models.build, trained, clips, settings)
    assert set(ranges) >= {"stream", "pool_quant", "logits"} and all(r.limit > 0 for r in ranges.values())
    lost = accuracy(trained, digits) - accuracy(network, digits)
    assert lost < (0.2 if settings.weights in ("binary", "ternary") else 0.02)
    save(tmp_path / "q.pt", Checkpoint(network, digits.names), compact=True)
    graph = lower(load_model(tmp_path / "q.pt"))
    runtime = Runtime(plan(graph, load_target("host")))
    with torch.no_grad():
        steps = network(network.dequantize(torch.from_numpy(digits.val[:16]))) / network.logits.scale()
    differences = []
    for x, step in zip(digits.val, torch.round(steps).int().numpy(), strict=False):
        tensors = reference.run(graph, x)
        np.testing.assert_array_equal(runtime.run(x), tensors[graph.output])
        differences.append(np.abs(tensors["logits:0"].ravel() - step))
    # Roundings of the additions and of the quantisers' fixed point; logits have some 200 steps.
    assert np.max(differences) <= 3 and np.mean(differences) < 0.5


def test_command_and_bad_input(trained: models.Network, tmp_path: Path) -> None:
    digits = load_digits()
    save(tmp_path / "f.pt", Checkpoint(trained, digits.names))
    arguments = [str(tmp_path / "f.pt"), "--task", "digits", "--weights", "ternary", "--clips", "64"]
    out = tmp_path / "q.pt"
    result = CliRunner().invoke(ptq, [*arguments, "--out", str(out), "--json"], catch_exceptions=False)
    document = json.loads(result.stdout)
    assert document["methods"][0]["method"] == "ternary by gptq"
    assert document["methods"][0]["ranges"]["stream"]["limit"] > 0
    layers = {layer.pop("layer"): layer for layer in document["layers"]}
    assert [layers[name]["kind"] for name in ("stem", "blocks.0.conv", "head")] == ["s8", "ternary", "s8"]
    assert layers["stem"]["weights"] > 40 > layers["blocks.0.conv"]["weights"] > 0
    assert layers["stem"]["outputs"] is None, "INT8 in the float network too"
    assert 0 < layers["head"]["outputs"] < 40
    text = CliRunner().invoke(ptq, [*arguments, "--out", str(out)], catch_exceptions=False).stdout
    assert "SQNR of weights" in text and "blocks.1.conv" in text
    assert models.load(out).network.arch["weight"] == "twn"
    other = models.build({"name": "cnn", "channels": 4, "classes": 3, "weight": "float", "act": "float"})
    save(tmp_path / "o.pt", Checkpoint(other, ["a", "b", "c"]))
    for bad, message in (
        (["--weights", "binery", "--out", "x.pt"], "unknown weights 'binery'"),
        (["--solver", "adm", "--out", "x.pt"], "unknown solver 'adm'"),
        ([], "nothing to do"),
    ):
        error = CliRunner().invoke(ptq, [str(tmp_path / "f.pt"), "--task", "digits", *bad]).exception
        assert isinstance(error, UsageError) and message in str(error)
    error = CliRunner().invoke(ptq, [str(tmp_path / "o.pt"), "--task", "digits", "--compare"]).exception
    assert "its 3 classes are not the 10 of digits" in str(error)
    with pytest.raises(ModelError, match="already, not float"):
        quantize_network(models.build, models.load(out).network, torch.zeros(2, 8, 8, 1), Settings())


def test_report_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table has every method, after and in training, and says when the keyword data were missing."""
    spec = importlib.util.spec_from_file_location("ptq_report", ROOT / "scripts" / "ptq_report.py")
    assert spec and spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    digits = load_digits()
    few = LabelledFeatures(
        digits.variants[:256], digits.label[:256], digits.val[:40], digits.val_label[:40], digits.names
    )
    methods = (Settings(), Settings("ternary", "admm"), Settings("binary", "grid", drop=0.5))
    monkeypatch.setattr(script, "METHODS", methods)
    monkeypatch.setattr(script, "load_digits", lambda: few)
    monkeypatch.delenv("EDGEBNN_DATA", raising=False)
    out = tmp_path / "made" / "ptq.md"
    script.main(["--out", str(out), "--epochs", "1"])
    text = out.read_text()
    rows = [line for line in text.splitlines() if line.startswith(("| after", "| in "))]
    assert len(rows) == len(methods) + len(script.TRAINED) and len(set(rows)) == len(rows)
    assert all(0 <= float(row.split("|")[2]) <= 100 for row in rows)
    assert (
        "## Digits, 24 channels, 40 validation clips, 1 epochs" in text and "EDGEBNN_DATA was not set" in text
    )
    assert [path.name for path in out.parent.iterdir()] == ["ptq.md"]
    assert capsys.readouterr().out.splitlines() == rows


def test_committed_report_is_complete() -> None:
    text = (ROOT / "benchmarks" / "training" / "ptq.md").read_text()
    for title in ("Digits", "Keywords, one-dimensional network with PReLU", "Keywords, DS-CNN"):
        part = text.partition(f"## {title}")[2].partition("##")[0]
        for settings in ALL:
            assert f"| after training: {Row(settings, 0.0, {}).method} |" in part
        assert part.count("| in training: ") >= 2
