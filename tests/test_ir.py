"""Graphs, their file and their verifier: round trips, determinism, damage of every kind, errors that name the layer."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models.annotated import random_input, random_model

from edgebnn import ir, targets
from edgebnn.errors import EdgebnnError, ModelError, ToolchainError, UsageError
from edgebnn.host import Runtime
from edgebnn.ir import Graph, Op, TensorType, reference, storage
from edgebnn.ir.file import dumps, loads
from edgebnn.ir.verify import verify
from edgebnn.passes import lower
from edgebnn.plan import plan


def _model(seed: int = 3, steps: int = 6) -> Graph:
    return lower(random_model(np.random.default_rng(seed), steps, head=True))


@pytest.fixture(scope="module")
def graph() -> Graph:
    return _model()


@pytest.fixture(scope="module")
def data(graph: Graph) -> bytes:
    return dumps(graph)


# Round trips


@pytest.mark.parametrize("seed", range(12))
def test_file_round_trip(seed: int, tmp_path: Path) -> None:
    graph = _model(seed, 1 + seed % 6)
    path = tmp_path / "m.ebnn"
    ir.save(graph, path)
    again = ir.load(path)
    assert dumps(again) == path.read_bytes() == dumps(_model(seed, 1 + seed % 6))
    assert again.meta == graph.meta and again.tensors == graph.tensors
    x = random_input(np.random.default_rng(seed), graph)
    one, two = reference.run(graph, x), reference.run(again, x)
    assert one.keys() == two.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], two[name])
    for op, other in zip(graph.ops, again.ops, strict=True):
        assert op.attrs.keys() == other.attrs.keys()
        for key, value in op.attrs.items():
            np.testing.assert_array_equal(value, other.attrs[key])
            if isinstance(value, np.ndarray):
                assert value.dtype == other.attrs[key].dtype
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_save_leaves_the_old_file(
    graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.ebnn"
    path.write_bytes(b"old")

    def fail(self: Path, target: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError):
        ir.save(graph, path)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def _tensors() -> Iterator[TensorType]:
    rng = np.random.default_rng(1)
    for dtype in ("b1", "u2", "u3", "u4", "s8", "s32"):
        layouts = (
            [n for n in ir.types.LAYOUTS if (n == "chw") != (dtype[0] in "bu")]
            if dtype[0] in "bu"
            else ["nhwc", "chw"]
        )
        for layout in layouts:
            for _ in range(12):
                shape = tuple(int(rng.choice([1, 2, 3, 7, 8, 31, 32, 33, 64, 65][:n])) for n in (6, 5, 10))
                yield TensorType(shape, dtype, 0.5, 0, layout)  # type: ignore[arg-type]


def test_storage_round_trip_and_padding() -> None:
    rng = np.random.default_rng(2)
    seen = set()
    for t in _tensors():
        limits = {"b1": (0, 1), "s8": (-128, 127), "s32": (-(2**31), 2**31 - 1)}
        low, high = limits.get(t.dtype, (0, 2 ** int(t.dtype[1]) - 1))
        codes = rng.integers(low, high + 1, t.shape)
        codes = 1 - 2 * codes if t.dtype == "b1" else codes
        stored = storage.to_bytes(codes, t)
        assert len(stored) == t.nbytes
        np.testing.assert_array_equal(storage.from_bytes(stored, t), codes)
        # unused bits and elements are 0: a tensor of the least codes is all zeros
        least = np.ones(t.shape, int) if t.dtype == "b1" else np.zeros(t.shape, int)
        assert storage.to_bytes(least, t) == bytes(t.nbytes)
        # and those of the fullest tensor are 0, too: as many bits set as the elements have
        if t.is_bits:
            full = -least if t.dtype == "b1" else np.full(t.shape, high)
            bits = np.unpackbits(np.frombuffer(storage.to_bytes(full, t), np.uint8)).sum()
            assert bits == t.elements * ir.types.DTYPE_BITS[t.dtype]
        seen.add((t.dtype, t.layout))
    assert len(seen) >= 12


def test_storage_by_hand() -> None:
    """SPEC.md section 3, bit by bit."""
    t = TensorType((1, 2, 3), "u2")
    codes = np.array([[[1, 2, 3], [0, 1, 2]]])
    assert storage.to_bytes(codes, t) == b"".join(
        n.to_bytes(4, "little") for n in (0b101, 0b110, 0b010, 0b100)
    )
    planes = t.with_layout("planes")
    words = [0b01, 0b10, 0b01, 0b00, 0b01, 0b11]  # bit 0 of channels 0..2, bit 1 of channels 0..2
    assert storage.to_bytes(codes, planes) == b"".join(n.to_bytes(4, "little") for n in words)
    chw = TensorType((1, 3, 2), "s8", layout="chw")
    assert storage.to_bytes(np.array([[[1, -1], [2, -2], [3, -3]]]), chw) == bytes(
        [1, 2, 3, 0, 255, 254, 253, 0]
    )


# Damage


def _runs(graph: Graph) -> None:
    """What the verifier accepts runs, and the kernels agree with the reference."""
    try:
        runtime = Runtime(plan(graph, targets.load("host")))
    except ToolchainError:
        return  # the host runtime is not built
    x = random_input(np.random.default_rng(4), graph)
    np.testing.assert_array_equal(runtime.run(x), reference.run(graph, x)[graph.output])


def _refused(data: bytes) -> str:
    with pytest.raises(ModelError) as caught:
        loads(data, "file.ebnn")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_truncation_at_every_64th_byte(data: bytes) -> None:
    for size in [*range(0, 32), *range(32, len(data), 64), len(data) - 1]:
        _refused(data[:size])
    _refused(data + b"\0")


def _signed(data: bytes) -> bytes:
    return data[:8] + zlib.crc32(data[12:]).to_bytes(4, "little") + data[12:]


def test_other_versions_and_magics(data: bytes) -> None:
    assert "format version 2" in _refused(data[:4] + (2).to_bytes(4, "little") + data[8:])
    assert "not an .ebnn" in _refused(b"PK\3\4" + data[4:])
    assert "checksum" in _refused(data[:-1] + bytes([data[-1] ^ 1]))


def test_flipped_bytes_with_a_right_checksum(data: bytes) -> None:
    """A changed byte gives another valid model or a ModelError, never another exception or much memory."""
    header = 16 + int.from_bytes(data[12:16], "little")
    rng = np.random.default_rng(6)
    places = [*range(12, 16), *rng.integers(16, header, 350), *rng.integers(header, len(data), 50)]
    accepted: list[Graph] = []
    tracemalloc.start()
    for place in places:
        flip = int(rng.integers(1, 256)) if rng.random() < 0.3 else 1 << int(rng.integers(0, 8))
        changed = bytearray(data)
        changed[place] ^= flip
        with contextlib.suppress(ModelError):
            accepted.append(loads(_signed(bytes(changed))))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 10 < len(accepted) < len(places) - 100
    assert peak < 40 * len(data) + (16 << 20)
    for graph in accepted[::3]:
        _runs(graph)


def _edited(data: bytes, edit: Callable[[dict[str, Any]], None]) -> bytes:
    end = 16 + int.from_bytes(data[12:16], "little")
    header = json.loads(data[16:end])
    edit(header)
    text = json.dumps(header).encode()
    return _signed(data[:12] + len(text).to_bytes(4, "little") + text + data[end:])


def _every_attr(values: list[Any]) -> Iterator[Callable[[dict[str, Any]], None]]:
    ops = json.loads(_header(dumps(_model())))["ops"]
    for i, op in enumerate(ops):
        for key in op["attrs"]:
            for value in values:
                yield lambda h, i=i, key=key, value=value: h["ops"][i]["attrs"].__setitem__(key, value)


def _header(data: bytes) -> bytes:
    return data[16 : 16 + int.from_bytes(data[12:16], "little")]


ODD: list[Any] = [
    None,
    -1,
    0,
    1 << 40,
    1e30,
    float("nan"),
    "x",
    [],
    [0],
    [1, 1],
    [[1]],
    True,
    {"$array": 0},
    {"$array": 9999},
]


def test_odd_attributes(data: bytes) -> None:
    """Every attribute of every layer replaced: a ModelError, or a model that the host can plan and describe."""
    refused, accepted = 0, []
    for edit in _every_attr(ODD):
        try:
            accepted.append(loads(_edited(data, edit)))
        except ModelError:
            refused += 1
    assert refused > 100 and accepted
    for graph in accepted:
        _runs(graph)


HEADERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no ops": lambda h: h.pop("ops"),
    "ops of another kind": lambda h: h.update(ops=5),
    "no tensors": lambda h: h.update(tensors={}),
    "tensors of another kind": lambda h: h.update(tensors=[]),
    "op unknown": lambda h: h["ops"][0].update(type="exec"),
    "op float": lambda h: h["ops"][0].update(type="q.relu", attrs={}),
    "op without name": lambda h: h["ops"][0].pop("name"),
    "two of one name": lambda h: h["ops"][1].update(name=h["ops"][0]["name"]),
    "long name": lambda h: h["ops"][0].update(name="x" * 5000),
    "inputs swapped": lambda h: h["ops"].reverse(),
    "input missing": lambda h: h["ops"][0].update(inputs=[]),
    "inputs nested": lambda h: h["ops"][0].update(inputs=[["input"]]),
    "writes the input": lambda h: h["ops"][0].update(outputs=["input"]),
    "output twice": lambda h: h["ops"][0].update(outputs=h["ops"][0]["outputs"] * 2),
    "graph output unknown": lambda h: h.update(output="nothing"),
    "graph input unknown": lambda h: h.update(input="nothing"),
    "name empty": lambda h: h.update(name=""),
    "name with a path": lambda h: h.update(name="../../etc/x"),
    "name with C": lambda h: h.update(name='a"); system("'),
    "name not ASCII": lambda h: h.update(name="modèle"),
    "name of a header": lambda h: h.update(name="string"),
    "name of ours": lambda h: h.update(name="ebnn_model"),
    "name long": lambda h: h.update(name="x" * 64),
    "labels no list": lambda h: h["meta"].update(labels=7),
    "labels no text": lambda h: h["meta"].update(labels=[1, 2]),
    "arrays too many": lambda h: h["arrays"].append(["<i4", [1 << 20], "raw"]),
    "array huge": lambda h: h["arrays"].__setitem__(0, ["<i8", [1 << 40, 1 << 40], "raw"]),
    "array empty but huge": lambda h: h["arrays"].__setitem__(0, ["<i8", [0, 1 << 62, 1 << 62], "raw"]),
    "array negative": lambda h: h["arrays"].__setitem__(0, ["<i8", [-1], "raw"]),
    "array of objects": lambda h: h["arrays"].__setitem__(0, ["|O", [1], "raw"]),
    "array codec": lambda h: h["arrays"].__setitem__(0, ["|i1", [8], "zip"]),
    "array of wide signs": lambda h: h["arrays"].__setitem__(0, ["<f8", [8], "sign"]),
    "array type of another kind": lambda h: h["arrays"].__setitem__(0, [[], [8], "raw"]),
}


@pytest.mark.parametrize("case", HEADERS)
def test_damaged_headers(case: str, data: bytes) -> None:
    _refused(_edited(data, HEADERS[case]))


TYPES: list[list[Any]] = [
    [[65536, 1, 1], "s8", 1.0, 0, "nhwc"],
    [[65535, 65535, 65535], "s8", 1.0, 0, "nhwc"],
    [[0, 1, 1], "s8", 1.0, 0, "nhwc"],
    [[1, 1], "s8", 1.0, 0, "nhwc"],
    [[1, 1, 1], "s9", 1.0, 0, "nhwc"],
    [[1, 1, 1], ["s8"], 1.0, 0, "nhwc"],
    [[1, 1, 1], "real", 1.0, 0, "nhwc"],
    [[1, 1, 1], "s8", 0.0, 0, "nhwc"],
    [[1, 1, 1], "s8", -1.0, 0, "nhwc"],
    [[1, 1, 1], "s8", float("inf"), 0, "nhwc"],
    [[1, 1, 1], "s8", float("nan"), 0, "nhwc"],
    [[1, 1, 1], "s8", 1e300, 0, "nhwc"],
    [[1, 1, 1], "s8", 1.0, 128, "nhwc"],
    [[1, 1, 1], "u2", 1.0, 1, "nhwc"],
    [[1, 1, 1], "s8", 1.0, 10**30, "nhwc"],
    [[1, 1, 1], "s8", 1.0, 0, "planes"],
    [[1, 1, 1], "b1", 1.0, 0, "chw"],
    [[1, 1, 1], "s8", 1.0, 0, "rows"],
]


@pytest.mark.parametrize("kind", TYPES, ids=str)
def test_absurd_tensor_types(kind: list[Any], data: bytes) -> None:
    message = _refused(_edited(data, lambda h: h["tensors"].update({h["input"]: kind})))
    assert "input" in message or "malformed" in message


def test_no_allocation_for_absurd_files(data: bytes) -> None:
    tracemalloc.start()
    for case in ("array huge", "array empty but huge", "arrays too many"):
        _refused(_edited(data, HEADERS[case]))
    _refused(_edited(data, lambda h: h["tensors"].update({h["input"]: TYPES[1]})))
    _refused(_signed(data[:12] + b"\xff\xff\xff\xff" + data[16:]))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30 * len(data) + (4 << 20)


def test_deep_json_is_refused(data: bytes) -> None:
    text = b"[" * 200_000
    _refused(_signed(data[:12] + len(text).to_bytes(4, "little") + text))


# The verifier


def _changed(graph: Graph, op_type: str, **attrs: Any) -> tuple[Graph, str]:
    op = next(o for o in graph.ops if o.type == op_type)
    return graph.replace(op.with_(attrs=attrs) if o is op else o for o in graph.ops), op.name


VERIFIER: list[tuple[str, dict[str, Any]]] = [
    ("conv2d", {"bias": np.zeros(1, np.int32)}),
    ("conv2d", {"stride": (0, 1)}),
    ("conv2d", {"pads": (0, 0, 0)}),
    ("conv2d", {"weights": np.zeros((2, 2), np.int8)}),
    ("conv2d", {"act_min": 5, "act_max": 4}),
    ("conv2d", {"extra": 1}),
    ("bconv2d", {"weight_kind": "quaternary"}),
    ("bconv2d", {"pad_one": 2}),
    ("bconv2d", {"shift": 32}),
    ("quantize", {"mul": np.zeros(1, np.int16)}),
    ("quantize", {"add": np.zeros(1, np.int64)}),
    ("quantize", {"shift": -1}),
    ("softmax", {"diff_min": 1}),
    ("mean", {"multiplier": -1}),
    ("add", {"output_shift": 31}),
    ("max_pool2d", {"kernel": (1, 1, 1)}),
]


@pytest.mark.parametrize(
    "op_type, attrs", VERIFIER, ids=lambda v: str(v) if isinstance(v, str) else next(iter(v))
)
def test_verifier_names_the_layer(op_type: str, attrs: dict[str, Any]) -> None:
    for seed in range(200):
        graph = _model(seed)
        if any(op.type == op_type for op in graph.ops):
            break
    broken, name = _changed(graph, op_type, **attrs)
    with pytest.raises(ModelError) as caught:
        verify(broken, integer=True)
    assert repr(name) in str(caught.value)


def test_verifier_proves_that_nothing_overflows(graph: Graph) -> None:
    conv = next(op for op in graph.ops if op.type == "conv2d")
    channels = len(conv.attrs["bias"])
    for attrs in (
        {"bias": np.full(channels, 2**31 - 1, np.int32)},
        {"shift": np.full(channels, 30, np.int8)},
    ):
        broken, name = _changed(graph, "conv2d", **attrs)
        with pytest.raises(ModelError, match="overflow") as caught:
            verify(broken, integer=True)
        assert repr(name) in str(caught.value)


def test_missing_attributes_are_named(graph: Graph) -> None:
    for op in graph.ops:
        for key in op.attrs:
            if key in ("mul", "add", "shift", "threshold", "combine", "mul2", "add2", "act_min", "act_max"):
                continue
            attrs = {k: v for k, v in op.attrs.items() if k != key}
            without = Op(op.name, op.type, op.inputs, op.outputs, attrs)
            with pytest.raises(ModelError, match="missing attribute"):
                verify(graph.replace(without if o is op else o for o in graph.ops), integer=True)


def test_wrong_input_size_is_a_user_error(graph: Graph) -> None:
    with pytest.raises(UsageError):
        reference.run(graph, np.zeros(3))
    assert issubclass(UsageError, EdgebnnError)


def test_graphs_are_immutable(graph: Graph) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        graph.name = "other"  # type: ignore[misc]
    loaded = loads(dumps(graph))
    array = next(v for op in loaded.ops for v in op.attrs.values() if isinstance(v, np.ndarray))
    with pytest.raises(ValueError):
        array[...] = 0
