"""explain and advise: what layers are and why, costs that are the planner's and the cost model's, recommendations."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
for package in ("unicorn", "elftools"):
    pytest.importorskip(package)
if not shutil.which("arm-none-eabi-gcc"):
    pytest.skip("needs arm-none-eabi-gcc", allow_module_level=True)

from click.testing import CliRunner  # noqa: E402

from edgebnn import models  # noqa: E402
from edgebnn.cli.advise import advise as advise_command  # noqa: E402
from edgebnn.cli.explain import explain as explain_command  # noqa: E402
from edgebnn.converters import load_model  # noqa: E402
from edgebnn.errors import ModelError, UsageError  # noqa: E402
from edgebnn.passes import lower  # noqa: E402
from edgebnn.search.advice import LADDER, advise  # noqa: E402
from edgebnn.search.cost import Budget, cost_of_arch, cost_of_plan, plan_of  # noqa: E402
from edgebnn.search.explain import explain  # noqa: E402
from edgebnn.train.checkpoint import Checkpoint, save  # noqa: E402
from edgebnn.train.untrained import untrained_graph  # noqa: E402

ARCH = {
    "name": "cnn",
    "channels": 8,
    "blocks": 2,
    "stem_stride": 2,
    "layers": {"blocks.1.*": {"weight": "int:4", "act": "int8"}},
}
LABELS = [str(i) for i in range(10)]


def checkpoint(path: Path, arch: dict) -> Path:
    network = models.build(arch)
    untrained_graph(network)  # sets the ranges
    save(path, Checkpoint(network, LABELS))
    return path


def test_explain_names_precision_reason_and_cost(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "m.pt", ARCH)
    result = explain(path, "cortex-m4", changes=2)
    layers = {layer.name: layer for layer in result.layers}
    assert layers["stem"].precision == "INT8, 8-bit inputs" and "the first layer" in layers["stem"].why
    assert layers["blocks.0.conv"].precision == "binary, 2-bit inputs"
    assert layers["blocks.0.conv"].why == "weight = 'binary', act = 'lsq:2'"
    assert layers["blocks.1.conv"].precision == "INT4, stored as INT8, 8-bit inputs"
    assert layers["blocks.1.conv"].why == "override 'blocks.1.*'"
    cost = cost_of_plan(plan_of(lower(load_model(path)), "cortex-m4"))
    assert sum(layer.bytes or 0 for layer in result.layers) == cost.flash
    assert sum(layer.cycles or 0 for layer in result.layers) == pytest.approx(cost.cycles, rel=0.01)
    changes = [c for c in layers["blocks.1.conv"].change if c.startswith("--layer")]
    assert changes and "weight=binary,act=lsq:2': -" in changes[0]
    # The advice is what the change costs when it is made.
    arch = {**ARCH, "layers": {"blocks.1.conv": {"weight": "binary", "act": "lsq:2"}}}
    saved = cost_of_arch(arch, "cortex-m4").flash - cost_of_arch(ARCH, "cortex-m4").flash
    assert f"{saved:+,} bytes" in changes[0]


def test_explain_takes_float_networks_and_ebnn_files(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "m.pt", {**ARCH, "layers": {}})
    from edgebnn.ir import save as save_graph

    save_graph(lower(load_model(path)), tmp_path / "m.ebnn")
    result = CliRunner().invoke(explain_command, [str(tmp_path / "m.ebnn"), "--json"], catch_exceptions=False)
    layers = {layer["name"]: layer for layer in json.loads(result.stdout)["layers"]}
    assert layers["blocks.1.conv"]["precision"] == "binary, 2-bit inputs"
    path = checkpoint(tmp_path / "b.pt", {**ARCH, "layers": {}, "act": "bipolar:2", "pad_mode": "lowest"})
    save_graph(lower(load_model(path)), tmp_path / "b.ebnn")
    for file in (path, tmp_path / "b.ebnn"):
        named = {layer.name: layer.precision for layer in explain(file, "cortex-m4", 0).layers}
        assert named["blocks.1.conv"] == "binary, bipolar 2-bit inputs"
        assert named["blocks.0.conv"] == "binary, bipolar 2-bit inputs"
    network = models.build({"name": "dscnn", "channels": 8, "blocks": 1})
    save(tmp_path / "f.pt", Checkpoint(network, [str(i) for i in range(12)]))
    result = explain(tmp_path / "f.pt", "cortex-m4")
    assert {layer.precision for layer in result.layers} == {"float"} and "4 layers are float" in result.notes[
        0
    ]
    text = CliRunner().invoke(explain_command, [str(tmp_path / "f.pt")], catch_exceptions=False).stdout
    assert "float" in text and "train with" in text
    with pytest.raises(UsageError, match="no such file"):
        explain(tmp_path / "none.pt", "cortex-m4")


def test_advice_follows_the_budgets() -> None:
    arch = {**models.build({**ARCH, "channels": 16, "layers": {}}).arch}
    free = advise(arch, "cortex-m4", Budget(), 5)
    assert free.choice.precision.label == "INT8" and "nothing need be given up" in free.reason
    costs = {o.precision.label: o.cost.flash for o in free.options}
    assert costs["binary, 1-bit activations"] < costs["ternary, 2-bit activations"] < costs["INT8"]
    tight = costs["binary, 4-bit activations"] + 300
    small = advise(arch, "cortex-m4", Budget(flash=tight), 5)
    assert small.choice.cost.flash <= tight and small.choice.precision.loss > LADDER[0].loss
    assert "needs" in small.reason and f"of {tight:,}" in small.reason
    with pytest.raises(ModelError, match=r"nothing within 0.5 points meets the budget; .* of 100 \(\+"):
        advise(arch, "cortex-m4", Budget(flash=100), 0.5)
    with pytest.raises(ModelError, match=r"no precision loses at most 0\.1 points"):
        advise(arch, "cortex-m4", Budget(flash=100), 0.1)


def test_advise_command(tmp_path: Path) -> None:
    result = CliRunner().invoke(advise_command, ["--task", "digits", "--json"], catch_exceptions=False)
    document = json.loads(result.stdout)
    assert document["recommendation"]["precision"]["weight"] == "int8" and len(document["options"]) == len(
        LADDER
    )
    for arguments, message in (
        ([], "give either --task or --model"),
        (["--task", "digits", "--model", "x.pt"], "give either"),
        (["--task", "digits", "--target", "cortex-m5"], "unknown target"),
    ):
        assert message in str(CliRunner().invoke(advise_command, arguments).exception)
