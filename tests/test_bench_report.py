"""``edgebnn bench``: the schema of its JSON, figures that are required beside measured ones, passes, threads."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from click.testing import CliRunner

from edgebnn.bench import layers, measure, networks, optional, page, report, session
from edgebnn.bench.measure import KERNEL, MEMORY, OURS, Timing
from edgebnn.bench.required import LITERT, RATIOS, required
from edgebnn.cli.bench import bench
from edgebnn.errors import ToolchainError, UsageError
from edgebnn.host.runtime import library
from edgebnn.targets import cpu

LAYER = layers.BINARY[0]
SMALL = layers.Layer("3x3 6x5x32", 6, 5, 32, 32, 3)
SETTINGS = report.Settings("edgebnn bench", 3, 2)

try:
    library()
    AVX2 = cpu.supports("avx2")
except ToolchainError:
    AVX2 = False
needs_avx2 = pytest.mark.skipif(not AVX2, reason="needs AVX2 and the host runtime")


def few_contenders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few processes and short rounds."""
    names = (OURS, KERNEL, "edgebnn, ternary weights", "oneDNN fp32")
    only = [c for c in measure.contenders("avx2") if c.name in names]
    monkeypatch.setattr(measure, "contenders", lambda isa: only)
    monkeypatch.setattr(measure, "ROUND", 0.0005)


def timing(*us: float, **about: Any) -> Timing:
    return Timing(us, about)


def passes(**peers: float) -> list[dict[str, Timing]]:
    """Two passes: ours takes 2 and 4 us, the others so many times as long."""
    made = []
    for us in (2.0, 4.0):
        ours = timing(us, us, us, kernels=["k"])
        others = {name: timing(us * x, us * x, us * x) for name, x in peers.items()}
        made.append({OURS: ours, KERNEL: ours, **others})
    return made


def check_schema(document: dict[str, Any]) -> None:
    """{"cpu", "isa", "results": [{"shape", "isa", "us", "mac_per_s", "peers": {NAME: {"us", "ratio"}}}]}, and more."""
    assert isinstance(document["cpu"], str) and document["cpu"]
    assert isinstance(document["isa"], list) and document["isa"]
    for entry in document["results"]:
        assert isinstance(entry["shape"], str) and entry["isa"] in document["isa"]
        assert entry["us"] > 0 and entry["mac_per_s"] > 0
        for peer in entry["peers"].values():
            assert peer["us"] > 0 and peer["ratio"] == pytest.approx(peer["us"] / entry["us"], rel=0.9)
            assert len(peer["passes"]) == document["passes"]


def test_results_keep_the_schema() -> None:
    made = passes(**{"oneDNN int8": 9.0, "edgebnn, ternary weights": 1.5})
    made = [{**p, LITERT: timing(8.0, 8.0, 16.0, isa="any")} for p in made]
    made[1]["Larq Compute Engine"] = Timing((), {}, "no answer within 60 s")
    made[0]["Larq Compute Engine"] = timing(1.0, 1.0, 1.0)
    entry = report.result(LAYER, "avx2", made)
    assert entry["us"] == 3.0 and entry["passes_us"] == [2.0, 4.0]
    assert entry["mac_per_s"] == round(LAYER.macs / 3e-6)
    assert set(entry["peers"]) == {"oneDNN int8", LITERT}
    xnnpack = entry["peers"][LITERT]
    assert xnnpack["ratio"] == 3.0 and xnnpack["passes"] == [4.0, 2.0] and xnnpack["isa"] == "any"
    assert entry["own"]["edgebnn, ternary weights"]["ratio"] == 1.5
    assert entry["failed"] == {"Larq Compute Engine": "no answer within 60 s"}
    broken = report.result(LAYER, "avx512", [{OURS: Timing((), {}, "no kernel")}])
    document = report.document([entry, broken], ["avx2", "avx512"], {}, SETTINGS)
    check_schema(json.loads(json.dumps(document)))
    assert len(document["results"]) == 1 and document["failed"][0]["error"] == "no kernel"
    text = page.markdown(document)
    assert "8 us (any ISA): layer 3.0x [2.0-4.0]" in text and "no answer within 60 s" in text
    assert "avx512, 3x3 56x56x64, binary x b1: no kernel" in text


def required_of(entries: list[dict[str, Any]], **settings: Any) -> dict[str, dict[str, Any]]:
    made = report.document(entries, ["avx2"], {}, report.Settings("", 3, 2, **settings))
    return {figure.what: figure.to_dict() for figure in required(made)}


def test_verdicts_follow_the_data() -> None:
    least = RATIOS["avx2", "oneDNN int8"][0][0]
    names = {"edgebnn, 2-bit activations": 2.2, "edgebnn, ternary weights": 1.6}
    for ratio, verdict in ((least, "met"), (least - 0.1, "MISSED")):
        entry = report.result(LAYER, "avx2", passes(**{"oneDNN int8": ratio}, **names))
        found = required_of([entry])
        int8 = found["3x3 56x56x64, binary: oneDNN int8 / ours"]
        assert (int8["verdict"], int8["required"], int8["measured"]) == (verdict, least, ratio)
        assert found["3x3 56x56x64, binary: oneDNN fp32 / ours"]["verdict"] == "not measured"
        assert found["3x3 56x56x64: 2-bit activations / binary, 1-bit"]["verdict"] == "MISSED"
        assert found["3x3 56x56x64: ternary weights / binary, 1-bit"]["verdict"] == "met"
    document = report.document([entry], ["avx2"], {}, SETTINGS)
    document["required"] = list(found.values())
    text = page.markdown(document)
    assert "1 met, 2 MISSED, 1 not measured." in text
    assert f"| at least {least:g}x | 12x | 7.90x | 7.90-7.90 | MISSED |" in text
    assert required_of([entry], threads=2) == {}


