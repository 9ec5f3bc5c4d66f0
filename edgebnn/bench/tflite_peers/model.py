"""One-layer .tflite files, written with flatbuffers' builder alone: fields by their place in TensorFlow Lite's schema
(schema.fbs, version 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
from flatbuffers import flexbuffers

FLOAT32, INT32, INT8 = 0, 2, 9
_TYPES = {np.dtype(np.float32): FLOAT32, np.dtype(np.int32): INT32, np.dtype(np.int8): INT8}
CONV_2D, FULLY_CONNECTED, CUSTOM = 3, 9, 32
_CONV_2D_OPTIONS, _FULLY_CONNECTED_OPTIONS = 1, 8
#: bytes that the schema aligns the contents of buffers to
_ALIGNMENT = 16


class _Writer:
    """The tensors and buffers of one subgraph, in the order they are added."""

    def __init__(self) -> None:
        self.b = flatbuffers.Builder(1 << 16)
        self.tensors: list[int] = []
        self.buffers: list[int] = [self._table(1, {})]  # buffer 0 is the empty one

    def _table(
        self, fields: int, offsets: dict[int, int], scalars: Sequence[tuple[int, str, int]] = ()
    ) -> int:
        b = self.b
        b.StartObject(fields)
        for slot, offset in offsets.items():
            b.PrependUOffsetTRelativeSlot(slot, offset, 0)
        for slot, kind, value in scalars:
            getattr(b, f"Prepend{kind}Slot")(slot, value, 0)
        return int(b.EndObject())

    def _data(self, data: bytes) -> int:
        b = self.b
        b.StartVector(1, len(data), _ALIGNMENT)
        b.head = b.Head() - len(data)
        b.Bytes[b.Head() : b.Head() + len(data)] = data
        return int(b.EndVector())

    def _tables(self, offsets: Sequence[int]) -> int:
        self.b.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.b.PrependUOffsetTRelative(offset)
        return int(self.b.EndVector())

    def _ints(self, values: Sequence[int]) -> int:
        return int(self.b.CreateNumpyVector(np.array(values, np.int32)))

    def tensor(
        self,
        shape: Sequence[int],
        kind: int,
        data: np.ndarray | None = None,
        scales: np.ndarray | None = None,
        zero_point: int = 0,
    ) -> int:
        """Adds a tensor, constant where ``data`` is given; its index. ``scales``: one, or one for each index of the
        first dimension."""
        offsets, buffer = {}, 0
        if data is not None:
            buffer = len(self.buffers)
            self.buffers.append(self._table(1, {0: self._data(data.tobytes())}))
        if scales is not None:
            scale = int(self.b.CreateNumpyVector(np.asarray(scales, np.float32)))
            zero = int(self.b.CreateNumpyVector(np.full(len(scales), zero_point, np.int64)))
            offsets[4] = self._table(7, {2: scale, 3: zero})
        offsets[3] = int(self.b.CreateString(f"t{len(self.tensors)}"))
        offsets[0] = self._ints(shape)
        self.tensors.append(self._table(8, offsets, [(1, "Int8", kind), (2, "Uint32", buffer)]))
        return len(self.tensors) - 1

    def constant(self, data: np.ndarray, scales: np.ndarray | None = None) -> int:
        """Adds a constant of the array's shape and type; its index."""
        return self.tensor(data.shape, _TYPES[data.dtype], data, scales)

    def options(self, fields: int, scalars: Sequence[tuple[int, str, int]]) -> int:
        """A table of an operator's options."""
        return self._table(fields, {}, scalars)

    def finish(
        self,
        builtin: int,
        inputs: Sequence[int],
        output: int,
        options: tuple[int, int] = (0, 0),
        custom: tuple[str, bytes] | None = None,
    ) -> bytes:
        """The file of one operator from tensor inputs[0] to ``output``. ``options``: (its type in the schema's union,
        table); ``custom``: (name, flexbuffer of options) of an operator that the schema does not know."""
        b = self.b
        code, fields = {}, {1: self._ints(inputs), 2: self._ints([output])}
        if custom is not None:
            code = {1: int(b.CreateString(custom[0]))}
            fields[5] = self._data(custom[1])
        else:
            fields[4] = options[1]
        operator = self._table(7, fields, [(3, "Uint8", options[0])])
        # 5: a version of the operators that has scales per channel and multipliers of any size
        version = 1 if custom is not None else 5
        codes = self._table(4, code, [(0, "Int8", builtin), (2, "Int32", version), (3, "Int32", builtin)])
        parts = {
            0: self._tables(self.tensors),
            1: self._ints(inputs[:1]),
            2: self._ints([output]),
            3: self._tables([operator]),
        }
        graph = self._table(5, parts)
        model = self._table(
            5,
            {1: self._tables([codes]), 2: self._tables([graph]), 4: self._tables(self.buffers)},
            [(0, "Uint32", 3)],
        )
        b.Finish(model, b"TFL3")
        return bytes(b.Output())


