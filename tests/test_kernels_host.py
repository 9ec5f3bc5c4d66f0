"""Every kernel that this machine can run, called directly, byte for byte against the NumPy reference.

Kernels come from the host's kernel table, cases from the random layers and the planner's candidates: a new kernel is
tested as soon as it is in kernels.def and has a candidate. Each call runs twice, with different bytes around and in
its outputs and scratch, so that a result that depends on memory outside the inputs differs. The scratch that the
planner gives must be what the kernel's *_get_buffer_size asks for.
"""

from __future__ import annotations

import importlib.util
import re
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from kernels_emulated import cases
from kernels_emulated.blob import KernelCall
from kernels_emulated.layers import LAYERS, check
from models.layers import EXTRA

from edgebnn import csrc, targets
from edgebnn.host.runtime import fill_struct, kernel_table, library
from edgebnn.ir import Graph
from edgebnn.plan.kernels import kernels

CASES = 60
FEW = 12  # of a kernel that puts parts together which others have too
TRIES = 40 * CASES
GUARD = 64

if importlib.util.find_spec("edgebnn.host._ebnn") is None:  # one that is there but does not load is an error
    pytest.skip("the host runtime is not built", allow_module_level=True)

TABLE = sorted(kernel_table())

Generator = Callable[[np.random.Generator], Graph]


class Guarded:
    """``size`` bytes at a multiple of 16 (and of nothing more) between guard bytes."""

    def __init__(self, content: bytes, fill: int) -> None:
        self.size, self.fill = len(content), fill
        raw = np.full(self.size + 2 * GUARD + 64, fill, np.uint8)
        self.start = -raw.ctypes.data % 32 + 16 + GUARD
        self.raw = raw
        self.raw[self.start : self.start + self.size] = np.frombuffer(content, np.uint8)
        self.address = raw.ctypes.data + self.start
        assert self.address % 16 == 0

    def content(self) -> bytes:
        return self.raw[self.start : self.start + self.size].tobytes()

    def intact(self) -> bool:
        return bool((self.raw[: self.start] == self.fill).all()) and bool(
            (self.raw[self.start + self.size :] == self.fill).all()
        )


def run(call: KernelCall, fill: int) -> str | None:
    """None, or what is wrong with the kernel's result."""
    ffi, lib = library()
    keep: list[object] = []
    params = fill_struct(ffi, call.struct, call.params, keep)
    asks = getattr(lib, f"{call.kernel}_get_buffer_size", lambda params: 0)(params)
    if asks != call.scratch:
        return f"asks for {asks} bytes of scratch, the planner gives {call.scratch}"
    inputs = [Guarded(data, fill) for data in call.inputs]
    outputs = [Guarded(bytes([fill]) * len(data), fill) for data in call.outputs]
    scratch = Guarded(bytes([fill]) * call.scratch, fill)
    io = ffi.new("ebnn_io_t *")
    for i, buffer in enumerate(inputs):
        getattr(io, "in")[i] = ffi.cast("void *", buffer.address)
    io.out = ffi.cast("void *", outputs[0].address)
    if len(outputs) > 1:
        io.out2 = ffi.cast("void *", outputs[1].address)
    if call.scratch:
        io.scratch = ffi.cast("void *", scratch.address)
    status = kernel_table()[call.kernel](params, io)
    if status != 0:
        return f"status {status}"
    if not all(b.intact() for b in (*inputs, *outputs, scratch)):
        return "wrote outside its buffers"
    if any(b.content() != data for b, data in zip(inputs, call.inputs, strict=True)):
        return "changed an input"
    for i, (buffer, data) in enumerate(zip(outputs, call.outputs, strict=True)):
        if buffer.content() != data:
            got, want = np.frombuffer(buffer.content(), np.uint8), np.frombuffer(data, np.uint8)
            return f"output {i} differs in {np.count_nonzero(got != want)} of {want.size} bytes"
    return None


def random_calls(symbol: str, count: int = CASES) -> list[KernelCall]:
    """``count`` random calls of a kernel, over all targets that may take it."""
    kernel = kernels()[symbol]
    users = [t for t in map(targets.load, targets.names()) if kernel.isa in t.isa]
    assert users, f"no target has the ISA {kernel.isa}"
    rng = np.random.default_rng(zlib.crc32(symbol.encode()))
    generators: list[Generator] = [LAYERS[kernel.op], *EXTRA.get(kernel.op, ())]
    made: list[KernelCall] = []
    for i in range(TRIES):
        if len(made) == count:
            break
        graph = generators[int(rng.integers(len(generators)))](rng)
        check(graph)
        optimize = "size" if rng.random() < 0.3 else "speed"
        found = cases.choices(graph, users[i % len(users)], kernel, optimize)
        if found:
            choice = found[int(rng.integers(len(found)))]
            made.append(cases.call(graph, choice, kernel.struct, rng, cases.describe(graph, choice)))
    return made


@pytest.mark.parametrize("symbol", TABLE)
def test_kernel_matches_the_reference(symbol: str) -> None:
    count = FEW if re.match(r"ebnn_bconv2d_lanes\d", symbol) else CASES
    calls = random_calls(symbol, count)
    assert len(calls) == count, (
        f"the planner proposes {symbol} for {len(calls)} of {TRIES} random layers only"
    )
    wrong = [
        f"{what}: {call.label}"
        for call in calls
        for fill in (0x00, 0xA5)
        if (what := run(call, fill)) is not None
    ]
    assert not wrong, f"{len(wrong)} of {2 * len(calls)} runs:\n" + "\n".join(wrong[:10])


def test_the_check_notices_wrong_bytes_and_sizes() -> None:
    (call, *_) = random_calls("ebnn_add_s8__portable")
    assert run(call, 0) is None
    flipped = bytes([call.outputs[0][0] ^ 1]) + call.outputs[0][1:]
    bad = KernelCall("", call.kernel, call.struct, call.params, call.inputs, [flipped], 0)
    assert run(bad, 0) == f"output 0 differs in 1 of {len(flipped)} bytes"
    short = KernelCall("", call.kernel, call.struct, call.params, call.inputs, [call.outputs[0][:-1]], 0)
    assert run(short, 0xA5) == "wrote outside its buffers"
    greedy = KernelCall("", call.kernel, call.struct, call.params, call.inputs, call.outputs, 4)
    assert run(greedy, 0) == "asks for 0 bytes of scratch, the planner gives 4"


def test_kernels_with_scratch_say_how_much() -> None:
    """The C functions are there to be compared, for every kernel of the table that headers declare one for."""
    _, lib = library()
    text = "".join(h.read_text() for h in (csrc.kernels_dir() / "include").glob("*.h"))
    declared = [symbol for symbol in TABLE if f"{symbol}_get_buffer_size(" in text]
    assert len(declared) >= 15
    assert all(hasattr(lib, f"{symbol}_get_buffer_size") for symbol in declared)


def test_every_portable_kernel_is_in_the_table() -> None:
    missing = {k.symbol for k in kernels().values() if k.isa == "portable"} - set(TABLE)
    assert not missing, f"rebuild the host runtime: it lacks {sorted(missing)}"
