"""Static memory: arena offsets by lifetime, so that tensors that never live together share bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ALIGN = 16


@dataclass(frozen=True)
class Buffer:
    """``size`` bytes that must keep their content from step ``first`` to step ``last`` (both inclusive)."""

    name: str
    size: int
    first: int
    last: int


def _round_up(n: int) -> int:
    return -(-n // ALIGN) * ALIGN


def _place(buffers: Sequence[Buffer]) -> tuple[dict[str, int], int]:
    placed: list[tuple[int, int, Buffer]] = []
    offsets: dict[str, int] = {}
    for buffer in buffers:
        size = _round_up(buffer.size)
        position = 0
        for start, end, other in sorted(placed, key=lambda p: p[:2]):
            if other.last < buffer.first or buffer.last < other.first:
                continue
            if position + size <= start:
                break
            position = max(position, end)
        offsets[buffer.name] = position
        placed.append((position, position + size, buffer))
    return offsets, max((end for _, end, _ in placed), default=0)


def plan_arena(buffers: Sequence[Buffer]) -> tuple[dict[str, int], int]:
    """(offset by name, arena bytes); offsets are multiples of 16. Greedy first fit over several orders (by size, by
    lifetime, by start), the smallest result wins; ties go to the first, so the result is deterministic."""
    orders = (
        lambda b: (-b.size, b.first, b.name),
        lambda b: (b.first - b.last, -b.size, b.name),
        lambda b: (b.first, -b.size, b.name),
        lambda b: (-b.last, -b.size, b.name),
    )
    results = [_place(sorted(buffers, key=order)) for order in orders]
    return min(results, key=lambda r: r[1])
