"""Post-training quantisation: ranges, solvers, and networks that convert and run bit-exactly."""

from __future__ import annotations

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
from edgebnn.train.loop import TrainConfig, Trainer  # noqa: E402
from edgebnn.train.ptq.apply import Settings, quantize_network  # noqa: E402
from edgebnn.train.ptq.calibrate import METHODS, choose, measure  # noqa: E402
from edgebnn.train.ptq.report import accuracy  # noqa: E402
from edgebnn.train.ptq.weights import SOLVERS, _error, project  # noqa: E402


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
    assert lost < (0.02 if settings.weights.startswith("int8") else 0.2)
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
