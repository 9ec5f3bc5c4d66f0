"""Fixtures shared by the tests."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from edgebnn import ir
from edgebnn.ir.builder import Builder
from edgebnn.passes import lower

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of EDGEBNN_DATA; tests that need it are skipped where it is not set."""
    folder = os.environ.get("EDGEBNN_DATA")
    if not folder:
        pytest.skip("EDGEBNN_DATA is not set")
    return Path(folder)


@pytest.fixture(scope="session")
def tiny_graph() -> ir.Graph:
    """A small model: s8 ends, a low-bit middle with shortcuts (b1 and u2 activations), softmax."""
    rng = np.random.default_rng(7)
    channels, classes = 8, 4
    b = Builder("tiny", {"labels": ["north", "east", "south", "west"]})
    x = b.input((6, 5, 3), 0.05, 3)
    x = b.conv(
        x,
        rng.integers(-127, 128, (channels, 3, 3, 3)).astype(np.int8),
        np.full(channels, 0.004),
        "s8",
        (1, 1),
        (1, 1, 1, 1),
        "zero",
        name="stem",
    )
    x = b.affine(x, rng.uniform(0.5, 1.5, channels), rng.uniform(-1, 1, channels))
    x = b.quant(x, "s8", 0.05)
    for i, dtype in enumerate(("b1", "u2")):
        y = b.affine(x, rng.uniform(0.5, 1.5, channels), rng.uniform(-1, 1, channels))
        y = b.quant(y, dtype, 1.0 if dtype == "b1" else 0.5)
        codes = rng.choice(np.array([-1, 1], np.int8), (channels, 3, 3, channels))
        y = b.conv(y, codes, np.full(channels, 0.1), "binary", (1, 1), (1, 1, 1, 1), "zero", name=f"block{i}")
        y = b.affine(y, rng.uniform(0.5, 1.5, channels), rng.uniform(-1, 1, channels))
        x = b.quant(b.add(x, y), "s8", 0.05, name=f"block{i}_out")
    x = b.quant(b.global_avg_pool(x, name="pool"), "s8", 0.05)
    x = b.dense(
        x,
        rng.integers(-127, 128, (classes, channels)).astype(np.int8),
        np.full(classes, 0.01),
        "s8",
        name="classes",
    )
    x = b.quant(x, "s8", 0.1)
    b.output(b.softmax(x, name="softmax"))
    return lower(b.build())


@pytest.fixture
def tiny_ebnn(tiny_graph: ir.Graph, tmp_path: Path) -> Path:
    """The small model as a file, ``tiny.ebnn`` in a folder of its own."""
    path = tmp_path / "tiny" / "tiny.ebnn"
    path.parent.mkdir()
    ir.save(tiny_graph, path)
    return path


@pytest.fixture
def fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    """Runs a command that must fail: checks code, output and the untouched folder, returns standard error."""

    def check(code: int, *args: str | Path, hint: bool = True) -> str:
        from edgebnn.cli import main

        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(SystemExit) as stop:
            main([str(arg) for arg in args])
        out, err = capsys.readouterr()
        assert stop.value.code == code, err
        assert out == ""
        # Progress messages may stand before the error; after it only the hint.
        lines = err.strip().splitlines()
        (place,) = [i for i, line in enumerate(lines) if line.startswith("error: ")]
        assert len(lines) - place <= 2
        if hint:
            assert lines[-1].startswith("hint: ")
        assert "Traceback" not in err
        assert sorted(tmp_path.rglob("*")) == before
        return str(err)

    return check
