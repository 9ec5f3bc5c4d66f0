"""The op registry. Each op type is one :class:`OpDef` in a module of this folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from edgebnn.ir.types import Op, Shape, TensorType

#: reference(op, input arrays, input types, output types) -> output arrays, all int64 of shape (H, W, C)
Reference = Callable[[Op, Sequence[np.ndarray], Sequence[TensorType], Sequence[TensorType]], list[np.ndarray]]


@dataclass(frozen=True)
class OpDef:
    """Schema of an op type.

    ``attrs``: required attribute names; ``optional``: further ones. ``shape(op, input shapes)`` gives the output
    shapes. ``reference`` is the exact integer semantics; None for float-annotated ``q.*`` ops, which passes lower.
    ``macs(op, output shape)`` counts multiply-accumulates.
    """

    type: str
    attrs: frozenset[str]
    optional: frozenset[str] = frozenset()
    shape: Callable[[Op, Sequence[Shape]], list[Shape]] = field(
        default=lambda op, s: [s[0]] * len(op.outputs)
    )
    reference: Reference | None = None
    macs: Callable[[Op, Shape], int] = field(default=lambda op, out: 0)
    inputs: tuple[int, int] = (1, 1)  #: fewest and most inputs


REGISTRY: dict[str, OpDef] = {}


def register(definition: OpDef) -> OpDef:
    """Adds an op type to the registry."""
    REGISTRY[definition.type] = definition
    return definition


from edgebnn.ir.ops import annotated, elementwise, int8, lowbit, pool, softmax  # noqa: E402,F401
