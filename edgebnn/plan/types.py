"""What a plan is made of: kernel candidates, steps, and the plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edgebnn.ir import Graph, Op, TensorType
from edgebnn.targets import Target

#: field values of a params struct: ints, NumPy arrays (pointers to const), None (NULL) and nested mappings
Params = Mapping[str, Any]


@dataclass(frozen=True)
class Context:
    """What a candidate sees of its op: the op, the types of its tensors, the target and what to optimise for."""

    op: Op
    inputs: tuple[TensorType, ...]
    outputs: tuple[TensorType, ...]
    target: Target
    optimize: str = "speed"  # "speed" or "size"


@dataclass(frozen=True)
class Choice:
    """One way to run one op, as a candidate proposes it.

    ``in_layouts``/``out_layouts``: the storage order the kernel needs of each input and gives each output.
    ``cost``: estimated cycles on the target, for comparing choices. ``flash``: bytes of params, weights and constants.
    ``scratch``: bytes. ``pack`` makes the params; it is called once, for the choice that is taken.
    ``variant`` tells choices of one kernel apart in reports ("lists in flash", ...).
    ``parts``: into how many parts the kernel can divide its output (ebnn_io_t.part), each with its own scratch.
    ``over_residual``: the kernel may store its first output over its last input, which has the same type and order.
    """

    kernel: str
    in_layouts: tuple[str, ...]
    out_layouts: tuple[str, ...]
    cost: float
    pack: Callable[[], Params]
    flash: int = 0
    scratch: int = 0
    variant: str = ""
    parts: int = 1
    over_residual: bool = False


@dataclass(frozen=True)
class Candidate:
    """A kernel, or several that share a rule: ``propose`` returns the choices for an op, or a sentence that says why
    there is none (shown by reports). ``isa`` is kernels.def's."""

    name: str
    op_types: tuple[str, ...]
    isa: str
    propose: Callable[[Context], list[Choice] | str]


@dataclass(frozen=True)
class Step:
    """One descriptor: an op with its kernel, packed params (struct name and fields) and scratch bytes.

    ``parts``: how many it is divided into; ``scratch`` is that of each part."""

    op: Op
    kernel: str
    struct: str
    params: Params
    scratch: int
    cost: float
    flash: int
    variant: str = ""
    rejected: tuple[str, ...] = ()  # "kernel: why not", for the report
    alternatives: tuple[
        Mapping[str, Any], ...
    ] = ()  # the other choices: kernel, variant, cost, flash, scratch
    parts: int = 1
    over_residual: bool = False

    @property
    def scratch_step(self) -> int:
        """Bytes from one part's scratch to the next one's, 0 where the step is not divided."""
        return -(-self.scratch // 64) * 64 if self.parts > 1 else 0

    @property
    def all_scratch(self) -> int:
        """Bytes of scratch of all parts."""
        return self.scratch_step * self.parts if self.parts > 1 else self.scratch


@dataclass(frozen=True)
class Plan:
    """A graph planned for a target: layouts are part of the graph's types, every tensor has an arena offset.

    ``source``: the graph as it came; ``graph``: with layouts and conversions.
    ``offsets``: bytes by tensor name; ``scratch_offsets``: bytes by step index (-1: none). ``crc``: CRC-32 of the
    graph's file. ``threads``: that the steps are divided for.
    """

    source: Graph
    graph: Graph
    target: Target
    steps: tuple[Step, ...]
    offsets: Mapping[str, int]
    scratch_offsets: tuple[int, ...]
    arena: int
    crc: int
    optimize: str = "speed"
    threads: int = 1
