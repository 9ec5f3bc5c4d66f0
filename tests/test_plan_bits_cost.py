"""The planner's cycles of the bit-plane convolutions and dense layers against the estimate from their instructions."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

pytest.importorskip("unicorn")
pytestmark = pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="needs arm-none-eabi-gcc")

from benchmarks.cortex_m.measure import choices, measure  # noqa: E402
from benchmarks.cortex_m.rows import low_bit  # noqa: E402

KERNELS = "ebnn_bconv2d_bits"


@pytest.mark.parametrize(
    ("size", "out_c", "kernel", "kind", "zero_pad"),
    [
        ((25, 5, 64), 64, (1, 1), "binary", False),
        ((25, 1, 64), 64, (5, 1), "binary", False),
        ((10, 10, 16), 32, (3, 3), "binary", False),
        ((20, 10, 8), 24, (3, 3), "binary", False),
        ((8, 8, 128), 32, (3, 3), "binary", False),
        ((25, 1, 64), 64, (5, 1), "ternary", False),
        ((25, 5, 64), 32, (1, 1), "ternary", False),
        ((10, 10, 32), 32, (3, 3), "ternary", True),
    ],
)
def test_cycles_are_near_the_estimate(
    size: tuple[int, int, int], out_c: int, kernel: tuple[int, int], kind: str, zero_pad: bool
) -> None:
    graph = low_bit(size, out_c, kernel, "b1", kind, zero_pad=zero_pad)(np.random.default_rng(7))
    costs = {
        c.variant: c.cost
        for c in choices(graph, graph.ops[0], "cortex-m4")
        if c.kernel.startswith(KERNELS) and c.kernel.endswith("__cortex_m4")
    }
    found = {
        m.variant: m.cycles
        for m in measure(graph, "cortex-m4")
        if m.kernel.startswith(KERNELS) and m.kernel.endswith("__cortex_m4")
    }
    assert costs and costs.keys() == found.keys()
    for variant, cycles in found.items():
        assert cycles is not None
        assert costs[variant] == pytest.approx(cycles.nominal, rel=0.1), variant


@pytest.mark.parametrize(
    ("inputs", "outputs", "dtype", "kind"),
    [
        (64, 12, "b1", "binary"),
        (576, 64, "b1", "ternary"),
        (256, 10, "u2", "binary"),
        (128, 128, "u4", "two_plane"),
    ],
)
def test_dense_cycles_are_near_the_estimate(inputs: int, outputs: int, dtype: str, kind: str) -> None:
    graph = low_bit((1, 1, inputs), outputs, (1, 1), dtype, kind, "s8")(np.random.default_rng(7))
    kernels = ("ebnn_bdense_sums__cortex_m4", "ebnn_bconv2d__portable")
    costs = {c.kernel: c.cost for c in choices(graph, graph.ops[0], "cortex-m4") if c.kernel in kernels}
    found = {m.kernel: m.cycles for m in measure(graph, "cortex-m4") if m.kernel in kernels}
    assert costs.keys() == found.keys() == set(kernels)
    for kernel, cycles in found.items():
        assert cycles is not None
        assert costs[kernel] == pytest.approx(cycles.nominal, rel=0.12), kernel
    assert costs[kernels[0]] < costs[kernels[1]]
