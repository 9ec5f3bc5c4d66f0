"""The binary dense kernels on this machine against NumPy, over random shapes, weights and thresholds."""

from __future__ import annotations

import numpy as np
import pytest
from planes_util import run_kernel

from edgebnn.ir import TensorType, storage
from edgebnn.plan.pack_bits_dense import pack_dense_bits
from edgebnn.plan.pack_planes import Packed

KERNELS = ("ebnn_bdense_bits__portable", "ebnn_bdense_bits__cortex_m4")


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
