"""The command line: start-up, help, and the JSON documents other tools rely on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest

from edgebnn import ir, targets
from edgebnn.cli import COMMANDS, cli, main
from edgebnn.ir import reference
from edgebnn.plan.kernels import kernels


def call(*args: str | Path) -> int:
    """Runs the command line in this process and returns its exit code."""
    with pytest.raises(SystemExit) as stop:
        main([str(arg) for arg in args])
    return int(stop.value.code or 0)


def python(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *args], capture_output=True, text=True, env={**os.environ, **env}, check=False
    )


def cpu_seconds(*args: str) -> float:
    """Processor time of a Python command, best of three: wall time depends on what else runs."""
    best = float("inf")
    for _ in range(3):
        before = os.times()
        assert python(*args).returncode == 0
        after = os.times()
        best = min(best, after[2] + after[3] - before[2] - before[3])
    return best


def commands() -> list[tuple[str, ...]]:
    """Every command as its words: ("convert",), ("train", "kws"), ..."""
    found: list[tuple[str, ...]] = []
    for name in sorted(COMMANDS):
        command = cli.get_command(click.Context(cli), name)
        assert command is not None and command.name == name
        found += [(name, sub) for sub in command.commands] if isinstance(command, click.Group) else [(name,)]
    return found


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_has_help_with_an_example_and_json(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*words, "--help") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert f"Usage: edgebnn {' '.join(words)} " in text
    assert f"Example: edgebnn {' '.join(words)} " in text
    assert "--json" in text


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--version") == 0
    assert capsys.readouterr().out.startswith("edgebnn, version ")


def test_help_starts_fast_and_imports_little() -> None:
    code = "import sys, edgebnn.cli\ntry: edgebnn.cli.main(['--help'])\nexcept SystemExit: pass\n"
    done = python("-c", code + "print([m for m in ('numpy', 'torch', 'rich', 'cffi') if m in sys.modules])")
    assert done.stdout.splitlines()[-1] == "[]"
    assert cpu_seconds("-m", "edgebnn", "--help") < 0.4


def test_targets_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("targets", "--json") == 0
    listed = json.loads(capsys.readouterr().out)["targets"]
    assert [target["name"] for target in listed] == targets.names()
    assert {"cortex-m0", "cortex-m4", "cortex-m55", "host"} <= set(targets.names())


def test_run_json_agrees_with_the_reference(
    tiny_graph: ir.Graph, tiny_ebnn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x = np.random.default_rng(1).integers(-128, 128, (3, 6, 5, 3)).astype(np.int8)
    np.save(tmp_path / "one.npy", x[0])
    np.save(tmp_path / "all.npy", x)
    expected = [reference.run(tiny_graph, clip)[tiny_graph.output].ravel() for clip in x]
    labels = tiny_graph.meta["labels"]

    assert call("run", tiny_ebnn, tmp_path / "one.npy", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert set(answer) == {"label", "index", "scores", "isa", "threads", "kernels"}
    assert answer["isa"] == targets.load("host").isa[0]
    assert {k["kernel"] for k in answer["kernels"]} <= set(kernels())
    assert [k["layer"] for k in answer["kernels"] if k["layer"] in ("stem", "softmax")] == ["stem", "softmax"]
    assert answer["index"] == int(expected[0].argmax())
    assert answer["label"] == labels[answer["index"]]
    assert answer["scores"] == pytest.approx(((expected[0] + 128) / 256).tolist(), abs=1e-6)

    assert call("run", tiny_ebnn, tmp_path / "all.npy", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert [row["index"] for row in answer["results"]] == [int(y.argmax()) for y in expected]
    assert answer["results"][0]["label"] == answer["label"]


def test_isa_overrides_the_variable(
    tiny_ebnn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "x.npy", np.ones((6, 5, 3), np.int8))
    monkeypatch.setenv("EDGEBNN_ISA", "word64")
    answers = {}
    for words in ((), ("--isa", "portable")):
        assert call("run", tiny_ebnn, tmp_path / "x.npy", "--json", *words) == 0
        answer = json.loads(capsys.readouterr().out)
        answers[answer["isa"]] = answer
    assert set(answers) == {"word64", "portable"}
    assert all(k["kernel"].endswith("__portable") for k in answers["portable"]["kernels"])
    assert answers["word64"]["scores"] == answers["portable"]["scores"]
    assert call("run", tiny_ebnn, tmp_path / "x.npy", "--isa", "mve") == 2
    assert "instruction set mve: this processor has" in capsys.readouterr().err


def test_doctor(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDGEBNN_DATA", str(tmp_path))
    assert call("doctor", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["isa"]["used"] == targets.load("host").isa[0]
    assert report["isa"]["available"][-2:] == ["word64", "portable"]
    assert report["runtime"]["built"] and report["data"]["exists"]
    assert {tool["name"] for tool in report["compilers"]} >= {
        t.compiler for t in map(targets.load, targets.names())
    }
    assert "EDGEBNN_DATA" not in [entry["name"] for entry in report["missing"]]

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("EDGEBNN_ISA", "none such")
    monkeypatch.delenv("EDGEBNN_DATA")
    assert call("doctor", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    missing = {entry["name"]: entry["get"] for entry in report["missing"]}
    assert missing["gcc"] == "sudo apt-get install gcc" and "EDGEBNN_DATA" in missing
    assert report["isa"]["used"] is None and "EDGEBNN_ISA=none such" in report["isa"]["error"]

    assert call("doctor") == 0
    text = capsys.readouterr().out
    assert "missing: qemu-aarch64, for" in text and "sudo apt-get install qemu-user" in text


def test_doctor_looks_for_the_peers_of_bench(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    python = tmp_path / "python"
    answer = '{"versions": {"Larq Compute Engine": "0.16.0"}, "isa": "any"}'
    python.write_text(f"#!/bin/sh\nread request\necho '{answer}'\n")
    python.chmod(0o755)
    monkeypatch.setenv("EDGEBNN_LITERT_PYTHON", str(tmp_path / "none"))
    assert call("doctor", "--larq-python", python, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    litert, larq = report["peers"]
    assert larq["name"] == "Larq Compute Engine" and larq["version"] == "0.16.0"
    assert larq["python"] == str(python) and "get" not in larq
    assert litert["name"] == "LiteRT/XNNPACK int8" and "none: no such program" in litert["error"]
    missing = {entry["name"]: entry["get"] for entry in report["missing"]}
    assert "ai-edge-litert" in missing["LiteRT/XNNPACK int8"]
    monkeypatch.delenv("EDGEBNN_LITERT_PYTHON")
    python.write_text("#!/bin/sh\necho no module >&2\nexit 1\n")
    assert call("doctor", "--larq-python", python) == 0
    text = capsys.readouterr().out
    assert (
        "missing: Larq Compute Engine, for bench" in text and "--larq-python or EDGEBNN_LARQ_PYTHON" in text
    )


def test_eval_json(
    tiny_graph: ir.Graph, tiny_ebnn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x = np.random.default_rng(2).integers(-128, 128, (10, 6, 5, 3)).astype(np.int8)
    y = np.array([reference.run(tiny_graph, clip)[tiny_graph.output].argmax() for clip in x])
    y[:4] = (y[:4] + 1) % 4
    for names in (("features", "label"), ("x", "y")):
        np.savez(tmp_path / "data.npz", **dict(zip(names, (x, y), strict=True)))
        assert call("eval", tiny_ebnn, "--data", tmp_path / "data.npz", "--json") == 0
        assert json.loads(capsys.readouterr().out) == {"accuracy": 0.6, "n": 10}


def test_run_works_without_torch_and_quickly(tiny_ebnn: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((6, 5, 3), np.int8))
    block = "import sys; sys.modules['torch'] = None; from edgebnn.cli import main; main(sys.argv[1:])"
    done = python("-c", block, "run", str(tiny_ebnn), str(tmp_path / "x.npy"), "--json")
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) >= {"label", "index", "scores"}
    assert cpu_seconds("-m", "edgebnn", "run", str(tiny_ebnn), str(tmp_path / "x.npy")) < 0.5


def test_convert_writes_the_promised_folder(
    tiny_ebnn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert call("convert", tiny_ebnn, "--target", "cortex-m4", "-o", out, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report == json.loads((out / "report.json").read_text())
    assert {path.name for path in out.iterdir()} >= {
        "tiny.c",
        "tiny.h",
        "tiny.ebnn",
        "ebnn_model.h",
        "report.json",
    }
    assert report["name"] == "tiny" and report["target"] == "cortex-m4"
    assert set(report["flash"]) >= {"weights", "constants", "total"}
    assert report["flash"]["total"] == report["flash"]["weights"] + report["flash"]["constants"]
    assert report["arena"] >= 6 * 5 * 8
    assert report["kernels"] and report["sources"]
    for layer in report["layers"]:
        assert {"name", "op", "kernel", "in_dtype", "weight_dtype", "out_dtype"} <= set(layer)
        assert {"in_shape", "out_shape", "macs", "weight_bytes", "constant_bytes", "scratch"} <= set(layer)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_convert_is_deterministic_and_replaces(tiny_ebnn: Path, tmp_path: Path) -> None:
    def snapshot(folder: Path) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}

    args = ("convert", tiny_ebnn, "--target", "cortex-m4", "-o")
    assert call(*args, tmp_path / "a") == 0
    assert call(*args, tmp_path / "b") == 0
    assert snapshot(tmp_path / "a") == snapshot(tmp_path / "b")
    (tmp_path / "a" / "notes.txt").write_text("mine")
    assert call(*args, tmp_path / "a", "--name", "other") == 0
    names = set(snapshot(tmp_path / "a"))
    assert {"other.c", "other.h", "other.ebnn", "notes.txt"} <= names
    assert not {"tiny.c", "tiny.h", "tiny.ebnn"} & names


def test_a_ram_budget_is_kept_and_verified(
    tiny_ebnn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ("convert", tiny_ebnn, "--target", "cortex-m4", "--json", "-o", tmp_path / "out")
    assert call(*args) == 0
    free = json.loads(capsys.readouterr().out)["arena"]
    assert call(*args, "--ram", str(free)) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["arena"] <= free and report["ram_budget"] == free
    assert call("verify", tmp_path / "out", "--on", "reference,host", "-n", "1") == 0


def test_convert_of_a_conversion_is_the_same(tiny_ebnn: Path, tmp_path: Path) -> None:
    assert call("convert", tiny_ebnn, "--target", "cortex-m0", "-o", tmp_path / "a") == 0
    assert (tmp_path / "a" / "tiny.ebnn").read_bytes() == tiny_ebnn.read_bytes()
    assert call("convert", tmp_path / "a" / "tiny.ebnn", "--target", "cortex-m0", "-o", tmp_path / "b") == 0
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_verify_json(tiny_ebnn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("convert", tiny_ebnn, "--target", "cortex-m4", "-o", tmp_path / "out") == 0
    capsys.readouterr()
    assert call("verify", tmp_path / "out", "--on", "reference,host,c", "-n", "5", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["identical"] is True
    assert result["executions"] == ["reference", "host", "c"]
    assert result["inputs"] == 5
    assert result["difference"] is None
