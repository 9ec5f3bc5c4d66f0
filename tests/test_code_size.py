"""How much flash the code of the shipped keyword spotter takes, made for size."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from edgebnn import csrc
from edgebnn.cli import main

pytest.importorskip("unicorn")
pytest.importorskip("capstone")
pytest.importorskip("elftools")

from edgebnn.estimate.model import estimate

MODEL = Path(__file__).resolve().parent.parent / "examples" / "kws" / "kws.pt"
LOW_BIT_SOURCES = ("core/lanes*.c", "core/window.c", "cortex_m/blanes*.c")

pytestmark = pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="needs arm-none-eabi-gcc")


def low_bit_functions() -> set[str]:
    """Every function that the sources of the low-bit convolution define, static ones and assembly too."""
    names: set[str] = set()
    for pattern in LOW_BIT_SOURCES:
        for file in (csrc.kernels_dir() / "src").glob(pattern):
            text = file.read_text()
            names |= set(re.findall(r"\b(\w+)\((?:[^;(){}]|\([^;(){}]*\))*\)\s*\{", text))
            names |= set(re.findall(r"\b(ebnn_lanes_\w+)\b", text))
    return names


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
    low_bit = low_bit_functions()
    code = {name: size for name, size in result.kernel_code.items() if name.split(".")[0] in low_bit}
    assert "ebnn_lanes_run" in code and "ebnn_lanes_sum3__cortex_m4" in code
    assert not any("sum15" in name or "finish_b1" in name for name in code)  # what the plan does not need
    assert sum(code.values()) <= 5_120, code
    assert result.code <= 8_650, result.kernel_code
