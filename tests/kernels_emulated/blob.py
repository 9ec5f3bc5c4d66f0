"""The case table of the test image: kernel calls, parameters, inputs and expected outputs as one blob."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgebnn.estimate.layout import Arm32

MAGIC = 0x4E424545
_HEADER = struct.Struct("<II")
_CASE = struct.Struct("<13I")
_GUARD = 64  # as in runner.c


@dataclass(frozen=True)
class KernelCall:
    """One call: kernel symbol, its params struct and values, stored inputs, expected stored outputs."""

    label: str
    kernel: str
    struct: str
    params: Mapping[str, Any]
    inputs: Sequence[bytes]
    outputs: Sequence[bytes]
    scratch: int

    def work_size(self) -> int:
        """RAM that the test image needs for this call."""
        sizes = [*(len(o) for o in self.outputs), self.scratch, max(len(i) for i in self.inputs)]
        return sum(-(-n // 16) * 16 for n in sizes) + 4 * _GUARD

    def data_size(self) -> int:
        """Upper bound of the bytes that this call takes in a table."""

        def arrays(params: Mapping[str, Any]) -> int:
            size = 16
            for value in params.values():
                if isinstance(value, np.ndarray):
                    size += value.nbytes + 16
                elif isinstance(value, Mapping):
                    size += arrays(value)
                else:
                    size += 8
            return size

        return arrays(self.params) + sum(len(d) + 16 for d in (*self.inputs, *self.outputs)) + _CASE.size


def batches(calls: Sequence[KernelCall], most: int) -> list[list[KernelCall]]:
    """The calls in order, split so that the table of each part takes at most ``most`` bytes."""
    parts: list[list[KernelCall]] = [[]]
    room = most - 64
    for call in calls:
        if parts[-1] and call.data_size() > room:
            parts.append([])
            room = most - 64
        parts[-1].append(call)
        room -= call.data_size()
    return parts


def table(calls: Sequence[KernelCall], address: int, kernels: Sequence[str], arm: Arm32) -> bytes:
    """The blob to load at ``address``: header, case records, then what they point to.

    ``kernels``: the symbols of kernels.def in order.
    """
    index = {symbol: i for i, symbol in enumerate(kernels)}
    start = address + -(-(_HEADER.size + _CASE.size * len(calls)) // 16) * 16
    data = bytearray()

    def put(content: bytes) -> int:
        data.extend(bytes(-len(data) % 16))
        at = start + len(data)
        data.extend(content)
        return at

    head = _HEADER.pack(MAGIC, len(calls))
    for call in calls:
        low = start + len(data)
        params = put(arm.pack(call.struct, call.params, put))
        inputs = [put(content) for content in call.inputs] + [0] * (2 - len(call.inputs))
        expected = [put(content) for content in call.outputs] + [0] * (2 - len(call.outputs))
        in_sizes = [len(content) for content in call.inputs] + [0] * (2 - len(call.inputs))
        sizes = [len(content) for content in call.outputs] + [0] * (2 - len(call.outputs))
        high = start + len(data)
        head += _CASE.pack(
            index[call.kernel], params, *inputs, *in_sizes, *sizes, call.scratch, *expected, low, high
        )
    return head.ljust(start - address, b"\0") + bytes(data)
