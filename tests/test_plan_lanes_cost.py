"""The planner's cycles of the integer-lane convolutions against the estimate from their instructions."""

from __future__ import annotations

import dataclasses
import shutil
from typing import Any

import numpy as np
import pytest

pytest.importorskip("unicorn")
pytestmark = pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="needs arm-none-eabi-gcc")

from benchmarks.cortex_m.measure import choices, measure  # noqa: E402
from benchmarks.cortex_m.rows import low_bit  # noqa: E402

KERNELS = ("ebnn_bconv2d_lanes", "__cortex_m4")
LINE, MAP = (25, 1, 64), (25, 5, 32)


@pytest.mark.parametrize(
    ("size", "out_c", "kernel", "dtype", "kind", "out", "zero_pad", "changes"),
    [
        (LINE, 64, (5, 1), "u2", "binary", "s8", True, {}),
        (LINE, 32, (5, 1), "u2", "binary", "s8", True, {"shift": 15}),
        (LINE, 32, (5, 1), "u2", "binary", "s8", True, {"act_min": 0}),
        (LINE, 32, (5, 1), "u2", "binary", "s8", True, {"combine": "max"}),
        (LINE, 32, (5, 1), "b1", "binary", "s8", True, {}),
        (LINE, 32, (5, 1), "b1", "binary", "b1", False, {}),
        (MAP, 16, (3, 3), "u2", "ternary", "s8", True, {}),
        (MAP, 16, (3, 3), "u4", "binary", "b1", True, {}),
        (MAP, 16, (3, 3), "b1", "binary", "s8", True, {}),
        ((7, 9, 24), 20, (3, 3), "u2", "binary", "b1", True, {}),
    ],
)
def test_cycles_are_near_the_estimate(
    size: tuple[int, int, int],
    out_c: int,
    kernel: tuple[int, int],
    dtype: str,
    kind: str,
    out: str,
    zero_pad: bool,
    changes: dict[str, Any],
) -> None:
    graph = low_bit(size, out_c, kernel, dtype, kind, out, zero_pad)(np.random.default_rng(7))
    op = graph.ops[0]
    if "combine" in changes:
        changes = {**changes, "mul2": op.attrs["mul"] // 4, "add2": op.attrs["add"]}
    graph = graph.replace((dataclasses.replace(op, attrs={**op.attrs, **changes}),), graph.tensors)

    def tuned(name: str) -> bool:
        return name.startswith(KERNELS[0]) and name.endswith(KERNELS[1])

    costs = {c.variant: c.cost for c in choices(graph, graph.ops[0], "cortex-m4") if tuned(c.kernel)}
    found = {m.variant: m.cycles for m in measure(graph, "cortex-m4") if tuned(m.kernel)}
    assert costs and costs.keys() == found.keys()
    for variant, cycles in found.items():
        assert cycles is not None
        assert costs[variant] == pytest.approx(cycles.nominal, rel=0.05), variant
