"""Quantisers: codes, gradients, exactness of compact storage, names."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from edgebnn.errors import UsageError  # noqa: E402
from edgebnn.train.layers import Conv2d  # noqa: E402
from edgebnn.train.quantizers import (  # noqa: E402
    ACTIVATIONS,
    WEIGHTS,
    activation_quantizer,
    weight_quantizer,
)
from edgebnn.train.quantizers.base import round_half_up, sign  # noqa: E402

CODES = {"s8": range(-127, 128), "binary": (-1, 1), "ternary": (-1, 0, 1), "two_plane": (-3, -1, 1, 3)}


def weights(seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    w = torch.randn(6, 5, 3, 1, generator=generator) * torch.tensor([0.01, 0.1, 0.3, 0.5, 1, 3]).view(
        -1, 1, 1, 1
    )
    w[0, 0, 0, 0] = 0.0
    return w


def test_rounding_and_sign() -> None:
    x = torch.tensor([-1.5, -0.5, -0.49, 0.0, 0.49, 0.5, 1.5], requires_grad=True)
    y = round_half_up(x)
    assert y.tolist() == [-1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 2.0]
    y.sum().backward()
    assert x.grad.tolist() == [1.0] * 7
    x.grad = None
    s = sign(x, 1.0)
    assert s.tolist() == [-1, -1, -1, 1, 1, 1, 1]
    s.sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 1, 1, 1, 0]


@pytest.mark.parametrize("name", sorted(set(WEIGHTS) - {"float"}))
def test_weight_codes(name: str) -> None:
    quantizer, w = weight_quantizer(name, 6), weights().requires_grad_()
    real = quantizer(w)
    deployed = torch.zeros_like(w, dtype=torch.float64)
    for base in quantizer.bases(w):
        assert base.codes.dtype == "int8" and base.codes.shape == tuple(w.shape)
        assert base.scale.dtype == "float64" and base.scale.shape == (6,) and (base.scale >= 0).all()
        assert set(base.codes.ravel().tolist()) <= set(CODES[base.kind])
        assert len(set(base.codes.ravel().tolist())) > 1
        deployed += torch.from_numpy(base.codes).double() * torch.from_numpy(base.scale).view(-1, 1, 1, 1)
    torch.testing.assert_close(real.double(), deployed, rtol=1e-6, atol=1e-7)
    (real * torch.randn_like(real)).sum().backward()
    assert torch.isfinite(w.grad).all() and (w.grad != 0).any()


@pytest.mark.parametrize("name", sorted(WEIGHTS))
def test_compact_weights_quantise_the_same(name: str) -> None:
    quantizer, w = weight_quantizer(name, 6), weights()
    again = torch.empty_like(w).copy_(quantizer.compact(w))
    torch.testing.assert_close(quantizer(again), quantizer(w), rtol=0, atol=0)


def test_twn_follows_its_formula() -> None:
    w = torch.tensor([[0.1, -0.2, 1.0, -2.0]])
    codes, scale = weight_quantizer("twn", 1).codes(w)
    # delta = 0.7 * 0.825 = 0.5775; alpha = (1 + 2) / 2.
    assert codes.tolist() == [[0, 0, 1, -1]]
    assert scale.tolist() == pytest.approx([1.5])


def test_ttq_follows_its_formula() -> None:
    quantizer = weight_quantizer("ttq", 1)
    with torch.no_grad():
        quantizer.positive.fill_(3.0)
        quantizer.negative.fill_(0.5)
    w = torch.tensor([[2.0, 0.01, -1.0, -0.2]], requires_grad=True)
    real = quantizer.eval()(w)
    assert real.tolist() == [[3.0, 0.0, -0.5, -0.5]]
    (real * torch.tensor([[1.0, 10.0, 100.0, 1000.0]])).sum().backward()
    assert float(quantizer.positive.grad) == 1.0 and float(quantizer.negative.grad) == -1100.0
    assert w.grad.tolist() == [[3.0, 10.0, 50.0, 500.0]]


def test_two_bases_make_four_levels() -> None:
    w = torch.tensor([[1.0, 0.2, -0.4, -2.0]])
    # alpha1 = 0.9; residuals 0.1, -0.7, 0.5, -1.1; alpha2 = 0.6.
    real = weight_quantizer("abc:2", 1)(w)
    assert real.flatten().tolist() == pytest.approx([1.5, 0.3, -0.3, -1.5])


def test_dual_binary_weights_follow_their_formula() -> None:
    quantizer = weight_quantizer("dbllm", 1)
    w = torch.tensor([[0.4, 0.6, 1.4, 1.6, -0.4, -0.6]], requires_grad=True)
    with torch.no_grad():
        quantizer.up.fill_(2.0)
        quantizer.down.fill_(1.0)
    real = quantizer.eval()(w)
    assert real.tolist() == [[0.0, 1.0, 1.0, 2.0, 0.0, -1.0]]
    (real * torch.tensor([[1.0, 10.0, 100.0, 1000.0, 1e4, 1e5]])).sum().backward()
    assert float(quantizer.up.grad) == 1110.0 and float(quantizer.down.grad) == -100110.0
    assert w.grad.tolist() == [[1.0, 10.0, 100.0, 1000.0, 1e4, 1e5]]
    first = weight_quantizer("dbllm", 1).train()
    first(torch.tensor([[1.0, -3.0]]))
    assert float(first.up.detach()) == 4.0 and float(first.down.detach()) == 2.0


def test_more_bits_of_dorefa_and_lsq_lower_to_s8() -> None:
    w = torch.tensor([[0.0, 1.0, -1.0, 0.5]])
    quantizer = weight_quantizer("dorefa:3", 1)
    codes, scale = quantizer.codes(w)
    # tanh(0.5) / tanh(1) = 0.6068: 7 * 0.8034 = 5.62, code 2 * 6 - 7.
    assert (
        quantizer.kind == "s8"
        and codes.tolist() == [[1, 7, -7, 5]]
        and scale.tolist() == pytest.approx([1 / 7])
    )
    lsq = weight_quantizer("lsq:3", 1).train()
    lsq(w)
    step = 2 * 0.625 / 3**0.5
    assert lsq.kind == "s8" and float(lsq.step.detach()) == pytest.approx(step)
    assert lsq.codes(4 * w)[0].tolist() == [[0, 3, -3, 3]] and lsq.codes(w)[0].tolist() == [[0, 1, -1, 1]]
    for name in ("dorefa:8", "lsq:9", "lsq:1"):
        with pytest.raises(UsageError, match="bits must be"):
            weight_quantizer(name, 1)


def test_int8_weights_follow_their_formula() -> None:
    codes, scale = weight_quantizer("int8", 2).codes(torch.tensor([[127.0, -63.5], [1.0, 0.25]]))
    assert codes.tolist() == [[127, -63], [127, 32]]
    assert scale.tolist() == pytest.approx([1.0, 1 / 127])


def test_asymmetric_weights_follow_their_formula() -> None:
    w = torch.tensor([[-1.0, 0.0, 0.5, 2.0]])
    codes, scale = weight_quantizer("int:2:asymmetric", 1).codes(w)
    # scale = 3 / 3, z = 1: q = 0, 1, 2, 3.
    assert codes.tolist() == [[-1, 0, 1, 2]] and scale.tolist() == [1.0]
    with pytest.raises(UsageError, match="at most 7 bits"):
        weight_quantizer("int:8:asymmetric", 1)


@pytest.mark.parametrize(("name", "mean"), [("binary:stochastic", 0.5), ("int:4:stochastic", 0.5)])
def test_stochastic_weights_keep_their_mean(name: str, mean: float) -> None:
    torch.manual_seed(0)
    quantizer, w = weight_quantizer(name, 1), torch.full((1, 20000), mean)
    w[0, 0] = 1.0
    trained = quantizer.train()(w)
    assert float(trained.mean()) == pytest.approx(mean, abs=0.02) and trained.unique().numel() == 2 + (
        "int" in name
    )
    settled = quantizer.eval()(w)
    assert torch.equal(settled, quantizer(w)) and settled[0, 1:].unique().numel() == 1


@pytest.mark.parametrize(
    "name",
    [
        *sorted(set(ACTIVATIONS) - {"float"}),
        *(f"{name}:{bits}" for name in ("lsq", "pact", "dorefa", "hwgq") for bits in (3, 4, 8)),
        "bipolar:3",
        "bipolar:4",
        "int8:unsigned",
    ],
)
def test_activations_lie_on_the_device_grid(name: str) -> None:
    quantizer = activation_quantizer(name).train()
    x = 3 * torch.randn(4, 8, 5, 1, generator=torch.Generator().manual_seed(1))
    quantizer(x)
    values = x.clone().requires_grad_()
    quantizer(values).sum().backward()
    assert torch.isfinite(values.grad).all() and (values.grad != 0).any()
    quantizer.eval()
    y = quantizer(x)
    if quantizer.dtype == "b1":
        assert torch.equal(y, torch.where(x >= 0, 1.0, -1.0) * quantizer.scale())
        return
    bits = int(quantizer.dtype[1:])
    low, high = (-128, 127) if quantizer.dtype == "s8" else (0, 2**bits - 1)
    scale = quantizer.scale().double()
    centre = (2**bits - 1) / 2 if quantizer.bipolar else quantizer.zero_point
    expected = torch.floor(x.double() / scale + 0.5 + centre)
    expected = (expected.clamp(low, high) - centre) * scale
    torch.testing.assert_close(y.double(), expected, rtol=1e-6, atol=1e-12)
    assert len(y.unique()) > 2


@pytest.mark.parametrize("name", ["lsq:1", "pact:1", "dorefa:1", "hwgq:1"])
def test_one_unsigned_bit_is_zero_or_a_step(name: str) -> None:
    quantizer = activation_quantizer(name).train()
    assert quantizer.dtype == "b1" and quantizer.unipolar
    x = torch.randn(4, 50, generator=torch.Generator().manual_seed(1)).requires_grad_()
    quantizer(x).sum().backward()
    step = quantizer.eval().scale()
    edge = step / 2 * torch.tensor([0.999999, 1.0, -3.0, 9.0])
    assert quantizer(edge).tolist() == pytest.approx([0.0, float(step), 0.0, float(step)])
    assert torch.equal(x.grad != 0, (x.detach() >= 0) & (x.detach() <= step)) or name == "lsq:1"
    with pytest.raises(UsageError, match=r"padding with \+1"):
        Conv2d(4, 4, (3, 3), act=name, pad_mode="one")


def test_scaled_sign_follows_its_formula() -> None:
    static, learned = activation_quantizer("xnor").train(), activation_quantizer("xnor:learned").train()
    batches = [torch.tensor([1.0, -3.0]), torch.tensor([0.0, -8.0])]
    for batch in batches:
        static(batch)
        learned(batch)
    assert float(static.scale()) == pytest.approx(0.99 * 2 + 0.01 * 4) and float(learned.scale()) == 2.0
    x = torch.tensor([0.5, -0.5, 2.0], requires_grad=True)
    y = learned(x)
    assert y.tolist() == [2.0, -2.0, 2.0]
    (y * torch.tensor([1.0, 10.0, 100.0])).sum().backward()
    assert x.grad.tolist() == [2.0, 20.0, 0.0] and float(learned.beta.grad) == 91.0


def test_lsq_learns_its_step() -> None:
    quantizer = activation_quantizer("lsq:2").train()
    x = torch.rand(2, 6, generator=torch.Generator().manual_seed(2)) * 4
    quantizer(x)
    start = float(quantizer.step.detach())
    assert start == pytest.approx(2 * float(x.mean()) / 3**0.5)
    x.requires_grad_()
    quantizer(x).sum().backward()
    v = x.detach() / start
    inside = (v > 0) & (v < 3)
    # d/dstep: round(v) - v inside the range, 3 above it; scaled by 1 / sqrt(n * levels), n of one example.
    want = torch.where(inside, torch.floor(v + 0.5) - v, 3.0 * (v >= 3)).sum() / (6 * 3) ** 0.5
    assert float(quantizer.step.grad) == pytest.approx(float(want), rel=1e-4)
    assert (x.grad == inside.float()).all()


def test_observed_range_is_kept_in_evaluation() -> None:
    quantizer = activation_quantizer("int8").train()
    quantizer(torch.tensor([-2.0, 1.0]))
    assert float(quantizer.scale()) == pytest.approx(2 / 127)
    quantizer.eval()
    assert float(quantizer(torch.tensor([50.0]))) == pytest.approx(2.0)
    assert float(quantizer.scale()) == pytest.approx(2 / 127)


def test_dynamic_ranges_are_those_of_each_example() -> None:
    quantizer = activation_quantizer("int8:dynamic").train()
    x = torch.tensor([[1.0, -0.503], [127.0, 50.4]], requires_grad=True)
    y = quantizer(x)
    assert y.flatten().tolist() == pytest.approx([1.0, -64 / 127, 127.0, 50.0])
    y.sum().backward()
    assert x.grad.flatten().tolist() == [1.0] * 4
    assert float(quantizer.limit) == 64.0
    quantizer(torch.full((2, 2), 164.0))
    assert float(quantizer.limit) == pytest.approx(65.0)
    quantizer.eval()
    assert float(quantizer(torch.tensor([200.0]))) == pytest.approx(65.0)


def test_unknown_names_suggest_the_nearest() -> None:
    with pytest.raises(UsageError, match="unknown weight quantiser 'binery'") as caught:
        weight_quantizer("binery", 1)
    assert caught.value.hint == "did you mean 'binary'?"
    with pytest.raises(UsageError) as caught:
        activation_quantizer("lsg:2")
    assert caught.value.hint == "did you mean 'lsq'?"
    for spec in ("lsq:5", "lsq:x", "lsq:2:3", "int8:maybe"):
        with pytest.raises(UsageError, match="bad argument"):
            activation_quantizer(spec)
    assert set(ACTIVATIONS) >= {"sign", "lsq", "int8"}


@pytest.mark.parametrize(
    ("name", "progress", "gradient"),
    [
        # At x = -2, -0.5, 0, 0.5: the derivative of each stand-in for the sign, by hand.
        ("sign", None, [0, 1, 1, 1]),
        ("sign:0.4", None, [0, 0, 1, 0]),
        ("ste", None, [1, 1, 1, 1]),
        ("approx", None, [0, 1, 2, 1]),
        ("swish:1", None, [0.1001, 0.8825, 1.0, 0.8825]),
        ("ede", 0.5, [0.0707, 0.7864, 1.0, 0.7864]),
        ("ede", 1.0, [0.0, 0.0018, 10.0, 0.0018]),
        ("dsq", 0.0, [0.0, 1.0326, 1.3130, 1.0326]),
    ],
)
def test_pseudo_gradients(name: str, progress: float | None, gradient: list[float]) -> None:
    quantizer = activation_quantizer(name)
    if progress is not None:
        quantizer.progress = progress
    x = torch.tensor([-2.0, -0.5, 0.0, 0.5], requires_grad=True)
    y = quantizer(x)
    assert y.tolist() == [-1, -1, 1, 1]
    y.sum().backward()
    assert x.grad.tolist() == pytest.approx(gradient, abs=1e-3)
