"""How much flash the code of the shipped keyword spotter takes, made for size, and that of a b1 network."""

from __future__ import annotations

import dataclasses
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks.cortex_m.rows import low_bit
from edgebnn import csrc, targets
from edgebnn.cli import main
from edgebnn.emit import emit
from edgebnn.ir import Graph, Op, TensorType
from edgebnn.plan import plan

pytest.importorskip("unicorn")
pytest.importorskip("capstone")
pytest.importorskip("elftools")

from edgebnn.estimate.model import estimate

MODEL = Path(__file__).resolve().parent.parent / "examples" / "kws" / "kws.pt"
LANES_SOURCES = ("core/lanes*.c", "core/window.c", "cortex_m/blanes*.c")
BITS_SOURCES = ("core/bits*.[ch]", "core/window.c", "cortex_m/bbits*.[ch]")

pytestmark = pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="needs arm-none-eabi-gcc")


def functions(patterns: tuple[str, ...]) -> set[str]:
    """Every function that the sources define, static ones and assembly too."""
    names: set[str] = set()
    for pattern in patterns:
        for file in (csrc.kernels_dir() / "src").glob(pattern):
            text = file.read_text()
            names |= set(re.findall(r"\b(\w+)\((?:[^;(){}]|\([^;(){}]*\))*\)\s*\{", text))
            names |= set(re.findall(r"\b(ebnn_(?:lanes|bits)_\w+)\b", text))
    return names


def _bits_layer(name: str, source: str, kernel: tuple[int, int]) -> Op:
    graph = low_bit((25, 5, 64), 64, kernel)(np.random.default_rng(1))
    return dataclasses.replace(graph.ops[0], name=name, inputs=(source,), outputs=(name,))


def test_code_of_a_network_of_bit_planes_is_small(tmp_path: Path) -> None:
    """b1 layers of 3x3 and 1x1, which take two ways of the bits kernel."""
    ops = (_bits_layer("spatial", "in", (3, 3)), _bits_layer("pointwise", "spatial", (1, 1)))
    planes = TensorType((25, 5, 64), "b1")
    graph = Graph("bits", ops, {"in": planes, "spatial": planes, "pointwise": planes}, "in", "pointwise")
    planned = plan(graph, targets.load("cortex-m4"), optimize="size")
    assert {s.kernel for s in planned.steps} >= {
        "ebnn_bconv2d_bits_buckets__cortex_m4",
        "ebnn_bconv2d_bits_minority__cortex_m4",
    }
    (tmp_path / "bits").mkdir()
    emit(planned, tmp_path / "bits")
    result = estimate(tmp_path / "bits", "cortex-m4")
    bits = functions(BITS_SOURCES)
    code = {name: size for name, size in result.kernel_code.items() if name.split(".")[0] in bits}
    assert {"ebnn_bits_fill", "gather_planes"} <= code.keys() and "ebnn_bits_minority6" in code
    assert sum(code.values()) <= 6_870, code


def test_code_of_the_keyword_spotter_is_small(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    with pytest.raises(SystemExit) as stop:
        main(
            [
                "convert",
                str(MODEL),
                "--target",
                "cortex-m4",
                "--optimize",
                "size",
                "-o",
                str(tmp_path / "kws"),
            ]
        )
    assert not stop.value.code
    result = estimate(tmp_path / "kws", "cortex-m4")
    low_bit = functions(LANES_SOURCES)
    code = {name: size for name, size in result.kernel_code.items() if name.split(".")[0] in low_bit}
    assert "ebnn_lanes_run" in code and "ebnn_lanes_sum3__cortex_m4" in code
    assert not any("sum15" in name or "finish_b1" in name for name in code)  # what the plan does not need
    assert sum(code.values()) <= 5_120, code
    assert result.code <= 8_650, result.kernel_code
