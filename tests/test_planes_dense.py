"""The dense kernels on channel lanes on this machine against NumPy, over random shapes, weights and thresholds."""

from __future__ import annotations

import numpy as np
import pytest
from planes_util import run_kernel

from edgebnn.ir import TensorType, storage
from edgebnn.plan.pack_bits_dense import pack_dense_bits, pack_dense_sums
from edgebnn.plan.pack_planes import Packed

KERNELS = ("ebnn_bdense_bits__portable", "ebnn_bdense_bits__cortex_m4")


WEIGHTS = {"binary": (-1, 1), "ternary": (-1, 0, 1), "two_plane": (-3, -1, 1, 3)}


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("seed", range(40))
def test_dense(kernel: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    h, w, c = (
        (1, 1, int(rng.integers(1, 700))) if seed % 2 else (*rng.integers(1, 4, 2), int(rng.integers(1, 90)))
    )
    out_c = int(rng.integers(1, 140))
    share = float(rng.choice([0.0, 0.1, 0.5, 0.9, 1.0]))
    codes = rng.choice([-1, 1], (out_c, h, w, c), p=[share, 1 - share]).astype(np.int8)
    x = np.where(rng.random((h, w, c)) < rng.choice([0.0, 0.3, 0.5, 0.7, 1.0]), -1, 1)
    acc = codes.reshape(out_c, -1).astype(int) @ x.reshape(-1)
    threshold = (acc + rng.integers(-3, 4, out_c)).astype(np.int32)
    threshold[rng.random(out_c) < 0.1] = rng.choice([-(2**31), 2**31 - 1])
    packed = pack_dense_bits(codes, "binary", {"out_dtype": 1, "threshold": threshold})
    assert isinstance(packed, Packed), packed
    data = np.frombuffer(storage.to_bytes(x, TensorType((h, w, c), "b1")), np.uint8)
    out_type = TensorType((1, 1, out_c), "b1")
    out, _ = run_kernel(kernel, "ebnn_bdense_bits_params_t", packed, [data], out_type.nbytes)
    np.testing.assert_array_equal(
        storage.from_bytes(out, out_type).reshape(-1), np.where(acc < threshold, -1, 1)
    )


@pytest.mark.parametrize("seed", range(48))
def test_dense_sums(seed: int) -> None:
    """Accumulators of every kind of codes, up to inputs of one value and weights of one sign."""
    rng = np.random.default_rng(1000 + seed)
    bits, kind = seed % 4 + 1, list(WEIGHTS)[seed // 4 % 3]
    k, out_c = (
        int(rng.choice([rng.integers(1, 130), rng.integers(130, 1100), 4000])),
        int(rng.integers(1, 70)),
    )
    h, w, c = (1, 1, k) if rng.integers(2) else (*rng.integers(1, 4, 2), int(rng.integers(1, 90)))
    codes = rng.choice(WEIGHTS[kind], (out_c, h, w, c)).astype(np.int8)
    codes[: out_c // 2] = rng.choice(WEIGHTS[kind])
    low, high = (-1, 1) if bits == 1 else (0, 2**bits - 1)
    x = rng.choice([-1, 1], (h, w, c)) if bits == 1 else rng.integers(0, 2**bits, (h, w, c))
    x[rng.random((h, w, c)) < rng.choice([0.0, 0.8, 1.0])] = rng.choice([low, high])
    e = {"out_dtype": 32, "combine": 0, "shift": 0, "residual": 0, "act_min": 0, "act_max": 0}
    packed = pack_dense_sums(codes, kind, bits, e)
    assert isinstance(packed, Packed), packed
    data = np.frombuffer(
        storage.to_bytes(x, TensorType((h, w, c), "b1" if bits == 1 else f"u{bits}")), np.uint8
    )
    kernel = "ebnn_bdense_sums__cortex_m4"
    out, _ = run_kernel(kernel, "ebnn_bdense_sums_params_t", packed, [data], 4 * out_c)
    np.testing.assert_array_equal(
        np.frombuffer(out, "<i4"), codes.reshape(out_c, -1).astype(int) @ x.reshape(-1)
    )
