"""Policies: overrides by layer name, edgebnn.toml, and what wins over what."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from click.testing import CliRunner  # noqa: E402

from edgebnn import models  # noqa: E402
from edgebnn.cli.train import train  # noqa: E402
from edgebnn.converters import load_model  # noqa: E402
from edgebnn.errors import EdgebnnError, UsageError  # noqa: E402
from edgebnn.host import Runtime  # noqa: E402
from edgebnn.ir import reference  # noqa: E402
from edgebnn.passes import lower  # noqa: E402
from edgebnn.plan import plan  # noqa: E402
from edgebnn.targets import load as load_target  # noqa: E402
from edgebnn.train.digits import load_digits  # noqa: E402
from edgebnn.train.policy import parse_override, read_config, with_overrides  # noqa: E402

SMALL = {"name": "cnn", "channels": 8, "blocks": 3, "stem_stride": 2}
FILE = """
[train]
epochs = 1
batch-size = 240
[policy]
act = "lsq:4"
before = "none"
[layers."blocks.[01].*"]
weight = "twn"
[layers."blocks.1.*"]
weight = "int8"
act = "lsq:8"
[layers."blocks.2.conv"]
act = "sign"
before = "rsign"
after = "rprelu"
padding = "one"
"""


def kinds(network: models.Network) -> list[tuple[str, str]]:
    return [(block.conv.weight_quantizer.kind, block.conv.act.dtype) for block in network.blocks]


def test_overrides_reach_the_layers_they_name() -> None:
    layers = {"blocks.*": {"weight": "twn"}, "blocks.1.conv": {"act": "sign", "padding": "one"}}
    network = models.build({**SMALL, "layers": {**layers, "head": {"weight": "int:4"}}})
    assert kinds(network) == [("ternary", "u2"), ("ternary", "b1"), ("ternary", "u2")]
    assert [block.conv.pad_mode for block in network.blocks] == ["zero", "one", "zero"]
    assert network.head.weight_quantizer.bits == 4 and network.stem.weight_quantizer.bits == 8
    kws = models.build({"name": "kws1d", "channels": 8, "layers": {"blocks.3.*": {"after": "hardtanh"}}})
    assert [block.after is not None for block in kws.blocks] == [False, False, False, True]
    ds = models.build(
        {"name": "dscnn", "channels": 8, "weight": "int8", "layers": {"layers.2.*": {"weight": "int:4"}}}
    )
    assert [layer.conv.weight_quantizer.bits for layer in ds.layers][:4] == [8, 8, 4, 8]


@pytest.mark.parametrize(
    ("layers", "message", "hint"),
    [
        ({"block.0.conv": {"weight": "twn"}}, "pattern 'block.0.conv' matches no layer", "'blocks.0.conv'"),
        ({"blocks.*": {"wieght": "twn"}}, "unknown key 'wieght'", "'weight'"),
        ({"blocks.*": {"weight": "binery"}}, "unknown weight quantiser 'binery'", "'binary'"),
        ({"blocks.*": {"act": "lsg:2"}}, "unknown activation quantiser 'lsg'", "'lsq'"),
        ({"blocks.*": {"padding": "ones"}}, "unknown padding 'ones'", "'one'"),
        ({"stem": {"act": "lsq:2"}}, "no layer it matches takes 'act'", ""),
        ({"blocks.*": "twn"}, "expected settings", ""),
    ],
)
def test_bad_overrides_are_refused(layers: dict, message: str, hint: str) -> None:
    with pytest.raises(EdgebnnError, match=message) as caught:
        models.build({**SMALL, "layers": layers})
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[polcy]\nact = 'sign'", "unknown table 'polcy'", "'policy'"),
        ("[policy]\nactt = 'sign'", r"\[policy\]: unknown key 'actt'", "'act'"),
        ("[policy]\nends = 'int9'", "unknown weight quantiser 'int9'", "'int'"),
        ("[layers.'blocks.*']\nact = 3", "act must be a text", ""),
        ("layers = 3", "layers must be a table", ""),
        ("[policy", "not a TOML file", ""),
    ],
)
def test_bad_files_are_refused(text: str, message: str, hint: str, tmp_path: Path) -> None:
    (tmp_path / "e.toml").write_text(text)
    with pytest.raises(UsageError, match=rf"e\.toml: .*{message}") as caught:
        read_config(tmp_path / "e.toml")
    assert hint in (caught.value.hint or "")


def test_parse_override() -> None:
    assert parse_override("blocks.*=weight=int:4,act=lsq:2") == (
        "blocks.*",
        {"weight": "int:4", "act": "lsq:2"},
    )
    for text in ("blocks.*", "=weight=twn", "a=weight", "a=weight=,act=sign"):
        with pytest.raises(UsageError, match="--layer"):
            parse_override(text)
    merged = with_overrides(SMALL, {"before": "none", "ends": "int:4"}, {"blocks.*": {"act": "sign"}})
    assert merged["ends"] == "int:4" and merged["layers"] == {"blocks.*": {"before": "none", "act": "sign"}}


def run(*arguments: str, **environment: str) -> tuple[int, str, Exception | None]:
    command = ["digits", "--width", "8", "--threads", "1", "--json", *arguments]
    result = CliRunner().invoke(train, command, env=environment)
    return result.exit_code, result.stdout, result.exception


def test_flag_over_environment_over_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network of a file's policy trains, converts and runs bit-exactly; flags and variables win over it."""
    monkeypatch.chdir(tmp_path)
    Path("edgebnn.toml").write_text(FILE)
    code, out, error = run("--out", "a.pt")
    assert code == 0, error
    arch = json.loads(out)["arch"]
    assert arch["act"] == "lsq:4" and len(json.loads(out)["history"]) == 1
    network = models.load(Path("a.pt")).network
    assert kinds(network) == [("ternary", "u4"), ("s8", "s8"), ("binary", "b1")]
    graph = lower(load_model(Path("a.pt")))
    runtime = Runtime(plan(graph, load_target("host")))
    for x in load_digits().val[:3]:
        np.testing.assert_array_equal(runtime.run(x), reference.run(graph, x)[graph.output])
    code, out, _ = run("--out", "b.pt", EDGEBNN_TRAIN_EPOCHS="2", EDGEBNN_TRAIN_ACT="lsq:3")
    assert len(json.loads(out)["history"]) == 2 and json.loads(out)["arch"]["act"] == "lsq:3"
    flags = ("--epochs", "3", "--layer", "blocks.2.*=padding=zero", "--layer", "blocks.1.*=act=lsq:4")
    code, out, _ = run("--out", "b.pt", *flags, EDGEBNN_TRAIN_EPOCHS="2")
    assert len(json.loads(out)["history"]) == 3
    assert models.load(Path("b.pt")).network.blocks[2].conv.pad_mode == "zero"
    Path("other.toml").write_text("[train]\nepochs = 'many'")
    for text, message in (
        ("[train]\nepochs = 'many'", r"other.toml: \[train\]: epochs: 'many' is not a valid"),
        ("[train]\nepoch = 3", r"other.toml: \[train\]: unknown key 'epoch'"),
        ("[train]\nact = 'sign'", "act belongs under"),
    ):
        Path("other.toml").write_text(text)
        code, _, error = run("--out", "c.pt", "--config", "other.toml")
        assert isinstance(error, UsageError) and code != 0
        with pytest.raises(UsageError, match=message):
            raise error
    assert not Path("c.pt").exists()


def test_low_bit_separable_networks_keep_ends_and_depthwise_layers_int8() -> None:
    network = models.build({"name": "dscnn", "blocks": 2, "weight": "xnor", "act": "int8:unsigned"})
    kinds = [m.weight_quantizer.kind for m in network.modules() if hasattr(m, "weight_quantizer")]
    assert kinds == ["s8", "s8", "binary", "s8", "binary", "s8"]
    network = models.build({"name": "dscnn", "blocks": 1})
    assert {m.weight_quantizer.kind for m in network.modules() if hasattr(m, "weight_quantizer")} == {"float"}
