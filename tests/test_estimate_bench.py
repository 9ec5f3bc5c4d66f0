"""The Cortex-M benchmark: its JSON, its verdicts, and that the committed table is not better than the code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("unicorn")
pytestmark = pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="needs arm-none-eabi-gcc")

from benchmarks.cortex_m import __main__ as command  # noqa: E402
from benchmarks.cortex_m import measure, table  # noqa: E402
from benchmarks.cortex_m.measure import Measurement  # noqa: E402
from benchmarks.cortex_m.rows import ROWS, Goal, Row, find, low_bit  # noqa: E402
from edgebnn.errors import MismatchError  # noqa: E402
from edgebnn.estimate.cost import Cycles  # noqa: E402

COMMITTED = Path(table.__file__).with_name("results.json")
PAIR = "b1 dense 576->64 / 64->12"


def test_one_row_as_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert command.main(["--only", PAIR, "--json", "--out", str(tmp_path)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert set(document) == {"b1 dense 576->64", "b1 dense 64->12", PAIR}
    entry = document["b1 dense 64->12"]["ram"]
    assert {"cycles", "instructions", "kernel", "flash_bytes", "scratch_bytes"} <= set(entry)
    assert entry["bounds"]["low"] <= entry["cycles"] == entry["bounds"]["nominal"] <= entry["bounds"]["high"]
    assert entry["cycles"] > entry["instructions"] > 64 * 12 / 32
    assert document[PAIR]["ram"]["cycles"][1] == entry["cycles"]
    assert not list(tmp_path.iterdir())  # a single row does not replace the table


def test_an_unknown_row_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--only", "no such layer"]) == 2
    assert "the rows are" in capsys.readouterr().err


def _result(cycles: int, goal: Goal, unit: str = "cycles") -> table.Result:
    row = Row("row", low_bit((1, 1, 64), 32, (1, 1)), goal, Goal(), unit=unit)
    m = Measurement(
        "ebnn_x__portable", "", cycles, Cycles(cycles, cycles, cycles), 0, 0, 0, 0, {"finish": 7, "sum4": 9}
    )
    import numpy as np

    return table.Result(row, row.graph(np.random.default_rng(1)), m, None, m)


@pytest.mark.parametrize(
    ("cycles", "goal", "unit", "met"),
    [
        (1000, Goal(1000), "cycles", True),
        (1001, Goal(1000), "cycles", False),
        (1000, Goal(1000, 900), "cycles", False),  # no flash form at all
        (2048, Goal(1.0), "cycles/MAC", True),
        (2049, Goal(1.0), "cycles/MAC", False),
        (2048, Goal(1.0), "MAC/cycle", True),
        (2049, Goal(1.0), "MAC/cycle", False),
    ],
)
def test_verdicts(cycles: int, goal: Goal, unit: str, met: bool) -> None:
    result = _result(cycles, goal, unit)
    assert result.met() is met
    assert ("**miss" in table.markdown([result])) is not met


def test_the_epilogue_counts_what_does_not_accumulate() -> None:
    from dataclasses import replace

    result = _result(16, Goal(1), "cycles/element")
    assert result.ram is not None
    assert result.figure(result.ram) == 16
    only = replace(result, row=replace(result.row, without=r"sum\d"))
    assert only.figure(result.ram) == 7
    part = replace(result, row=replace(result.row, without="sum"))
    assert part.figure(result.ram) == 16  # whole names only


def test_a_wrong_kernel_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outputs are compared with the reference before a figure is taken."""
    import numpy as np

    row = find("b1 dense 64->12")[0]
    graph = row.graph(np.random.default_rng(1))
    original = measure._values

    def flipped(*args: object) -> dict[str, np.ndarray]:
        values = original(*args)  # type: ignore[arg-type]
        values["out"][0, 0, 0] *= -1
        return values

    monkeypatch.setattr(measure, "_values", flipped)
    with pytest.raises(MismatchError, match="differs from the reference"):
        measure.measure(graph, "cortex-m4")


def test_the_committed_table_is_complete() -> None:
    document = json.loads(COMMITTED.read_text())
    assert {row.name for row in ROWS} <= set(document)
    assert all(set(document[row.name]) & {"ram", "flash"} for row in ROWS)
    text = COMMITTED.with_suffix(".md").read_text()
    assert "estimate, 0 wait states" in text
    assert all(f"| {row.name} |" in text for row in ROWS)


@pytest.mark.parametrize(
    "name", ["b1 dense 64->12", "b1 1-D k=5 64->64, 25 positions", "s8 1x1 64->64", "s8 depthwise 3x3 64"]
)
def test_the_committed_figures_hold(name: str) -> None:
    """Nothing has become more than 5 % slower since the table was written (compilers differ a little)."""
    committed = json.loads(COMMITTED.read_text())[name]
    result = table.measure_row(find(name)[0]).as_dict()
    for form, entry in committed.items():
        assert result[form]["cycles"] <= 1.05 * entry["cycles"], f"{name}, {form}: run make bench-cortex-m"
