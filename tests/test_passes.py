"""Lowering: random float-annotated models against a float64 evaluation of the same graph, layer by layer.

Every integer tensor is compared with the float evaluation of the op that makes it, on the same input codes. A code may
differ by one, and only where the exact value lies within the integer form's rounding error of a boundary; ``_bound``
states that error for each op.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from models.annotated import Maker, random_input, random_model
from models.evaluate import Value, evaluate, from_codes

from edgebnn.errors import ModelError
from edgebnn.ir import Graph, Op, reference
from edgebnn.ir.bounds import activation_limit
from edgebnn.ir.file import dumps, loads
from edgebnn.passes import lower
from edgebnn.passes.lower_bconv import integer_affine

MODELS = 300


def _bound(graph: Graph, op: Op) -> np.ndarray:
    """Largest distance from a rounding boundary, in output codes, at which ``op`` may round the other way: [out_c]
    or [1]."""
    a, source = op.attrs, graph.tensors[op.inputs[0]]
    tiny = 1e-9
    if op.type in ("conv2d", "depthwise_conv2d"):
        # bias: half a step of the accumulator; two roundings: half a step of 2^-right <= 2 scale; near-dead: 2^-8
        return 1.5 * a["multiplier"] * 2.0 ** (a["shift"].astype(float) - 31) + 2.0**-8
    if op.type == "bconv2d":
        limit = np.abs(a["weights"].astype(int)).sum(axis=(1, 2, 3)) * activation_limit(source)
        if a.get("threshold") is not None:
            return np.full(len(limit), tiny)
        bound = (limit + 1) * 2.0 ** (-a["shift"] - 1) + tiny
        assert bound.max() < 0.15, "the epilogue is coarse"
        return bound
    if op.type == "quantize":
        exact = graph.tensors[op.output].dtype == "b1"
        return np.array([tiny if exact else 129 * 2.0 ** (-a["shift"] - 1) + tiny])
    if op.type == "mean":
        return np.array([a["multiplier"] * 2.0 ** (a["shift"] - 31) + tiny])
    if op.type == "add":
        return np.array([2.0**-12])
    if op.type == "avg_pool2d":
        return np.array([tiny])  # ties only
    if op.type == "max_pool2d" and op.inputs[0].endswith(":before"):  # quantised in front of the pool
        before = graph.producer(op.inputs[0])
        assert before is not None
        return _bound(graph, before)
    if op.type == "softmax":
        return np.array([0.5])
    return np.array([0.0])


def _check(graph: Graph, op: Op, value: Value, got: np.ndarray) -> int:
    """Compares one tensor; how many codes differ. AssertionError for a difference that rounding does not explain."""
    assert value.codes is not None and value.exact is not None
    wrong = value.codes != got
    if not wrong.any():
        return 0
    t = graph.tensors[op.output]
    bound = np.broadcast_to(_bound(graph, op), got.shape)
    where = f"{op.name} ({op.type}) to {t.dtype}"
    if t.dtype == "b1":
        if op.type == "bconv2d" and "mul" in op.attrs:
            # the unit of a channel is its larger gain, which the evaluation does not know: the largest value over the
            # largest accumulator is at most that
            limit = np.abs(op.attrs["weights"].astype(int)).sum(axis=(1, 2, 3))
            limit = limit * activation_limit(graph.tensors[op.inputs[0]])
            unit = np.abs(value.exact).max(axis=(0, 1)) / np.maximum(limit, 1) * 40
            bound = bound * unit
        distance = np.abs(value.exact)
    else:
        assert (np.abs(value.codes - got) <= 1).all(), where
        distance = np.abs(value.exact + 0.5 - np.round(value.exact + 0.5))
    assert (distance[wrong] <= bound[wrong]).all(), f"{where}: {distance[wrong].max()} over {bound.max()}"
    return int(wrong.sum())


def compare(graph: Graph, codes: np.ndarray) -> Counter[str]:
    """Counts of compared codes, of differing ones ("<op> differs") and of layers by op and type."""
    lowered = lower(graph)
    integer = reference.run(lowered, codes)
    makers = {name: op for op in lowered.ops for name in op.outputs}
    counts: Counter[str] = Counter()
    seen: set[str] = set()

    def replace(name: str, value: Value) -> Value:
        if name not in makers:
            return value
        op = makers[name]
        seen.add(name)
        counts["codes"] += integer[name].size
        counts["differ"] += _check(lowered, op, value, integer[name])
        counts[f"{op.type} {lowered.tensors[op.inputs[0]].dtype} {lowered.tensors[name].dtype}"] += 1
        for key in ("combine", "threshold"):
            if op.attrs.get(key) is not None:
                counts[f"{key} {op.attrs[key] if key == 'combine' else ''}"] += 1
        counts["shortcut"] += op.type == "bconv2d" and len(op.inputs) > 1
        return from_codes(integer[name], lowered.tensors[name])

    evaluate(graph, codes, replace)
    invented = [name for name in makers if not name.endswith(":before") and name not in seen]
    assert not invented, invented
    assert graph.output in makers or graph.output == graph.input
    return counts


def test_random_models_equal_the_float_evaluation() -> None:
    totals: Counter[str] = Counter()
    for seed in range(MODELS):
        rng = np.random.default_rng([1, seed])
        graph = random_model(rng, 1 + seed % 5)
        try:
            totals += compare(graph, random_input(rng, graph))
        except AssertionError as error:
            raise AssertionError(f"model {seed}: {error}") from error
    assert totals["codes"] > 100_000
    assert totals["differ"] < 0.01 * totals["codes"], "rounding boundaries are rare"
    for op in ("conv2d s8 s8", "depthwise_conv2d s8 s8", "add s8 s8", "mean s8 s8", "max_pool2d s8 s8"):
        assert totals[op] >= 5, op
    types = ("b1", "u2", "u3", "u4", "s8")
    for one in types:
        assert sum(totals[f"bconv2d {one} {other}"] for other in types) >= 10, f"{one} input"
        assert sum(totals[f"bconv2d {other} {one}"] for other in types) >= 10, f"{one} output"
        assert totals[f"quantize s8 {one}"] >= 5, one
    assert min(totals["combine max"], totals["combine min"], totals["threshold "], totals["shortcut"]) >= 5


# Constructs that have no integer form: the error names the layer.


def _model() -> Maker:
    return Maker(np.random.default_rng(5), shape=(4, 4, 8))


def _low_bit(m: Maker, dtype: str = "b1", **keywords: Any) -> None:
    """A quantiser and a binary 1x1 convolution "low"."""
    m.x = m.b.quant(m.x, dtype, 1.0, name="q_low")
    m.x = m.b.conv(m.x, np.ones((8, 1, 1, 8), np.int8), 0.1, "binary", name="low", **keywords)


def _int8(m: Maker, **keywords: Any) -> None:
    m.x = m.b.conv(m.x, np.full((8, 1, 1, 8), 9, np.int8), 0.01, "s8", name="full", **keywords)


def _done(m: Maker, dtype: str = "s8", **keywords: Any) -> None:
    m.b.output(m.b.quant(m.x, dtype, 0.05, name="last", **keywords))


def _unquantised_output(m: Maker) -> None:
    _int8(m)
    m.b.output(m.x)


def _int8_to_bits(m: Maker) -> None:
    _int8(m)
    _done(m, "b1")


def _int8_of_bits(m: Maker) -> None:
    m.x = m.b.quant(m.x, "u2", 0.5)
    _int8(m)
    _done(m)


def _int8_prelu(m: Maker) -> None:
    _int8(m)
    m.x = m.b.prelu(m.x, 0.1)
    _done(m)


def _two_readers(m: Maker) -> None:
    _low_bit(m)
    left = m.b.quant(m.x, "s8", 0.05)
    m.x = m.b.add(left, m.b.quant(m.x, "s8", 0.05))
    _done(m)


def _grouped_low_bit(m: Maker) -> None:
    m.x = m.b.quant(m.x, "b1", 1.0)
    m.x = m.b.conv(m.x, np.ones((8, 1, 1, 1), np.int8), 0.1, "binary", groups=8, name="low")
    _done(m)


def _one_padding_of_codes(m: Maker) -> None:
    m.x = m.b.quant(m.x, "u2", 1.0)
    m.x = m.b.conv(
        m.x, np.ones((8, 3, 3, 8), np.int8), 0.1, "binary", pads=(1, 1, 1, 1), pad_mode="one", name="low"
    )
    _done(m)


def _zero_padding_of_bipolar(m: Maker) -> None:
    m.x = m.b.quant(m.x, "u2", 1.0, bipolar=True)
    m.x = m.b.conv(m.x, np.ones((8, 3, 3, 8), np.int8), 0.1, "binary", pads=(1, 1, 1, 1), name="low")
    _done(m)


def _lowest_padding_of_bits(m: Maker) -> None:
    m.x = m.b.quant(m.x, "b1", 1.0)
    m.x = m.b.conv(
        m.x, np.ones((8, 3, 3, 8), np.int8), 0.1, "binary", pads=(1, 1, 1, 1), pad_mode="lowest", name="low"
    )
    _done(m)


def _relu_of_bipolar(m: Maker) -> None:
    m.x = m.b.relu(m.b.quant(m.x, "u2", 1.0, bipolar=True), name="relu_u2")
    m.b.output(m.b.conv(m.x, np.ones((8, 1, 1, 8), np.int8), 0.1, "binary"))


def _mean_of_bipolar(m: Maker) -> None:
    m.x = m.b.global_avg_pool(m.b.quant(m.x, "u2", 1.0, bipolar=True), name="average")
    _done(m)


def _sum_of_bipolar(m: Maker) -> None:
    x = m.b.quant(m.x, "u2", 1.0, bipolar=True)
    m.x = m.b.add(x, x, name="sum")
    _done(m)


def _one_padding_of_int8(m: Maker) -> None:
    m.x = m.b.conv(
        m.x, np.ones((8, 3, 3, 8), np.int8), 0.1, "s8", pads=(1, 1, 1, 1), pad_mode="one", name="full"
    )
    _done(m)


def _mixed_gains_after_relu(m: Maker) -> None:
    _low_bit(m)
    m.x = m.b.affine(m.b.relu(m.x), [1, -1] * 4, 0.0, name="mixed")
    _done(m)


def _mixed_slopes(m: Maker) -> None:
    _low_bit(m)
    m.x = m.b.prelu(m.x, [0.5, 2] * 4, name="slopes")
    _done(m)


def _affine_after_hardtanh(m: Maker) -> None:
    _low_bit(m)
    m.x = m.b.affine(m.b.hardtanh(m.x), 2.0, 0.1, name="late")
    _done(m)


def _relu_of_b1(m: Maker) -> None:
    m.x = m.b.relu(m.b.quant(m.x, "b1", 1.0), name="relu_b1")
    m.b.output(m.b.conv(m.x, np.ones((8, 1, 1, 8), np.int8), 0.1, "binary"))


def _unquantised_sum(m: Maker) -> None:
    m.x = m.b.add(m.x, m.x, name="sum")
    m.b.output(m.x)


def _lonely_affine(m: Maker) -> None:
    m.b.output(m.b.affine(m.x, 2.0, 0.0, name="scale"))


def _softmax_of_real(m: Maker) -> None:
    _int8(m)
    m.b.output(m.b.softmax(m.x, name="soft"))


def _mean_of_bits(m: Maker) -> None:
    m.x = m.b.global_avg_pool(m.b.quant(m.x, "u2", 0.5), name="average")
    _done(m)


def _huge_gain(m: Maker) -> None:
    _low_bit(m)
    m.x = m.b.affine(m.x, 1e9, 0.0)
    _done(m)


def _gains_too_far_apart(m: Maker) -> None:
    _low_bit(m)
    m.x = m.b.affine(m.x, [5000.0] + [0.3] * 7, 0.0)
    _done(m)


def _huge_int8_gain(m: Maker) -> None:
    _int8(m)
    m.x = m.b.affine(m.x, 1e8, 0.0)
    _done(m)


def _softmax_too_wide(m: Maker) -> None:
    x = m.b.conv(m.x, np.ones((5000, 4, 4, 8), np.int8), 0.01, "s8")
    m.b.output(m.b.softmax(m.b.quant(x, "s8", 0.1), name="wide"))


def _huge_quantiser(m: Maker) -> None:
    m.x = m.b.affine(m.x, 1e9, 0.0)
    _done(m, "u2")


def _falling_affine_after_pool(m: Maker) -> None:
    _low_bit(m)
    m.x = m.b.max_pool(m.x, (2, 2), (2, 2))
    m.x = m.b.affine(m.x, [-1.0] + [1.0] * 7, 0.0, name="falling")
    _done(m)


REFUSED = {
    _falling_affine_after_pool: "falling",
    _unquantised_output: "full",
    _int8_to_bits: "full",
    _int8_of_bits: "full",
    _int8_prelu: "full",
    _two_readers: "low",
    _grouped_low_bit: "low",
    _one_padding_of_codes: "low",
    _one_padding_of_int8: "full",
    _mixed_gains_after_relu: "mixed",
    _mixed_slopes: "slopes",
    _affine_after_hardtanh: "low",
    _relu_of_b1: "relu_b1",
    _zero_padding_of_bipolar: "low",
    _lowest_padding_of_bits: "low",
    _relu_of_bipolar: "relu_u2",
    _mean_of_bipolar: "average",
    _sum_of_bipolar: "sum",
    _unquantised_sum: "sum",
    _lonely_affine: "scale",
    _softmax_of_real: "full",
    _mean_of_bits: "average",
    _huge_gain: "low",
    _gains_too_far_apart: "low",
    _huge_int8_gain: "full",
    _softmax_too_wide: "wide",
    _huge_quantiser: "last",
}


@pytest.mark.parametrize("make", REFUSED, ids=lambda f: f.__name__.strip("_"))
def test_what_has_no_integer_form_is_refused_by_name(make: Callable[[Maker], None]) -> None:
    m = _model()
    make(m)
    graph = m.b.build()
    with pytest.raises(ModelError) as caught:
        lower(graph)
    assert f"layer {REFUSED[make]!r}" in str(caught.value)
    assert "\n" not in str(caught.value)


NAN = {
    "weights": lambda b, x: b.conv(x, np.full((8, 1, 1, 8), np.nan), 0.1, "s8", name="bad"),
    "fractions": lambda b, x: b.conv(x, np.full((8, 1, 1, 8), 0.5), 0.1, "s8", name="bad"),
    "range": lambda b, x: b.conv(x, np.full((8, 1, 1, 8), 300), 0.1, "s8", name="bad"),
    "-128": lambda b, x: b.conv(x, np.full((8, 1, 1, 8), -128), 0.1, "s8", name="bad"),
    "kind": lambda b, x: b.conv(x, np.zeros((8, 1, 1, 8)), 0.1, "binary", name="bad"),
    "scale": lambda b, x: b.conv(x, np.ones((8, 1, 1, 8)), np.nan, "s8", name="bad"),
    "gain": lambda b, x: b.affine(x, np.nan, 0.0, name="bad"),
    "bias": lambda b, x: b.affine(x, 1.0, np.inf, name="bad"),
    "slope": lambda b, x: b.prelu(x, np.nan, name="bad"),
    "quantiser": lambda b, x: b.quant(x, "s8", np.nan, name="bad"),
    "zero scale": lambda b, x: b.quant(x, "s8", 0.0, name="bad"),
    "zero point": lambda b, x: b.quant(x, "s8", 0.1, 300, name="bad"),
    "zero point of bits": lambda b, x: b.quant(x, "u2", 0.1, 1, name="bad"),
    "type": lambda b, x: b.quant(x, "s32", 0.1, name="bad"),
    "channels": lambda b, x: b.conv(x, np.ones((8, 1, 1, 7)), 0.1, "s8", name="bad"),
    "dense": lambda b, x: b.dense(x, np.ones((8, 7)), 0.1, "s8", name="bad"),
    "stride": lambda b, x: b.conv(x, np.ones((8, 1, 1, 8)), 0.1, "s8", stride=(0, 1), name="bad"),
    "pads": lambda b, x: b.max_pool(x, (2, 2), pads=(2, 0, 0, 0), name="bad"),
    "kernel": lambda b, x: b.max_pool(x, (9, 9), name="bad"),
}


@pytest.mark.parametrize("case", NAN)
def test_bad_numbers_are_refused_by_name(case: str) -> None:
    b = _model().b
    with pytest.raises(ModelError, match="bad"):
        b.output(NAN[case](b, "input"))
        b.build()


# Extremes that have an integer form: constants and saturation.


def _one_layer(weights: str, gain: list[float], bias: list[float], out: str = "s8", act: str = "") -> Graph:
    m = _model()
    if weights == "s8":
        codes = np.random.default_rng(3).integers(-127, 128, (len(gain), 1, 1, 8))
    else:
        m.x = m.b.quant(m.x, "b1", 1.0)
        codes = np.random.default_rng(3).choice([-1, 1], (len(gain), 1, 1, 8))
    m.x = m.b.conv(m.x, codes, 1.0 if weights != "s8" else 0.01, weights)
    m.x = m.b.affine(m.x, gain, bias)
    for word in act.split():
        m.x = m.b.prelu(m.x, 0.1) if word == "prelu" else m.b.relu(m.x)
    m.b.output(m.b.quant(m.x, out, 0.05 if out == "s8" else 0.5))
    return m.b.build()


EXTREMES = [0.0, 1e-300, -1e-300, 1e-12, -1e-9, 1e-7, 1e-6, 0.3, -0.3]
BIASES = [3.3, -3.3, 1e9, -1e9, 1e200, -1e200, 0.0, 2.0, -2.0]


@pytest.mark.parametrize("weights", ["s8", "binary"])
@pytest.mark.parametrize("act", ["", "prelu", "relu"])
def test_dead_and_saturated_channels(weights: str, act: str) -> None:
    for out in ("s8", "u2", "b1"):
        if weights == "s8" and (out != "s8" or act == "prelu"):
            continue
        graph = _one_layer(weights, EXTREMES, BIASES, out, act)
        compare(graph, random_input(np.random.default_rng(4), graph))


def test_a_bipolar_output_is_refused() -> None:
    m = _model()
    _low_bit(m)
    _done(m, "u2", bipolar=True)
    with pytest.raises(ModelError, match="'last:0' is bipolar"):
        lower(m.b.build())
    with pytest.raises(ModelError, match="of s8 is bipolar"):
        _done(m, bipolar=True)
        m.b.build()


@pytest.mark.parametrize("dtype", ["u2", "u3", "u4"])
def test_bipolar_layers_keep_their_type_in_files(dtype: str) -> None:
    m = _model()
    m.x = m.b.quant(m.x, dtype, 0.5, bipolar=True, name="codes")
    weights = np.where(np.arange(8 * 72) % 3, 1, -1).reshape(8, 3, 3, 8).astype(np.int8)
    m.x = m.b.conv(m.x, weights, 0.1, "binary", pads=(1, 1, 1, 1), pad_mode="lowest")
    m.b.output(m.b.quant(m.x, "s8", 0.1))
    graph = lower(m.b.build())
    again = loads(dumps(graph))
    assert again.tensors == graph.tensors and again.tensors["codes:0"].bipolar
    assert again.tensors["codes:0"].centre == (2 ** int(dtype[1]) - 1) / 2


def test_a_sign_after_relu_is_always_plus() -> None:
    graph = _one_layer("binary", [1.0] * 8, [-2.0] * 8, "b1", "relu")
    lowered = lower(graph)
    result = reference.run(lowered, random_input(np.random.default_rng(4), graph))
    assert (result[lowered.output] == 1).all()


def test_negative_weight_scales_count() -> None:
    m = _model()
    m.x = m.b.quant(m.x, "b1", 1.0)
    codes = np.random.default_rng(3).choice([-1, 1], (8, 1, 1, 8))
    m.x = m.b.conv(m.x, codes, -0.1, "binary")
    m.b.output(m.b.quant(m.b.affine(m.x, 1.0, 0.13), "b1", 1.0))
    graph = m.b.build()
    assert compare(graph, random_input(np.random.default_rng(4), graph))["threshold "] == 1


def test_int8_multipliers_are_never_negative() -> None:
    """Channels of negative gain get negated weights: the kernels for SIMD lanes take no negative multiplier."""
    graph = _one_layer(
        "s8", [0.7, -0.7, -1e-9, 0.0, 3.0, -3.0, -0.01, 0.01], [0.3, -0.3, 1.0, 0.1, -2.0, 2.0, 0, 0]
    )
    lowered = lower(graph)
    assert all((op.attrs["multiplier"] >= 0).all() for op in lowered.ops if op.type == "conv2d")
    compare(graph, random_input(np.random.default_rng(4), graph))


def test_no_accumulator_can_overflow() -> None:
    """Random parameters up to the limits of their types: lowering refuses, or no value leaves int32."""
    refused = 0
    for seed in range(150):
        rng = np.random.default_rng([2, seed])
        graph = _one_layer(
            "s8" if seed % 2 else "binary",
            list(10 ** rng.uniform(-6, 6) * rng.uniform(0.5, 2, 6) * rng.choice([-1, 1], 6)),
            list(10 ** rng.uniform(-3, 9) * rng.uniform(-1, 1, 6)),
            act="prelu" if seed % 4 == 0 else "",
        )
        try:
            lowered = lower(graph)
        except ModelError:
            refused += 1
            continue
        for x in (np.full((4, 4, 8), -128), np.full((4, 4, 8), 127), random_input(rng, graph)):
            counts = compare(graph, x.astype(np.int8))
            assert counts["codes"] > 0
            _largest_value(lowered, x)
    assert 10 < refused < 140


def _largest_value(graph: Graph, x: np.ndarray) -> None:
    """Every intermediate of the convolution stays in int32."""
    values = reference.run(graph, x)
    (op,) = (op for op in graph.ops if op.type in ("conv2d", "bconv2d"))
    a, source = op.attrs, graph.tensors[op.inputs[0]]
    acc = (values[op.inputs[0]] - source.zero_point).reshape(-1, 8) @ a["weights"].reshape(-1, 8).astype(
        np.int64
    ).T
    if op.type == "conv2d":
        largest = (acc + a["bias"].astype(np.int64)) << np.maximum(a["shift"].astype(np.int64), 0)
    else:
        largest = acc * a["mul"].astype(np.int64) + a["add"].astype(np.int64)
    assert np.abs(acc).max() < 2**31 and np.abs(largest).max() < 2**31


def test_lowering_an_integer_graph_changes_nothing() -> None:
    graph = lower(random_model(np.random.default_rng(8), 4))
    assert dumps(lower(graph)) == dumps(graph)


def test_epilogues_need_accuracy_only_where_outputs_do_not_saturate() -> None:
    """Wide layers of 8-bit inputs: accumulators whose worst case is far beyond the output's range."""
    rng = np.random.default_rng(5)
    gain, offset = np.array([0.0749, 0.0123, -0.031]), np.array([-700.4, 12.6, 300.0])
    limit = np.full(3, 174_720.0)
    found = integer_affine(gain, offset, limit)
    assert found is not None
    mul, add, shift = found
    at = rng.integers(-174_720, 174_721, (20_000, 3))
    at[:10_000] = np.round((rng.uniform(-300, 300, (10_000, 3)) - offset) / gain)  # not saturated
    got = np.clip((at * mul.astype(np.int64) + add) >> shift, -256, 255)
    exact = np.clip(np.floor(gain * at + offset + 0.5), -256, 255)
    assert np.abs(got - exact).max() <= 1
    assert len(np.unique(exact)) == 512
    assert integer_affine(np.array([100.0, 0.001]), np.zeros(2), np.full(2, 1e6)) is None
