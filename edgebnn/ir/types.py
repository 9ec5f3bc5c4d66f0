"""Types of the IR: tensor types, ops and the immutable graph.

A graph is a list of ops in execution order over named tensors. Batch is 1; a tensor has shape (H, W, C). Passes
never change a graph, they return a new one (see :meth:`Graph.replace`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Shape = tuple[int, int, int]

#: bits per element of each element type; "real" marks a float value that no pass has quantised yet
DTYPE_BITS = {"b1": 1, "u2": 2, "u3": 3, "u4": 4, "s8": 8, "s32": 32, "real": 64}
LAYOUTS = ("nhwc", "chw", "planes", "nibbles")


@dataclass(frozen=True)
class TensorType:
    """Shape (H, W, C), element type, quantisation and storage order of a tensor.

    real = scale * (q - centre), centre the zero point or, for ``bipolar`` codes (u2..u4), (2^k - 1) / 2; for ``b1`` q
    is -1 or +1. Bipolar values are the odd multiples of scale / 2: zero is none of them.
    """

    shape: Shape
    dtype: str
    scale: float = 1.0
    zero_point: int = 0
    layout: str = "nhwc"
    bipolar: bool = False

    @property
    def centre(self) -> float:
        """The code, half an integer if bipolar, of the real value 0."""
        return (2 ** DTYPE_BITS[self.dtype] - 1) / 2 if self.bipolar else float(self.zero_point)

    @property
    def pixels(self) -> int:
        """H * W."""
        return self.shape[0] * self.shape[1]

    @property
    def channels(self) -> int:
        """C."""
        return self.shape[2]

    @property
    def elements(self) -> int:
        """H * W * C."""
        return self.pixels * self.channels

    @property
    def is_bits(self) -> bool:
        """True for b1 and u2..u4, which are stored as bit planes."""
        return self.dtype in ("b1", "u2", "u3", "u4")

    @property
    def nbytes(self) -> int:
        """Stored size in bytes (SPEC.md section 3)."""
        bits = DTYPE_BITS[self.dtype]
        if self.is_bits:
            if self.layout == "nibbles":
                return 4 * self.channels * -(-self.pixels // 8)
            if self.layout == "planes":
                return 4 * bits * self.channels * -(-self.pixels // 32)
            return 4 * bits * self.pixels * -(-self.channels // 32)
        if self.layout == "chw":
            return self.channels * (-(-self.pixels // 4) * 4) * (bits // 8)
        return self.elements * (bits // 8)

    def with_layout(self, layout: str) -> TensorType:
        """The same tensor in another storage order."""
        return dataclasses.replace(self, layout=layout)


@dataclass(frozen=True, eq=False)
class Op:
    """One step: ``type`` names an entry of the op registry, ``attrs`` holds ints, floats, strings, tuples of ints,
    None and NumPy arrays as that entry's schema says. ``name`` is the layer's name, unique in the graph."""

    name: str
    type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def output(self) -> str:
        """The first output tensor."""
        return self.outputs[0]

    def with_(self, **changes: Any) -> Op:
        """A copy with fields replaced; ``attrs`` entries are merged over the present ones, None removes nothing."""
        if "attrs" in changes:
            changes["attrs"] = {**self.attrs, **changes["attrs"]}
        return dataclasses.replace(self, **changes)


@dataclass(frozen=True, eq=False)
class Graph:
    """An immutable model: ops in execution order, the type of every tensor, one input, one output, and ``meta``
    (JSON values: labels, frontend, ...)."""

    name: str
    ops: tuple[Op, ...]
    tensors: Mapping[str, TensorType]
    input: str
    output: str
    meta: Mapping[str, Any] = field(default_factory=dict)

    def producer(self, tensor: str) -> Op | None:
        """The op that writes ``tensor``, None for the graph's input."""
        return next((op for op in self.ops if tensor in op.outputs), None)

    def consumers(self, tensor: str) -> list[Op]:
        """The ops that read ``tensor``, in order."""
        return [op for op in self.ops if tensor in op.inputs]

    def replace(
        self, ops: Iterable[Op], tensors: Mapping[str, TensorType] | None = None, **changes: Any
    ) -> Graph:
        """A graph with these ops; types of tensors that no op names any more are dropped."""
        ops = tuple(ops)
        types = {**self.tensors, **(tensors or {})}
        output = changes.get("output", self.output)
        used = {self.input, output}.union(*({*op.inputs, *op.outputs} for op in ops))
        return dataclasses.replace(
            self, ops=ops, tensors={k: t for k, t in types.items() if k in used}, **changes
        )
