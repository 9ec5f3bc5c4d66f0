"""Random kernel calls for a target: every kernel of its ISAs, with the parameters that the planner packs and
the outputs of the NumPy reference."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np
from models.layers import EXTRA

from edgebnn.ir import Graph, TensorType
from edgebnn.ir.ops import REGISTRY
from edgebnn.ir.storage import to_bytes
from edgebnn.plan.candidates import CANDIDATES
from edgebnn.plan.kernels import Kernel, kernels
from edgebnn.plan.types import Choice, Context
from edgebnn.targets import Target

from .blob import KernelCall
from .layers import LAYERS, check, random_codes

_TRIES = 8  # random layers for every call of a kernel
_FEWEST = 15  # calls of a kernel, if ordinary layers reach fewer: layers made for it are drawn too


def proposals(graph: Graph, target: Target, isas: set[str], optimize: str) -> list[Choice]:
    """What the candidates of these ISAs propose for the graph's op."""
    op = graph.ops[0]
    context = Context(
        op,
        tuple(graph.tensors[n] for n in op.inputs),
        tuple(graph.tensors[n] for n in op.outputs),
        target,
        optimize,
    )
    found: list[Choice] = []
    for candidate in CANDIDATES:
        if candidate.isa in isas and op.type in candidate.op_types:
            proposed = candidate.propose(context)
            found += [] if isinstance(proposed, str) else proposed
    return found


def choices(graph: Graph, target: Target, kernel: Kernel, optimize: str) -> list[Choice]:
    """Those of exactly this kernel."""
    return [c for c in proposals(graph, target, {kernel.isa}, optimize) if c.kernel == kernel.symbol]


def call(graph: Graph, choice: Choice, struct: str, rng: np.random.Generator, label: str) -> KernelCall:
    """The call of one choice on random inputs."""
    op = graph.ops[0]
    ins = [graph.tensors[n] for n in op.inputs]
    outs = [graph.tensors[n] for n in op.outputs]
    values = [random_codes(rng, t) for t in ins]
    reference = REGISTRY[op.type].reference
    assert reference is not None
    results = reference(op, values, ins, outs)

    def stored(codes: list[np.ndarray], types: list[TensorType], orders: tuple[str, ...]) -> list[bytes]:
        return [to_bytes(v, t.with_layout(o)) for v, t, o in zip(codes, types, orders, strict=True)]

    return KernelCall(
        label,
        choice.kernel,
        struct,
        choice.pack(),
        stored(values, ins, choice.in_layouts),
        stored(results, outs, choice.out_layouts),
        choice.scratch,
    )


def describe(graph: Graph, choice: Choice) -> str:
    """One line that names the case in a failure."""
    op = graph.ops[0]
    ins = ", ".join(f"{graph.tensors[n].dtype}{list(graph.tensors[n].shape)}" for n in op.inputs)
    out = graph.tensors[op.output]
    extra = {k: v for k, v in op.attrs.items() if isinstance(v, (int, str, tuple))}
    return (
        f"{choice.kernel} {choice.variant} {ins} {choice.in_layouts} -> {out.dtype}{list(out.shape)}"
        f" {choice.out_layouts} {extra}"
    )


def random_calls(
    target: Target, per_kernel: Callable[[Kernel], int], most_work: int, most_data: int, seed: int = 1
) -> tuple[list[KernelCall], list[str]]:
    """``per_kernel`` calls for each kernel of the target, and the kernels with less than 10 (or less than asked for).

    Calls over ``most_work`` bytes of RAM or ``most_data`` bytes of parameters and tensors are not taken.
    """
    wanted = {k.symbol: per_kernel(k) for k in kernels().values() if k.isa in target.isa}
    taken: dict[str, list[KernelCall]] = {symbol: [] for symbol in wanted}
    for op_type in dict.fromkeys(kernels()[symbol].op for symbol in wanted):
        mine = [symbol for symbol in wanted if kernels()[symbol].op == op_type]
        rng = np.random.default_rng([seed, zlib.crc32(op_type.encode())])
        tries = _TRIES * max(wanted[symbol] for symbol in mine)
        rare = [maker for maker in EXTRA.get(op_type, ()) for _ in range(tries // 4)]
        for maker in [LAYERS[op_type]] * tries + rare:
            least = _FEWEST if maker in EXTRA.get(op_type, ()) else max(wanted.values())
            lacking = [symbol for symbol in mine if len(taken[symbol]) < min(least, wanted[symbol])]
            if not lacking:
                continue
            graph = maker(rng)
            check(graph)
            isas = {kernels()[symbol].isa for symbol in lacking}
            proposed = proposals(graph, target, isas, "size" if rng.random() < 0.3 else "speed")
            for symbol in lacking:
                found = [c for c in proposed if c.kernel == symbol]
                if not found:
                    continue
                choice = found[int(rng.integers(len(found)))]
                made = call(graph, choice, kernels()[symbol].struct, rng, describe(graph, choice))
                if made.work_size() <= most_work and made.data_size() <= most_data:
                    taken[symbol].append(made)
    unreached = [symbol for symbol, count in wanted.items() if len(taken[symbol]) < min(count, 10)]
    return [made for calls in taken.values() for made in calls], unreached