def test_streaming_is_judged_by_the_memory_of_the_same_rounds() -> None:
    layer = next(x for x in layers.OTHERS if x.streaming)
    for share, verdict in ((0.71, "met"), (0.69, "MISSED")):
        us = layer.weight_bytes / 10e3 / share  # memory gives 10 GB/s
        memory = layer.weight_bytes / 10e3
        one = {OURS: timing(us, us, us, kernels=["k"]), MEMORY: timing(memory, memory, memory)}
        (figure,) = required_of([report.result(layer, "avx2", [one, one])]).values()
        assert (figure["required"], figure["verdict"]) == (28.0, verdict)


def test_every_required_figure_has_its_row() -> None:
    """With every layer and network there, as many figures as are required of both instruction sets."""
    entries = []
    for isa in ("avx2", "avx512"):
        entries += [report.result(x, isa, passes(**{MEMORY: 0.9})) for x in layers.LAYERS]
        about = {"macs": 10**9, "weight_bytes": 1, "arena": 1, "kernels": []}
        one = {OURS: timing(1, 1, 1, **about), networks.TORCH: timing(7, 7, 7)}
        entries += [report.network(name, isa, [one, one]) for name in networks.NETWORKS]
    document = report.document(entries, ["avx2", "avx512"], {}, SETTINGS)
    check_schema(document)
    figures = required(document)
    assert len(figures) == 2 * (6 * 2 + 2 * 6 + 1 + 1) + 2 + 1
    resnet = [f for f in figures if f.what.startswith("binary ResNet-18")]
    assert [f.met for f in resnet] == [True, True]
    # what failed is there as not measured
    names = [
        report.result(x, isa, [{OURS: Timing((), {}, "no")}])
        for x in layers.LAYERS
        for isa in document["isa"]
    ]
    names += [{"kind": "network", "shape": name, "isa": "any", "error": "no"} for name in networks.NETWORKS]
    gone = required(report.document(names, ["avx2", "avx512"], {}, SETTINGS))
    assert len(gone) == len(figures) and all(f.met is None for f in gone)


@needs_avx2
def test_the_command_measures_and_writes(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small layer, ours and PyTorch in processes, two passes; the JSON on standard output is the file's."""
    pytest.importorskip("torch")
    few_contenders(monkeypatch)
    monkeypatch.setattr(layers, "LAYERS", (SMALL,))
    words = ["--isa", "avx2", "--rounds", "3", "--passes", "2", "--json", "-o", str(tmp_path)]
    done = CliRunner().invoke(bench, words, catch_exceptions=False)
    document = json.loads(done.stdout)
    check_schema(document)
    assert document == json.loads((tmp_path / "results.json").read_text())
    (entry,) = document["results"]
    assert "oneDNN fp32" in entry["peers"] and set(entry["own"]) == {"edgebnn, ternary weights"}
    assert "## Layers, avx2" in (tmp_path / "results.md").read_text()
    for words, message in (
        (["--layers", "nothing"], "no layer's name contains it"),
        (["--networks", "--layers", "nothing"], "no network's name contains it"),
        (["--isa", "sse"], "--isa sse: this processor has"),
    ):
        done = CliRunner().invoke(bench, words)
        assert isinstance(done.exception, UsageError) and message in str(done.exception)


@needs_avx2
def test_threads_are_those_of_ours_and_the_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    few_contenders(monkeypatch)
    settings = report.Settings("edgebnn bench --threads 2", 3, 1, 2)
    document = session.Session(["avx2"], [SMALL], [], settings).run()
    check_schema(document)
    (entry,) = document["results"]
    assert set(entry["peers"]) == {"oneDNN fp32"} and "kernel_us" not in entry
    assert document["clock"] == "wall clock" and "2 threads" in page.markdown(document)
    assert document["required"] == []


def test_the_make_target_adds_predictions(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.x86 import __main__ as target

    def measured(self: session.Session) -> dict[str, Any]:
        made = report.document([], self.isas, {}, self.settings)
        return {**made, "required": []}

    monkeypatch.setattr(session.Session, "run", measured)
    monkeypatch.setattr(optional, "find", lambda options: ([], ["a peer"]))
    monkeypatch.setattr(cpu, "supports", lambda isa: True)
    words = ["--passes", "2", "-o", str(tmp_path), "--larq-python", sys.executable]
    monkeypatch.setattr(target.predictions, "lacking", lambda: ["llvm-mca"])
    assert target.main(words) == 0
    document = json.loads((tmp_path / "results.json").read_text())
    assert document["missing"] == ["NEON by llvm-mca: llvm-mca not installed"] and not document["required"]
    assert document["command"] == 'make bench-x86 ARGS="--passes 2"' and document["rounds"] == 9

    loop = target.predictions.LOOPS[0]
    found = target.predictions.Prediction(loop, "gcc", 90, 0, (50.0, 60.0, 170.0, 171.0))
    monkeypatch.setattr(target.predictions, "lacking", list)
    monkeypatch.setattr(target.predictions, "predict", lambda names: [found])
    assert target.main(words) == 0
    figures = json.loads((tmp_path / "results.json").read_text())["required"]
    assert [(f["required"], f["aim"], f["verdict"]) for f in figures] == [
        (56, 70, "MISSED"),
        (170, 200, "met"),
    ]
    assert "MISSED" in (tmp_path / "results.md").read_text()
    assert target.main(["--isa", "sse"]) == 2
