"""Kernel calls as a file for replay.c: numbers of 32 bits, and blocks of a size and so many bytes."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from kernels_emulated.blob import KernelCall

from edgebnn.host.runtime import fill_struct, library


def _number(n: int) -> bytes:
    return struct.pack("<I", n)


def _block(data: bytes) -> bytes:
    return _number(len(data)) + data


def _pointers(ctype: Any, params: Mapping[str, Any], base: int = 0) -> list[tuple[int, bytes]]:
    """(offset in the struct, the array's bytes) of every pointer that is not NULL."""
    found: list[tuple[int, bytes]] = []
    for name, field in ctype.fields:
        value = params.get(name)
        if value is None:
            continue
        if field.type.kind == "struct":
            found += _pointers(field.type, value, base + field.offset)
        elif field.type.kind == "pointer":
            found.append((base + field.offset, np.ascontiguousarray(value).tobytes()))
    return found


def table(calls: Sequence[KernelCall], kernels: Sequence[str]) -> bytes:
    """The file's bytes; ``kernels``: the symbols of the program's kernel table in order."""
    ffi, _ = library()
    parts = [_number(len(calls))]
    for call in calls:
        params = fill_struct(ffi, call.struct, call.params, [])
        parts += [_number(kernels.index(call.kernel)), _block(bytes(ffi.buffer(params)))]
        pointers = _pointers(ffi.typeof(call.struct), call.params)
        parts.append(_number(len(pointers)))
        parts += [_number(at) + _block(data) for at, data in pointers]
        for blocks in (call.inputs, call.outputs):
            parts += [_number(len(blocks)), *map(_block, blocks)]
        parts.append(_number(call.scratch))
    return b"".join(parts)
