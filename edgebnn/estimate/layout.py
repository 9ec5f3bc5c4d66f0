"""C structs in the memory layout of Arm (AAPCS, AAPCS64): what the emulated kernels read as their parameters.

The structs are those of the runtime's headers as cffi parses them, so a new params struct needs no line here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import cffi
import numpy as np

from edgebnn import csrc
from edgebnn.errors import ModelError
from edgebnn.host.cdefs import cdef

Put = Callable[[bytes], int]
"""Stores bytes in the target's memory (16-byte aligned) and returns their address."""


class Arm32:
    """Packs structs of the runtime's headers for a little-endian ILP32 Arm."""

    pointer_size = 4

    def __init__(self, declarations: str | None = None) -> None:
        """``declarations``: C text for cffi instead of the runtime's headers."""
        self._ffi = cffi.FFI()
        self._ffi.cdef(declarations if declarations is not None else cdef(csrc.kernels_dir()))

    def size(self, name: str) -> int:
        """sizeof(name) on the target."""
        return self._size_align(self._ffi.typeof(name))[0]

    def _size_align(self, ctype: Any) -> tuple[int, int]:
        kind = ctype.kind
        if kind in ("pointer", "function"):
            return self.pointer_size, self.pointer_size
        if kind == "array":
            size, align = self._size_align(ctype.item)
            return size * ctype.length, align
        if kind in ("struct", "union"):
            at, widest = 0, 1
            for _, field in ctype.fields:
                size, align = self._size_align(field.type)
                at = (at + align - 1) // align * align + size
                widest = max(widest, align)
            return (at + widest - 1) // widest * widest, widest
        if kind == "enum":
            return 4, 4
        wide = ctype.cname in ("size_t", "uintptr_t", "long", "unsigned long")
        size = self.pointer_size if wide else self._ffi.sizeof(ctype)
        return size, size

    def pack(self, name: str, values: Mapping[str, Any], put: Put) -> bytes:
        """Bytes of the struct ``name``.

        ``values``: field -> int, nested mapping, list (arrays), and for pointers None, an address (int),
        bytes or a NumPy array (stored with ``put``). Fields left out are 0. Raises ModelError for an unknown
        field or a value out of range.
        """
        return self._pack(self._ffi.typeof(name), values, put, name)

    def unpack(self, name: str, data: bytes) -> dict[str, Any]:
        """Field values of the struct ``name``: ints, nested dicts; pointers as addresses, arrays as lists."""
        value = self._unpack(self._ffi.typeof(name), data)
        assert isinstance(value, dict)
        return value

    def _unpack(self, ctype: Any, data: bytes) -> Any:
        if ctype.kind == "struct":
            out: dict[str, Any] = {}
            at = 0
            for name, field in ctype.fields:
                size, align = self._size_align(field.type)
                at = (at + align - 1) // align * align
                out[name] = self._unpack(field.type, data[at : at + size])
                at += size
            return out
        if ctype.kind == "array":
            size, _ = self._size_align(ctype.item)
            return [self._unpack(ctype.item, data[i * size : (i + 1) * size]) for i in range(ctype.length)]
        signed = ctype.kind == "primitive" and int(self._ffi.cast(ctype, -1)) < 0
        return int.from_bytes(data, "little", signed=signed)

    def _pack(self, ctype: Any, value: Any, put: Put, path: str) -> bytes:
        size, _ = self._size_align(ctype)
        if ctype.kind == "struct":
            return self._pack_struct(ctype, value, put, path)
        if ctype.kind == "array":
            items = [self._pack(ctype.item, v, put, f"{path}[{i}]") for i, v in enumerate(value)]
            return b"".join(items).ljust(size, b"\0")
        if ctype.kind in ("pointer", "function"):
            if value is None:
                value = 0
            elif isinstance(value, np.ndarray):
                value = put(np.ascontiguousarray(value).tobytes())
            elif isinstance(value, (bytes, bytearray)):
                value = put(bytes(value))
            return int(value).to_bytes(self.pointer_size, "little")
        signed = ctype.kind == "primitive" and int(self._ffi.cast(ctype, -1)) < 0
        try:
            return int(value).to_bytes(size, "little", signed=signed)
        except OverflowError:
            raise ModelError(f"{path}: {value} does not fit {ctype.cname}") from None

    def _pack_struct(self, ctype: Any, values: Mapping[str, Any], put: Put, path: str) -> bytes:
        known = [name for name, _ in ctype.fields]
        unknown = set(values) - set(known)
        if unknown:
            raise ModelError(f"{path}: no field {sorted(unknown)[0]}", "the fields are " + ", ".join(known))
        out = bytearray()
        for name, field in ctype.fields:
            size, align = self._size_align(field.type)
            out += bytes(-len(out) % align)
            out += (
                self._pack(field.type, values[name], put, f"{path}.{name}")
                if values.get(name) is not None
                else bytes(size)
            )
        size, _ = self._size_align(ctype)
        return bytes(out).ljust(size, b"\0")


class Arm64(Arm32):
    """The same for a little-endian LP64 Arm."""

    pointer_size = 8
