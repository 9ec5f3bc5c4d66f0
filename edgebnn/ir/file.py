"""The `.ebnn` file: a frozen graph. No pickle; every length is checked before it is used.

    0   4  "EBNN"
    4   4  format version (1)
    8   4  CRC-32 of everything from byte 12
    12  4  length of the header
    16     header: UTF-8 JSON with sorted keys, then the arrays' bytes, one after the other

Arrays in the header are {"$array": index}; "arrays" lists [dtype, shape, codec]. Codec "raw" stores the little-endian
elements, "sign" one bit an element (-1/+1, 1 = -1), "ternary" two bit planes (nonzero, negative).
"""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from edgebnn.errors import ModelError
from edgebnn.ir.types import Graph, Op, TensorType
from edgebnn.ir.verify import verify

MAGIC = b"EBNN"
VERSION = 1
_DTYPES = {"<i1", "<i2", "<i4", "<i8", "<u4", "<f8", "|i1", "|u1"}


def _encode(array: np.ndarray) -> tuple[list[Any], bytes]:
    array = np.ascontiguousarray(array)
    little = array.astype(array.dtype.newbyteorder("<"))
    codec, data = "raw", little.tobytes()
    if array.dtype == np.int8 and array.size:
        magnitude = np.abs(array.astype(np.int16))
        if magnitude.max() == 1:
            negative = np.packbits((array < 0).ravel(), bitorder="little").tobytes()
            if magnitude.min() == 1:
                codec, data = "sign", negative
            else:
                codec = "ternary"
                data = np.packbits((array != 0).ravel(), bitorder="little").tobytes() + negative
    return [little.dtype.str, list(array.shape), codec], data


def _nbytes(dtype: np.dtype, count: int, codec: str) -> int:
    if codec == "raw":
        return count * dtype.itemsize
    return {"sign": 1, "ternary": 2}[codec] * (-(-count // 8))


def _decode(dtype: str, shape: list[int], codec: str, data: bytes) -> np.ndarray:
    count = int(np.prod(shape, dtype=np.int64))
    if codec == "raw":
        array = np.frombuffer(data, dtype)
    else:
        planes = [
            np.unpackbits(np.frombuffer(p, np.uint8), bitorder="little")[:count] for p in _halves(data, codec)
        ]
        sign = 1 - 2 * planes[-1].astype(np.int8)
        array = sign if codec == "sign" else sign * planes[0].astype(np.int8)
    array = array.astype(np.dtype(dtype).newbyteorder("=")).reshape(shape)
    array.flags.writeable = False
    return array


def _halves(data: bytes, codec: str) -> list[bytes]:
    return [data] if codec == "sign" else [data[: len(data) // 2], data[len(data) // 2 :]]


def dumps(graph: Graph) -> bytes:
    """The file's bytes; the same graph always gives the same bytes."""
    arrays: list[list[Any]] = []
    blobs: list[bytes] = []

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            entry, blob = _encode(value)
            arrays.append(entry)
            blobs.append(blob)
            return {"$array": len(arrays) - 1}
        if isinstance(value, tuple | list):
            return [plain(v) for v in value]
        if isinstance(value, np.generic):
            return value.item()
        return value

    header = {
        "name": graph.name,
        "input": graph.input,
        "output": graph.output,
        "meta": dict(graph.meta),
        "tensors": {
            k: [list(t.shape), t.dtype, t.scale, t.zero_point, t.layout, *(["bipolar"] if t.bipolar else [])]
            for k, t in sorted(graph.tensors.items())
        },
        "ops": [
            {
                "name": op.name,
                "type": op.type,
                "inputs": list(op.inputs),
                "outputs": list(op.outputs),
                "attrs": {k: plain(v) for k, v in sorted(op.attrs.items())},
            }
            for op in graph.ops
        ],
        "arrays": arrays,
    }
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    body = len(text).to_bytes(4, "little") + text + b"".join(blobs)
    return MAGIC + VERSION.to_bytes(4, "little") + zlib.crc32(body).to_bytes(4, "little") + body


def loads(data: bytes, source: str = "model") -> Graph:
    """The graph of a file's bytes; ``source`` names it in errors. Raises ModelError."""
    if data[:4] != MAGIC:
        raise ModelError(f"{source}: not an .ebnn file", "convert the model with `edgebnn convert`")
    if len(data) < 16:
        raise ModelError(f"{source}: truncated", "convert the model again")
    version = int.from_bytes(data[4:8], "little")
    if version != VERSION:
        raise ModelError(
            f"{source}: format version {version}, this edgebnn reads {VERSION}", "convert the model again"
        )
    if zlib.crc32(data[12:]) != int.from_bytes(data[8:12], "little"):
        raise ModelError(f"{source}: damaged or truncated (checksum differs)", "convert the model again")
    try:
        end = 16 + int.from_bytes(data[12:16], "little")
        graph = _build(json.loads(data[16:end]), data[end:])
    except (
        ValueError,
        KeyError,
        TypeError,
        IndexError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        raise ModelError(f"{source}: malformed header ({error})", "convert the model again") from None
    return verify(graph, integer=True)


def _tensor_type(
    shape: list[int], dtype: str, scale: float, zero_point: int, layout: str, *flags: str
) -> TensorType:
    if flags not in ((), ("bipolar",)):
        raise ValueError(f"tensor flags {list(flags)}")
    h, w, c = shape
    return TensorType(
        (int(h), int(w), int(c)), str(dtype), float(scale), int(zero_point), str(layout), bool(flags)
    )


def _build(header: dict[str, Any], blob: bytes) -> Graph:
    arrays: list[np.ndarray] = []
    offset = 0
    for dtype, shape, codec in header["arrays"]:
        fits = dtype in _DTYPES and (codec == "raw" or dtype in ("|i1", "<i1"))
        if not fits or any(not isinstance(n, int) or n < 0 for n in shape):
            raise ValueError(f"array of type {dtype!r}, shape {shape}")
        count = 1
        for n in shape:
            count *= n
        size = _nbytes(np.dtype(dtype), count, codec)
        if offset + size > len(blob):
            raise ValueError("arrays exceed the file")
        arrays.append(_decode(dtype, shape, codec, blob[offset : offset + size]))
        offset += size
    if offset != len(blob):
        raise ValueError("bytes after the last array")

    def rich(value: Any) -> Any:
        if isinstance(value, dict):
            return arrays[value["$array"]]
        return tuple(rich(v) for v in value) if isinstance(value, list) else value

    ops = tuple(
        Op(
            str(o["name"]),
            str(o["type"]),
            tuple(map(str, o["inputs"])),
            tuple(map(str, o["outputs"])),
            {k: rich(v) for k, v in o["attrs"].items()},
        )
        for o in header["ops"]
    )
    tensors = {str(k): _tensor_type(*entry) for k, entry in header["tensors"].items()}
    return Graph(
        str(header["name"]), ops, tensors, str(header["input"]), str(header["output"]), dict(header["meta"])
    )


def save(graph: Graph, path: Path) -> None:
    """Writes ``graph`` to ``path`` through a temporary file beside it, so a crash leaves no half-written file."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(dumps(graph))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def load(path: Path) -> Graph:
    """Reads and verifies an `.ebnn` file. Raises ModelError (damaged) or FileNotFoundError/OSError."""
    return loads(path.read_bytes(), str(path))
