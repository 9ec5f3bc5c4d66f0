"""INT8 numerics against TFLite's reference kernels: every layer of a real model, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebnn.ir import Graph, Op, TensorType, reference, verify
from edgebnn.ir.fixed import quantize_multiplier
from edgebnn.ir.ops.softmax import parameters

tflite = pytest.importorskip("tflite_runtime.interpreter", reason="tflite-runtime is not installed")

DENSE = {"kernel": (1, 1), "stride": (1, 1), "pads": (0, 0, 0, 0), "dilation": (1, 1)}


class Oracle:
    """TFLite's interpreter with its reference kernels; all tensors stay readable."""

    def __init__(self, path: Path) -> None:
        self.interpreter = tflite.Interpreter(
            str(path),
            experimental_op_resolver_type=tflite.OpResolverType.BUILTIN_REF,
            experimental_preserve_all_tensors=True,
        )
        self.interpreter.allocate_tensors()
        self.details = {t["index"]: t for t in self.interpreter.get_tensor_details()}
        self.ops = self.interpreter._get_ops_details()

    def run(self, x: np.ndarray) -> dict[int, np.ndarray]:
        """The outputs of all layers for one input, by tensor index."""
        self.interpreter.set_tensor(self.interpreter.get_input_details()[0]["index"], x)
        self.interpreter.invoke()
        return {int(op["outputs"][0]): self.constant(int(op["outputs"][0])) for op in self.ops}

    def constant(self, index: int) -> np.ndarray:
        return np.array(self.interpreter.get_tensor(index))

    def type(self, index: int) -> TensorType:
        """Our type of an activation; batch 1, vectors are 1 x 1 x C."""
        detail = self.details[index]
        shape = (1, 1, 1, *(int(n) for n in detail["shape"][1:]))[-3:]
        scale, zero = detail["quantization"]
        return TensorType(shape, "s8", float(np.float32(scale)), int(zero))  # type: ignore[arg-type]

    def scales(self, index: int) -> np.ndarray:
        return np.asarray(self.details[index]["quantization_parameters"]["scales"], np.float32)


