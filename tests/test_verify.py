"""verify finds what differs: a planted fault in one execution is named with its layer."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgebnn import ir, targets
from edgebnn.emit import emit
from edgebnn.errors import MismatchError, ModelError
from edgebnn.plan import Plan, plan
from edgebnn.report import executions
from edgebnn.report.verify import compare, load_plan

X = np.random.default_rng(3).integers(-128, 128, (4, 6, 5, 3)).astype(np.int8)


@pytest.fixture
def converted(tiny_graph: ir.Graph, tmp_path: Path) -> tuple[Path, Plan]:
    """The small model's folder for the Cortex-M4, and its plan made again from it."""
    emit(plan(tiny_graph, targets.load("cortex-m4")), tmp_path)
    return tmp_path, load_plan(tmp_path, json.loads((tmp_path / "report.json").read_text()))


def test_all_host_executions_agree(converted: tuple[Path, Plan]) -> None:
    result = compare(*converted, ("reference", "host", "c"), X)
    assert result.difference is None
    assert result.inputs == 4 and result.layers == len(converted[1].steps)


@pytest.mark.emulator
@pytest.mark.parametrize(
    "name", ["cortex-m0", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55"]
)
def test_every_emulated_core_agrees(tiny_graph: ir.Graph, tmp_path: Path, name: str) -> None:
    for tool in ("arm-none-eabi-gcc", "qemu-system-arm"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    planned = plan(tiny_graph, targets.load(name))
    emit(planned, tmp_path)
    assert compare(tmp_path, planned, ("reference", "emulator"), X[:2]).difference is None


def test_a_planted_fault_is_named(converted: tuple[Path, Plan], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, planned = converted
    step = planned.steps[len(planned.steps) // 2]

    def faulty(folder: Path, planned: Plan, inputs: np.ndarray) -> Iterator[dict[str, bytes]]:
        for i, layers in enumerate(executions.reference(folder, planned, inputs)):
            data = bytearray(layers[step.op.name])
            if i == 2:
                data[5] ^= 4
                data[9] ^= 1
            yield {**layers, step.op.name: bytes(data)}

    monkeypatch.setitem(executions.EXECUTIONS, "host", faulty)
    found = compare(folder, planned, ("reference", "host"), X).difference
    assert found is not None
    assert (found.layer, found.kernel, found.input, found.byte, found.count) == (
        step.op.name,
        step.kernel,
        2,
        5,
        2,
    )


def test_emitted_c_with_a_changed_weight_is_caught(converted: tuple[Path, Plan]) -> None:
    folder, planned = converted
    source = folder / f"{planned.graph.name}.c"
    text = source.read_text()
    start = text.index("{", text.index("int8_t"))
    number = text[start + 1 :].split(",")[0].strip()
    source.write_text(text[:start] + text[start:].replace(number, str(-int(number) or 1), 1))
    found = compare(folder, planned, ("reference", "c"), X).difference
    assert found is not None and found.layer == "stem"


def test_cli_reports_a_mismatch_with_exit_code_1(
    converted: tuple[Path, Plan], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from edgebnn.cli import main

    def broken(folder: Path, planned: Plan, inputs: np.ndarray) -> Iterator[dict[str, bytes]]:
        for layers in executions.reference(folder, planned, inputs):
            yield {name: bytes(len(data)) for name, data in layers.items()}

    monkeypatch.setitem(executions.EXECUTIONS, "host", broken)
    with pytest.raises(SystemExit) as stop:
        main(["verify", str(converted[0]), "--on", "reference,host", "-n", "1", "--json"])
    out, err = capsys.readouterr()
    assert stop.value.code == MismatchError.exit_code == 1
    assert json.loads(out)["identical"] is False
    assert json.loads(out)["difference"]["layer"] == "stem"
    assert err.startswith("error: layer 'stem'")


def test_a_mixed_folder_is_refused(converted: tuple[Path, Plan]) -> None:
    folder, _ = converted
    report = json.loads((folder / "report.json").read_text())
    with pytest.raises(ModelError, match="not the model"):
        load_plan(folder, {**report, "crc": 1})
    with pytest.raises(ModelError, match="another version"):
        load_plan(folder, {**report, "layers": report["layers"][1:]})
    (folder / "tiny.ebnn").unlink()
    with pytest.raises(ModelError, match="missing"):
        load_plan(folder, report)
