"""Low-bit weights x s8 activations by lists, on the host: bit-exact, inside their buffers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from s8_support import Host, conv_case, store

from edgebnn.plan import pack_s8_dense, pack_s8_lists

VALUES = {"binary": (-1, 1), "ternary": (0, 0, 1, -1), "two_plane": (-3, -1, 1, 3)}
KERNEL = "ebnn_bconv2d_s8_lists__cortex_m4"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    return Host.build(Path(tmp_path_factory.mktemp("s8")))


def pack_bits(codes: np.ndarray, bits: int) -> np.ndarray:
    """[h, w, c] codes -> uint8 view of words [h, w, bit, ceil(c / 32)]."""
    h, w, c = codes.shape
    planes = np.zeros((h, w, bits, -(-c // 32) * 32), np.uint8)
    for b in range(bits):
        planes[:, :, b, :c] = codes >> b & 1
    return np.packbits(planes, axis=-1, bitorder="little").reshape(-1)


def expected(acc: np.ndarray, e: dict[str, Any], residual: np.ndarray | None, chw: bool) -> np.ndarray:
    """The output's bytes, by SPEC.md section 5."""
    if e["out_dtype"] == 32:
        return store(acc.astype(np.int32), chw).view(np.int8)
    if e.get("threshold") is not None:
        return pack_bits((acc < e["threshold"]).astype(np.int64), 1).view(np.int8)
    t = acc * e["mul"].astype(np.int64) + e["add"]
    if e["combine"]:
        u = acc * e["mul2"].astype(np.int64) + e["add2"]
        t = np.maximum(t, u) if e["combine"] == 1 else np.minimum(t, u)
    if e["out_dtype"] == 1:
        return pack_bits((t < 0).astype(np.int64), 1).view(np.int8)
    y = np.clip((t >> e["shift"]) + (0 if residual is None else residual), e["act_min"], e["act_max"])
    if e["out_dtype"] == 8:
        return store(y.astype(np.int8), chw)
    return pack_bits(y, e["out_dtype"]).view(np.int8)


def epilogue(rng: np.random.Generator, out_c: int, spread: int) -> dict[str, Any]:
    e: dict[str, Any] = {"out_dtype": int(rng.choice([1, 2, 3, 4, 8, 8, 8, 32])), "combine": 0, "residual": 0}
    if e["out_dtype"] == 1 and rng.integers(2):
        return {**e, "threshold": rng.integers(-spread, spread, out_c).astype(np.int32)}
    limit = max(1, min(32767, (1 << 29) // spread))
    for i in ("", "2"):
        e[f"mul{i}"] = rng.integers(-limit, limit + 1, out_c).astype(np.int16)
        e[f"add{i}"] = rng.integers(-(1 << 20), 1 << 20, out_c).astype(np.int32)
    e["combine"] = int(rng.integers(3))
    e["shift"] = int(rng.integers(8, 20))
    e["act_min"], e["act_max"] = (-128, 127) if e["out_dtype"] >= 8 else (0, 2 ** e["out_dtype"] - 1)
    e["residual"] = int(e["out_dtype"] == 8 and rng.integers(2))
    return e


@pytest.mark.parametrize("seed", range(80))
@pytest.mark.parametrize("kind", VALUES)
def test_lists(host: Host, kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    case = conv_case(rng, **({"in_c": 64, "kernel": (3, 3), "h": 5} if seed % 10 == 0 else {}))
    case.weights = rng.choice(VALUES[kind], case.weights.shape).astype(np.int8)
    if seed % 7 == 0:  # skewed weights: long classes, long gaps
        skew = rng.random(case.weights.shape) < 0.97
        case.weights = np.where(skew, VALUES[kind][0], case.weights).astype(np.int8)
    case.bias[:] = 0
    packed = pack_s8_lists.pack_lists(case.weights, kind, -case.zero_in)
    assert isinstance(packed, pack_s8_lists.PackedLists)
    acc = case.accumulators()
    e = epilogue(rng, case.out_c, int(abs(acc).max()) + 1)
    chw = case.chw and e["out_dtype"] in (8, 32)
    residual = rng.integers(-128, 128, acc.shape).astype(np.int8) if e["residual"] else None
    want = expected(acc, e, residual, chw)
    values = {
        "dims": case.dims(),
        "lists": packed.lists,
        "counts": packed.counts,
        "coefficients": packed.coefficients,
        "bias": packed.bias,
        "input_offset": -case.zero_in,
        "pass_depth": packed.pass_depth,
        "passes": packed.passes,
        "classes": packed.classes,
        "group": packed.group,
        "out_layout": int(chw),
        "epilogue": e,
    }
    inputs = [case.x] + ([store(residual, chw)] if residual is not None else [])
    got = host.run(KERNEL, "ebnn_bconv_s8_params_t", values, inputs, want.size)
    np.testing.assert_array_equal(got, want, err_msg=f"{case.dims()} {e}")
    size = host.lib.ebnn_bconv2d_s8_lists__cortex_m4_get_buffer_size(
        host.struct("ebnn_bconv_s8_params_t", values)
    )
    assert pack_s8_lists.scratch(case.dims(), packed.classes) == size


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("kind", VALUES)
def test_low_bit_dense(host: Host, kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    inputs, outputs, zero_in = (
        int(rng.integers(1, 150)),
        int(rng.integers(1, 70)),
        int(rng.integers(-128, 128)),
    )
    x = rng.integers(-128, 128, inputs).astype(np.int8)
    codes = rng.choice(VALUES[kind], (outputs, inputs)).astype(np.int8)
    acc = (codes.astype(np.int64) @ (x.astype(np.int64) - zero_in)).reshape(1, 1, -1)
    e = epilogue(rng, outputs, int(abs(acc).max()) + 1)
    residual = rng.integers(-128, 128, acc.shape).astype(np.int8) if e["residual"] else None
    want = expected(acc, e, residual, False)
    values = {**pack_s8_dense.pack_dense(codes, kind, -zero_in), "epilogue": e}
    extra = [residual.reshape(-1)] if residual is not None else []
    got = host.run("ebnn_bdense_s8__cortex_m4", "ebnn_bdense_s8_params_t", values, [x, *extra], want.size)
    np.testing.assert_array_equal(got, want, err_msg=f"{inputs} {outputs} {e}")
    size = host.lib.ebnn_bdense_s8__cortex_m4_get_buffer_size(host.struct("ebnn_bdense_s8_params_t", values))
    assert pack_s8_dense.scratch(inputs, kind) == size


def test_classes_that_do_not_fit_are_refused() -> None:
    codes = np.ones((1, 1, 1, 20000), np.int8)
    assert isinstance(pack_s8_lists.pack_lists(codes, "binary", 0), str)
