"""What ``edgebnn convert`` says of a plan: the other --optimize, budgets, slow layers, milliseconds."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from edgebnn import ir
from edgebnn.cli import main


def convert(*args: str | Path) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["convert", *map(str, args)])
    return int(stop.value.code or 0)


def test_the_other_choice_is_what_it_would_be(
    tiny_ebnn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reports = {}
    for optimize in ("speed", "size"):
        out = tmp_path / optimize
        assert convert(tiny_ebnn, "--target", "cortex-m4", "--optimize", optimize, "-o", out) == 0
        assert f"optimized for {optimize}: " in capsys.readouterr().out
        reports[optimize] = json.loads((out / "report.json").read_text())
    for this, other in (("speed", "size"), ("size", "speed")):
        told, real = reports[this]["other_choice"], reports[other]
        assert told["optimize"] == other == real["optimize"]
        assert (told["flash"], told["arena"]) == (real["flash"]["total"], real["arena"])
        assert told["estimated_cost"] == sum(layer["estimated_cost"] for layer in real["layers"])
    assert reports["size"]["flash"]["total"] < reports["speed"]["flash"]["total"]
    assert all("alternatives" in layer for layer in reports["speed"]["layers"])


def test_budgets_are_told(tiny_ebnn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = (tiny_ebnn, "--target", "cortex-m4", "-o", tmp_path / "out")
    assert convert(*args) == 0
    assert "budget:" not in capsys.readouterr().out
    free = json.loads((tmp_path / "out" / "report.json").read_text())
    flash = free["flash"]["total"]
    assert convert(*args, "--flash", str(flash - 1), "--ram", str(10 * free["arena"])) == 0
    out = capsys.readouterr().out
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    used = report["flash"]["total"]
    assert report["optimize"] == "size" and used < flash
    assert f"budget: flash {used:,} of {flash - 1:,} bytes" in out and "RAM" in out
    assert f"--optimize speed is no choice here (does not fit {flash - 1} bytes of flash)" in out


def test_a_layer_without_a_fast_kernel_runs_and_says_why(
    tiny_graph: ir.Graph, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stem = next(op for op in tiny_graph.ops if op.type == "conv2d" and op.attrs["weights"][0].size > 8)
    shift = np.array(stem.attrs["shift"]).copy()
    shift[0] = -23
    slow = stem.with_(attrs={**stem.attrs, "shift": shift})
    ir.save(tiny_graph.replace(slow if op is stem else op for op in tiny_graph.ops), tmp_path / "m.ebnn")
    assert convert(tmp_path / "m.ebnn", "--target", "cortex-m4", "-o", tmp_path / "out") == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if ": slow, " in line]
    assert len(lines) == 1
    assert lines[0].startswith(f"layer {stem.name}: slow, conv2d_s8__portable: ")
    assert "a requantisation shift is below -22" in lines[0]
    layers = json.loads((tmp_path / "out" / "report.json").read_text())["layers"]
    assert {layer["name"] for layer in layers if layer["slow_because"]} == {stem.name}
    with pytest.raises(SystemExit) as stop:
        main(["verify", str(tmp_path / "out"), "--on", "reference,host", "-n", "2"])
    assert not stop.value.code


@pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="needs arm-none-eabi-gcc")
def test_milliseconds_at_a_clock(tiny_ebnn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("unicorn")
    args = (tiny_ebnn, "--target", "cortex-m4", "-o", tmp_path / "out")
    assert convert(*args) == 0
    assert " ms " not in capsys.readouterr().out
    assert convert(*args, "--clock", "80MHz") == 0
    out = capsys.readouterr().out
    estimate = json.loads((tmp_path / "out" / "report.json").read_text())["estimate"]
    assert "at 80 MHz: " in out and "estimate, 0 wait states" in out
    assert estimate["estimated_ms"]["nominal"] == pytest.approx(estimate["cycles"]["nominal"] / 80e3)
    assert estimate["cycles"]["low"] <= estimate["cycles"]["nominal"] <= estimate["cycles"]["high"]
