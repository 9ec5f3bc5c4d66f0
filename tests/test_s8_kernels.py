"""Cortex-M s8 kernels on the host (plain C twins of the DSP intrinsics): bit-exact, inside their buffers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from s8_support import ConvCase, Host, conv_case

from edgebnn.plan import pack_s8


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    return Host.build(Path(tmp_path_factory.mktemp("s8")))


def check(host: Host, kernel: str, case: ConvCase, packed: pack_s8.PackedS8) -> None:
    expected = case.reference()
    got = host.run(kernel, "ebnn_conv_s8_params_t", case.fields(packed), [case.x], expected.size)
    np.testing.assert_array_equal(got, expected, err_msg=f"{case.dims()} chw={case.chw}")


@pytest.mark.parametrize("seed", range(120))
def test_conv2d(host: Host, seed: int) -> None:
    case = conv_case(np.random.default_rng(seed))
    assert pack_s8.misfit(case.weights, case.bias, -case.zero_in, case.shift) is None
    packed = pack_s8.pack_conv(case.weights, case.bias, -case.zero_in)
    check(host, "ebnn_conv2d_s8__cortex_m4", case, packed)
    p = host.struct("ebnn_conv_s8_params_t", case.fields(packed))
    size = host.lib.ebnn_conv2d_s8__cortex_m4_get_buffer_size(p)
    assert pack_s8.conv_scratch(case.dims()) == size


@pytest.mark.parametrize("chw", [False, True])
def test_conv2d_keyword_stems(host: Host, chw: bool) -> None:
    rng = np.random.default_rng(5)
    for kernel, stride, pad, after in (((5, 10), (2, 1), (2, 0), (2, 0)), ((10, 4), (2, 2), (4, 1), (5, 1))):
        case = conv_case(rng, h=49, w=10, in_c=1, out_c=64, kernel=kernel, stride=stride, pad=pad, pad_after=after,
                         dilation=(1, 1), chw=chw)  # fmt: skip
        assert case.out_hw == (25, 1 if kernel == (5, 10) else 5)
        check(
            host, "ebnn_conv2d_s8__cortex_m4", case, pack_s8.pack_conv(case.weights, case.bias, -case.zero_in)
        )


@pytest.mark.parametrize("seed", range(20))
def test_rows_as_pixels(host: Host, seed: int) -> None:
    """A kernel as wide as its input: the same bytes with a row's columns as channels of one pixel."""
    rng = np.random.default_rng(4000 + seed)
    width = int(rng.integers(1, 9))
    case = conv_case(rng, h=int(rng.integers(9, 20)), w=width, kernel=(int(rng.integers(1, 6)), width),
                     pad=(int(rng.integers(0, 3)), 0), dilation=(int(rng.integers(1, 3)), 1))  # fmt: skip
    fields = case.fields(pack_s8.pack_conv(case.weights, case.bias, -case.zero_in))
    fields["dims"] = pack_s8.merged_rows(case.dims())
    assert fields["dims"]["in_w"] == case.x.shape[0] and fields["dims"]["kernel_h"] == 1
    expected = case.reference()
    got = host.run("ebnn_conv2d_s8__cortex_m4", "ebnn_conv_s8_params_t", fields, [case.x], expected.size)
    np.testing.assert_array_equal(got, expected, err_msg=f"{case.dims()} chw={case.chw}")


def test_small_maps_are_refused_in_nhwc(host: Host) -> None:
    """Three pixels leave no room for a tile of four."""
    case = conv_case(np.random.default_rng(1), h=3, w=1, kernel=(1, 1), stride=(1, 1), pad=(0, 0),
                     dilation=(1, 1), chw=False)  # fmt: skip
    packed = pack_s8.pack_conv(case.weights, case.bias, -case.zero_in)
    with pytest.raises(AssertionError):
        check(host, "ebnn_conv2d_s8__cortex_m4", case, packed)


@pytest.mark.parametrize("seed", range(40))
def test_dense(host: Host, seed: int) -> None:
    rng = np.random.default_rng(1000 + seed)
    case = conv_case(rng, h=1, w=1, in_c=int(rng.integers(1, 90)), out_c=int(rng.integers(1, 14)), kernel=(1, 1),
                     stride=(1, 1), pad=(0, 0), dilation=(1, 1), chw=False)  # fmt: skip
    check(host, "ebnn_dense_s8__cortex_m4", case, pack_s8.pack_conv(case.weights, case.bias, -case.zero_in))


@pytest.mark.parametrize("seed", range(120))
def test_depthwise(host: Host, seed: int) -> None:
    case = conv_case(np.random.default_rng(2000 + seed), depthwise=True)
    packed = pack_s8.PackedS8(case.weights, case.bias)
    check(host, "ebnn_depthwise_conv2d_s8__cortex_m4", case, packed)
    p = host.struct("ebnn_conv_s8_params_t", case.fields(packed))
    size = host.lib.ebnn_depthwise_conv2d_s8__cortex_m4_get_buffer_size(p)
    assert pack_s8.depthwise_scratch(case.dims()) == size


def test_requantisation_extremes(host: Host) -> None:
    """Single products with every kind of shift, ties included, against the reference."""
    rng = np.random.default_rng(3)
    for shift in range(-22, 8):
        case = conv_case(
            rng, h=4, w=4, in_c=1, out_c=8, kernel=(1, 1), stride=(1, 1), pad=(0, 0), dilation=(1, 1)
        )
        case.shift[:] = shift
        case.multiplier[:4] = 1 << 30
        case.multiplier[4] = (1 << 31) - 1
        case.bias[:] = rng.integers(-(1 << min(21, 9 - shift)), 1 << min(21, 9 - shift), 8)
        check(
            host, "ebnn_conv2d_s8__cortex_m4", case, pack_s8.pack_conv(case.weights, case.bias, -case.zero_in)
        )


def test_misfit_names_the_reason() -> None:
    weights = np.full((1, 1, 1, 70000), 127, np.int8)
    shift = np.array([-10], np.int8)
    bias = np.zeros(1, np.int32)
    assert "2^30" in str(pack_s8.misfit(weights, bias, 0, shift))
    assert "shift" in str(pack_s8.misfit(weights[..., :8], bias, 0, np.array([-23], np.int8)))
    assert pack_s8.misfit(weights[..., :8], bias, 0, shift) is None
