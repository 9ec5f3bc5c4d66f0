"""The training table: its schedule, its documents from stored runs, and the committed results."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from benchmarks.training import __main__ as program
from benchmarks.training import pareto, runs, table, train, versus

HERE = Path(program.__file__).resolve().parent


def store(work: Path, name: str, seed: int, accuracy: float) -> None:
    model = runs.find(name)
    assert model is not None
    path = train.checkpoint(work, name, seed)
    path.write_bytes(b"")
    report = {"val_accuracy": accuracy, "minutes": 2.0, "epochs": 3, "command": train.command(model, seed)}
    path.with_suffix(".json").write_text(json.dumps(report))


def test_schedule_trains_teachers_first_and_every_seed_once() -> None:
    order = [(model.name, seed) for model, seed in runs.schedule(3)]
    assert len(order) == len(set(order))
    assert order[: len(runs.TEACHERS)] == list(runs.TEACHERS)
    students = order[len(runs.TEACHERS) :]
    count = len({name for name, _ in students})
    assert {seed for _, seed in students[:count]} == {0}


def test_document_and_markdown_say_what_is_missing(tmp_path: Path) -> None:
    store(tmp_path, "kws1d-64-w1a2", 0, 0.9)
    store(tmp_path, "kws1d-64-w1a2", 2, 0.88)
    costs = {
        "kws1d-64-w1a2": {
            "size": {"bytes": 10, "cycles": 20, "arena": 30},
            "speed": {"bytes": 11, "cycles": 12, "arena": 13},
            "disagreements": 0,
        }
    }
    found = table.document(tmp_path, 3, costs)
    entry = found["kws1d-64-w1a2"]
    assert entry["val"] == [90.0, 88.0] and entry["seeds"] == [0, 2]
    assert (entry["bytes"], entry["cycles"], entry["arena"], entry["minutes"]) == (10, 20, 30, 2.0)
    text = table.markdown(found, 3)
    row = next(line for line in text.splitlines() if line.startswith("| kws1d-64-w1a2"))
    assert "89.00" in row and "2 (1 missing)" in row
    assert "dscnn-fp32" in text.split("Not trained yet:")[1]
    pareto.plot(found, tmp_path / "p.svg")
    assert ElementTree.parse(tmp_path / "p.svg").getroot().tag.endswith("svg")


def test_a_run_by_another_command_does_not_count(tmp_path: Path) -> None:
    store(tmp_path, "kws1d-64-w1a2", 0, 0.9)
    report = tmp_path / "kws1d-64-w1a2.0.json"
    report.write_text(report.read_text().replace("--epochs", "--epochs 1"))
    assert table.document(tmp_path, 3, {}) == {}


def test_front_keeps_what_nothing_cheaper_beats() -> None:
    assert pareto.front([(2, 5), (1, 4), (3, 5), (1, 3), (4, 6)]) == [(1, 4), (2, 5), (4, 6)]


def test_cost_of_the_control_at_an_accuracy() -> None:
    points = [(100.0, 80.0), (400.0, 90.0), (500.0, 85.0)]
    assert versus.at_accuracy(points, 85) == pytest.approx(200)
    assert versus.at_accuracy(points, 70) == 100
    assert versus.at_accuracy(points, 91) is None
    rows = {
        f"kws1d-{name}": {"val": [accuracy], "bytes": cost, "cycles": cost}
        for name, accuracy, cost in (
            ("24-int8", 80, 100),
            ("64-int8", 90, 400),
            ("a", 85, 50),
            ("b", 75, 120),
        )
    }
    lines = versus.section(rows)
    assert "| kws1d-a | 85.00 | 50 | 200 | 0.25 | 50 | 200 | 0.25 | - |" in lines
    assert "| kws1d-b | < 75.00 | 120 | 100 | 1.20 | 120 | 100 | 1.20 | bytes, cycles |" in lines


def test_errors_are_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert program.main(["--data", str(tmp_path), "--only", "nothing"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: no network 'nothing'") and "Traceback" not in error


def test_committed_results_are_consistent() -> None:
    document = json.loads((HERE / "results.json").read_text())
    text = (HERE / "results.md").read_text()
    for name, entry in document.items():
        model = runs.find(name)
        assert model is not None, f"{name} is no longer trained"
        assert entry["command"] == train.command(model)
        assert len(entry["val"]) == len(entry["seeds"]) and all(0 < value <= 100 for value in entry["val"])
        assert (entry["bytes"] is None) == (not model.deployed)
        assert f"| {name} | {model.role} | {statistics.mean(entry['val']):.2f} |" in text
        assert (entry["disagreements"] is None) == (not model.deployed)
    assert ElementTree.parse(HERE / "pareto.svg").getroot().tag.endswith("svg")
