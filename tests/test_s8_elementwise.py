"""Cortex-M s8 addition and global mean on the host: bit-exact, inside their buffers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from s8_support import Host, store

from edgebnn.ir.fixed import requantize


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    return Host.build(Path(tmp_path_factory.mktemp("s8")))


@pytest.mark.parametrize("seed", range(40))
def test_add(host: Host, seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 300))
    a, b = rng.integers(-128, 128, (2, n)).astype(np.int8)
    v = {"n": n, "act_min": -128, "act_max": 127}
    for name, low, high in (("input1", -3, 1), ("input2", -3, 1), ("output", -20, -14)):
        v[f"{name}_offset"] = (
            int(rng.integers(-127, 129)) if name != "output" else int(rng.integers(-128, 128))
        )
        v[f"{name}_multiplier"] = int(rng.integers(1 << 30, 1 << 31))
        v[f"{name}_shift"] = int(rng.integers(low, high))
    if seed % 4 == 0:
        v["act_min"], v["act_max"] = -20, 90
    x, y = (
        requantize((q.astype(np.int64) + v[f"{i}_offset"]) << 20, v[f"{i}_multiplier"], v[f"{i}_shift"])
        for i, q in (("input1", a), ("input2", b))
    )
    total = requantize(x + y, v["output_multiplier"], v["output_shift"]) + v["output_offset"]
    want = np.clip(total, v["act_min"], v["act_max"]).astype(np.int8)
    got = host.run("ebnn_add_s8__cortex_m4", "ebnn_add_s8_params_t", v, [a, b], n)
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("chw", [False, True])
def test_mean(host: Host, chw: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    h, w, c = int(rng.integers(1, 30)), int(rng.integers(1, 20)), int(rng.integers(1, 20))
    low, high = ((-128, 128), (100, 128), (-128, -100))[seed % 3]
    x = rng.integers(low, high, (h, w, c)).astype(np.int8)
    offset, zero_out = int(rng.integers(-127, 129)), int(rng.integers(-128, 128))
    multiplier, shift = int(rng.integers(1 << 30, 1 << 31)), -int(np.log2(h * w)) - int(rng.integers(0, 2))
    acc = x.reshape(-1, c).astype(np.int64).sum(axis=0) + h * w * offset
    want = np.clip(requantize(acc, multiplier, shift) + zero_out, -128, 127).astype(np.int8)
    v = {
        "dims": {"in_h": h, "in_w": w, "in_c": c, "out_h": 1, "out_w": 1, "out_c": c},
        "dtype": 8,
        "in_layout": int(chw),
        "input_offset": offset,
        "output_offset": zero_out,
        "multiplier": multiplier,
        "shift": shift,
        "act_min": -128,
        "act_max": 127,
    }
    kernel = "ebnn_mean_s8_chw__cortex_m4" if chw else "ebnn_mean_s8__cortex_m4"
    got = host.run(kernel, "ebnn_pool_params_t", v, [store(x, chw)], c)
    np.testing.assert_array_equal(got, want)