def _same_pads(source: TensorType, out: TensorType, kernel: tuple[int, int], stride: tuple[int, int]) -> Any:
    pads: list[int] = []
    for axis in (0, 1):
        total = max((out.shape[axis] - 1) * stride[axis] + kernel[axis] - source.shape[axis], 0)
        pads += [total // 2, total - total // 2]
    return tuple(pads)


def _weighted(
    oracle: Oracle, op: dict[str, Any], source: TensorType, out: TensorType
) -> tuple[str, dict[str, Any]]:
    """A convolution, depthwise convolution or dense layer as ours."""
    weights, bias = oracle.constant(int(op["inputs"][1])), oracle.constant(int(op["inputs"][2]))
    scales = oracle.scales(int(op["inputs"][1]))
    if (
        op["op_name"] == "FULLY_CONNECTED"
    ):  # TFLite multiplies the scales as floats here, as doubles elsewhere
        product = (np.float32(source.scale) * scales).astype(np.float64)
        ours, window, channels = weights[:, None, None, :], DENSE, len(weights)
    else:
        product = source.scale * scales.astype(np.float64)
        depthwise = op["op_name"] == "DEPTHWISE_CONV_2D"
        ours, channels = (weights[0], weights.shape[3]) if depthwise else (weights, len(weights))
        kernel = (int(weights.shape[1]), int(weights.shape[2]))
        stride = tuple(-(-source.shape[i] // out.shape[i]) for i in (0, 1))
        pads = _same_pads(source, out, kernel, stride)  # type: ignore[arg-type]
        window = {"kernel": kernel, "stride": stride, "pads": pads, "dilation": (1, 1)}
    pairs = [quantize_multiplier(float(s) / out.scale) for s in np.broadcast_to(product, (channels,))]
    relu = op["op_name"] != "FULLY_CONNECTED"
    attrs = {
        **window,
        "weights": ours,
        "bias": bias,
        "multiplier": np.array([m for m, _ in pairs], np.int32),
        "shift": np.array([s for _, s in pairs], np.int8),
        "act_min": max(-128, out.zero_point) if relu else -128,
        "act_max": 127,
    }
    return ("depthwise_conv2d" if op["op_name"] == "DEPTHWISE_CONV_2D" else "conv2d"), attrs


def imported(oracle: Oracle) -> Graph:
    """The model as our integer graph; tensor names are TFLite's indices."""
    first = int(oracle.interpreter.get_input_details()[0]["index"])
    types = {str(first): oracle.type(first)}
    alias = {first: str(first)}
    ops: list[Op] = []
    for op in oracle.ops:
        source_index, out_index = int(op["inputs"][0]), int(op["outputs"][0])
        source, out = oracle.type(source_index), oracle.type(out_index)
        if op["op_name"] == "RESHAPE":  # the same bytes
            alias[out_index] = alias[source_index]
            continue
        if op["op_name"] == "SOFTMAX":
            op_type, attrs = "softmax", parameters(source.scale)
        elif op["op_name"] == "AVERAGE_POOL_2D":
            window = {**DENSE, "kernel": source.shape[:2], "stride": source.shape[:2]}
            op_type, attrs = "avg_pool2d", {**window, "act_min": -128, "act_max": 127}
        else:
            op_type, attrs = _weighted(oracle, op, source, out)
        alias[out_index] = str(out_index)
        types[str(out_index)] = out
        ops.append(
            Op(f"{op['op_name']}_{out_index}", op_type, (alias[source_index],), (str(out_index),), attrs)
        )
    return verify(Graph("kws_ref", tuple(ops), types, str(first), ops[-1].output), integer=True)


@pytest.fixture(scope="module")
def oracle(data_dir: Path) -> Oracle:
    path = data_dir / "models" / "kws_ref_int8.tflite"
    if not path.is_file():
        pytest.skip(f"EDGEBNN_DATA has no {path.name}")
    return Oracle(path)


def _inputs(data_dir: Path) -> Iterator[np.ndarray]:
    with np.load(data_dir / "kws12_val.npz") as data:
        yield from data["features"][::20][:33]
    rng = np.random.default_rng(1)
    for i in range(100):
        low, high = ((-128, 128), (-128, -120), (100, 128), (-20, 110))[i % 4]
        yield rng.integers(low, high, (49, 10)).astype(np.int8)
    yield from (np.full((49, 10), v, np.int8) for v in (-128, 127, 83))


def test_every_layer_equals_tflite(oracle: Oracle, data_dir: Path) -> None:
    graph = imported(oracle)
    count = 0
    for x in _inputs(data_dir):
        expected = oracle.run(x.reshape(1, 49, 10, 1))
        values = reference.run(graph, x)
        for op in graph.ops:
            want = expected[int(op.output)].reshape(values[op.output].shape)
            differ = int(np.count_nonzero(values[op.output] != want))
            assert differ == 0, f"input {count}: {op.name}: {differ} of {want.size} differ"
        count += 1
    assert count >= 132 and len(graph.ops) == 12


def test_the_lowered_form_has_the_oracles_multipliers(oracle: Oracle) -> None:
    """Multipliers are normalised, and the bias fits: what TFLite's own preparation demands."""
    for op in imported(oracle).ops:
        if "multiplier" in op.attrs:
            assert (op.attrs["multiplier"] >= 1 << 30).all()
            assert (op.attrs["shift"] <= 0).all()


@pytest.mark.parametrize("scale", [0.001, 0.02, 0.1447, 0.5, 1.0, 4.0, 60.0])
def test_softmax_follows_the_real_softmax(scale: float) -> None:
    """Within two steps of 1/256 of the exact value; saturation aside."""
    rng = np.random.default_rng(2)
    x = rng.integers(-128, 128, (1, 50, 12))
    types = {"x": TensorType((1, 50, 12), "s8", scale), "y": TensorType((1, 50, 12), "s8", 1 / 256, -128)}
    graph = Graph("soft", (Op("s", "softmax", ("x",), ("y",), parameters(scale)),), types, "x", "y")
    got = reference.run(verify(graph, integer=True), x)["y"]
    e = np.exp((x - x.max(axis=-1, keepdims=True)) * scale)
    want = np.clip(e / e.sum(axis=-1, keepdims=True) * 256 - 128, -128, 127)
    assert np.abs(got - want).max() <= 1.0