def int8_layer(layer: dict[str, Any]) -> bytes:
    """An INT8 convolution (stride 1, same padding) or, for layers of one pixel row named dense, fully connected layer:
    input and output with a zero point, weights with scales per output channel, random values.

    ``layer``: the fields h, w, in_c, out_c, kernel, name of ``edgebnn.bench.layers.Layer``."""
    rng, w = np.random.default_rng(1), _Writer()
    in_c, out_c, k = layer["in_c"], layer["out_c"], layer["kernel"]
    dense = layer["name"].startswith("dense")
    pixels = [layer["h"] * layer["w"]] if dense else [1, layer["h"], layer["w"]]
    weights = rng.integers(-127, 128, (out_c, in_c) if dense else (out_c, k, k, in_c)).astype(np.int8)
    scales = np.full(out_c, 0.01, np.float32)
    x = w.tensor([*pixels, in_c], INT8, None, np.array([0.05]), -5)
    filters = w.constant(weights, scales)
    bias = w.constant(rng.integers(-1000, 1000, out_c).astype(np.int32), scales * np.float32(0.05))
    # a scale that keeps most sums of random products within 8 bits
    y = w.tensor([*pixels, out_c], INT8, None, np.array([0.05 * (in_c * k * k) ** 0.5]), 3)
    if dense:
        return w.finish(FULLY_CONNECTED, [x, filters, bias], y, (_FULLY_CONNECTED_OPTIONS, w.options(4, [])))
    ones = [(slot, "Int32", 1) for slot in (1, 2, 4, 5)]  # strides and dilations; padding "same" is 0
    return w.finish(CONV_2D, [x, filters, bias], y, (_CONV_2D_OPTIONS, w.options(6, ones)))


def larq_layer(layer: dict[str, Any]) -> bytes:
    """Larq Compute Engine's LceBconv2d from packed bits to packed bits by thresholds, one padding, random values. Input
    (1, H, W, in_c / 32) and output int32, the form between two of its layers."""
    rng, w = np.random.default_rng(1), _Writer()
    in_c, out_c, k = layer["in_c"], layer["out_c"], layer["kernel"]
    if in_c % 32 or out_c % 32:
        raise ValueError("needs a multiple of 32 channels")
    products = in_c * k * k
    bits = rng.integers(-(1 << 31), 1 << 31, (out_c, k, k, in_c // 32)).astype(np.int32)
    x = w.tensor([1, layer["h"], layer["w"], in_c // 32], INT32)
    filters = w.constant(bits)
    thresholds = w.constant((products // 2 + rng.integers(-9, 10, out_c)).astype(np.int32))
    y = w.tensor([1, layer["h"], layer["w"], out_c // 32], INT32)
    options = {
        "channels_in": in_c,
        "dilation_height_factor": 1,
        "dilation_width_factor": 1,
        "fused_activation_function": 0,  # none
        "pad_values": 1,
        "padding": 0,  # same
        "stride_height": 1,
        "stride_width": 1,
    }
    custom = ("LceBconv2d", bytes(flexbuffers.Dumps(options)))
    return w.finish(CUSTOM, [x, filters, -1, -1, thresholds], y, custom=custom)
