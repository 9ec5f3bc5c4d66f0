"""Builds a float-annotated graph (``q.*`` ops) step by step; importers and layers' ``export_ir`` use it.

Values are tensor names. Shapes are (H, W, C), batch 1. Weight codes are [out_c, kh, kw, in_c]; depthwise: [out_c, kh,
kw, 1] with groups = in_c.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgebnn.errors import ModelError
from edgebnn.ir.ops import REGISTRY, windows
from edgebnn.ir.schema import window
from edgebnn.ir.types import Graph, Op, Shape, TensorType
from edgebnn.ir.verify import verify

ArrayLike = np.ndarray | Sequence[float] | float


class Builder:
    """One method an op; each appends it and returns the name of its output tensor."""

    def __init__(self, name: str, meta: Mapping[str, Any] | None = None) -> None:
        self.name = name
        self.meta = dict(meta or {})
        self._ops: list[Op] = []
        self._tensors: dict[str, TensorType] = {}
        self._input: str | None = None
        self._output: str | None = None

    def type_of(self, x: str) -> TensorType:
        """The type of a value."""
        return self._tensors[x]

    def _append(
        self, op_type: str, inputs: Sequence[str], attrs: Mapping[str, Any], name: str | None, **out: Any
    ) -> str:
        base = name or f"{op_type.removeprefix('q.')}_{len(self._ops)}"
        taken = {op.name for op in self._ops}
        unique = (
            base
            if base not in taken
            else next(f"{base}_{i}" for i in range(2, 10**6) if f"{base}_{i}" not in taken)
        )
        op = Op(unique, op_type, tuple(inputs), (f"{unique}:0",), dict(attrs))
        if REGISTRY[op_type].attrs >= windows.ATTRS and (wrong := window(op)):
            raise ModelError(f"{self.name}: layer {unique!r} ({op_type}): {wrong}")
        shape = REGISTRY[op_type].shape(op, [self._tensors[i].shape for i in inputs])[0]
        self._tensors[op.output] = TensorType(shape, **{"dtype": "real", **out})
        self._ops.append(op)
        return op.output

    def input(self, shape: Shape, scale: float, zero_point: int = 0, dtype: str = "s8") -> str:
        """The graph's input."""
        self._input = "input"
        self._tensors["input"] = TensorType(tuple(shape), dtype, float(scale), int(zero_point))  # type: ignore[arg-type]
        return "input"

    def conv(
        self,
        x: str,
        codes: np.ndarray,
        weight_scale: ArrayLike,
        kind: str,
        stride: tuple[int, int] = (1, 1),
        pads: tuple[int, int, int, int] = (0, 0, 0, 0),
        pad_mode: str = "zero",
        dilation: tuple[int, int] = (1, 1),
        groups: int = 1,
        name: str | None = None,
    ) -> str:
        """Convolution of integer codes [out_c, kh, kw, in_c / groups]; real weight = weight_scale[out_c] * code.

        ``pad_mode``: what a tap outside the image reads: "zero", "one" (+1, b1 only) or "lowest" (code 0, u2..u4)."""
        codes = self._codes(codes, name or "conv")
        attrs = {
            "codes": codes,
            "weight_scale": np.broadcast_to(np.asarray(weight_scale, np.float64), codes.shape[:1]).copy(),
            "kind": kind,
            "kernel": tuple(int(n) for n in codes.shape[1:3]),
            "stride": tuple(stride),
            "pads": tuple(pads),
            "dilation": tuple(dilation),
            "pad_mode": pad_mode,
            "groups": int(groups),
        }
        if codes.shape[3] * groups != self._tensors[x].channels:
            raise ModelError(
                f"{self.name}: layer {name or 'conv'!r} takes {codes.shape[3] * groups} channels,"
                f" its input has {self._tensors[x].channels}"
            )
        return self._append("q.conv", [x], attrs, name)

    def dense(
        self, x: str, codes: np.ndarray, weight_scale: ArrayLike, kind: str, name: str | None = None
    ) -> str:
        """Dense layer, codes [out, H * W * C] in NHWC order: a convolution whose kernel covers the whole input."""
        h, w, c = self._tensors[x].shape
        if np.ndim(codes) != 2 or np.shape(codes)[1] != h * w * c:
            raise ModelError(
                f"{self.name}: layer {name or 'dense'!r} has weights {list(np.shape(codes))},"
                f" its input {h * w * c} values"
            )
        return self.conv(x, np.reshape(codes, (-1, h, w, c)), weight_scale, kind, name=name)

    def _codes(self, codes: np.ndarray, name: str) -> np.ndarray:
        """Weight codes as int8 [out_c, kh, kw, in_c / groups]. Raises ModelError for anything but integers in range."""
        with np.errstate(invalid="ignore"):
            small = np.asarray(codes).astype(np.int8)
        if not np.array_equal(small, codes):
            raise ModelError(
                f"{self.name}: layer {name!r}: a weight code is no 8-bit integer", "check its weights for NaN"
            )
        if small.ndim != 4:
            raise ModelError(f"{self.name}: layer {name!r}: weights of {small.ndim} dimensions, expected 4")
        return small

    def affine(self, x: str, gain: ArrayLike, bias: ArrayLike, name: str | None = None) -> str:
        """gain[c] * x + bias[c]."""
        channels = (self._tensors[x].channels,)
        attrs = {
            key: np.broadcast_to(np.asarray(value, np.float64), channels).copy()
            for key, value in (("gain", gain), ("bias", bias))
        }
        return self._append("q.affine", [x], attrs, name)

    def relu(self, x: str, name: str | None = None) -> str:
        """max(x, 0)."""
        return self._append("q.relu", [x], {}, name)

    def hardtanh(self, x: str, name: str | None = None) -> str:
        """clamp(x, -1, 1)."""
        return self._append("q.hardtanh", [x], {}, name)

    def prelu(
        self,
        x: str,
        slope: ArrayLike,
        shift_in: ArrayLike | None = None,
        shift_out: ArrayLike | None = None,
        name: str | None = None,
    ) -> str:
        """RPReLU: v = x - shift_in; (v if v > 0 else slope * v) + shift_out, all per channel."""
        channels = (self._tensors[x].channels,)
        attrs = {
            key: np.broadcast_to(np.asarray(0.0 if value is None else value, np.float64), channels).copy()
            for key, value in (("slope", slope), ("shift_in", shift_in), ("shift_out", shift_out))
        }
        return self._append("q.prelu", [x], attrs, name)

    def add(self, x: str, y: str, name: str | None = None) -> str:
        """x + y."""
        return self._append("q.add", [x, y], {}, name)

    def quant(
        self,
        x: str,
        dtype: str,
        scale: float,
        zero_point: int = 0,
        name: str | None = None,
        bipolar: bool = False,
    ) -> str:
        """Quantisation point: q = clamp(floor(x / scale + 0.5 + zero_point)); b1: sign(x), sign(0) = +1.
        ``bipolar`` (u2..u4): (2^k - 1) / 2 takes the place of the zero point.

        Raises ModelError for another type than b1, u2..u4 and s8."""
        if dtype not in ("b1", "u2", "u3", "u4", "s8"):
            raise ModelError(
                f"{self.name}: layer {name or 'quant'!r}: quantises to {dtype!r}", "use b1, u2, u3, u4 or s8"
            )
        return self._append(
            "q.quant",
            [x],
            {},
            name,
            dtype=dtype,
            scale=float(scale),
            zero_point=int(zero_point),
            bipolar=bool(bipolar),
        )

    def global_avg_pool(self, x: str, name: str | None = None) -> str:
        """Mean over H and W."""
        return self._append("q.mean", [x], {}, name)

    def avg_pool(
        self,
        x: str,
        kernel: tuple[int, int],
        stride: tuple[int, int] | None = None,
        pads: tuple[int, int, int, int] = (0, 0, 0, 0),
        name: str | None = None,
    ) -> str:
        """Average over windows; padded pixels do not count. The result keeps the input's quantisation."""
        return self._pool("q.avg_pool", x, kernel, stride, pads, name)

    def max_pool(
        self,
        x: str,
        kernel: tuple[int, int],
        stride: tuple[int, int] | None = None,
        pads: tuple[int, int, int, int] = (0, 0, 0, 0),
        name: str | None = None,
    ) -> str:
        """Maximum over windows; the result keeps the input's type."""
        return self._pool("q.max_pool", x, kernel, stride, pads, name)

    def _pool(
        self,
        op_type: str,
        x: str,
        kernel: tuple[int, int],
        stride: tuple[int, int] | None,
        pads: tuple[int, int, int, int],
        name: str | None,
    ) -> str:
        attrs = {
            "kernel": tuple(kernel),
            "stride": tuple(stride or kernel),
            "pads": tuple(pads),
            "dilation": (1, 1),
        }
        t = self._tensors[x]
        return self._append(
            op_type,
            [x],
            attrs,
            name,
            dtype=t.dtype,
            scale=t.scale,
            zero_point=t.zero_point,
            bipolar=t.bipolar,
        )

    def flatten(self, x: str) -> str:
        """Nothing to do: dense layers take (H, W, C) inputs in NHWC order."""
        return x

    def softmax(self, x: str, name: str | None = None) -> str:
        """Softmax over channels; the output is s8 with scale 1/256 and zero point -128."""
        return self._append("q.softmax", [x], {}, name, dtype="s8", scale=1 / 256, zero_point=-128)

    def output(self, x: str) -> str:
        """Marks the graph's output."""
        self._output = x
        return x

    def build(self) -> Graph:
        """The verified graph. Raises ModelError without input or output."""
        if self._input is None or self._output is None:
            raise ModelError(f"{self.name}: the model has no {'input' if self._input is None else 'output'}")
        return verify(Graph(self.name, tuple(self._ops), self._tensors, self._input, self._output, self.meta))
