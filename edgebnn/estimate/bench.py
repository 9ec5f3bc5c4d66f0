"""Measures any C function on an emulated Cortex-M: instructions, estimated cycles and a profile per function.

From a shell (sources are compiled with -O3 unless --cflags says otherwise; every CALL runs in order, in the
same memory):

    python -m edgebnn.estimate.bench kernel.c -I cmsis_kernels/include --call "run_it(buf:4000, rand:64, 25)"

Arguments of a call: an integer, ``buf:SIZE`` (zeros), ``rand:SIZE[:SEED]``, ``file:PATH`` or ``sym:NAME``
(an address in the image). From Python, ``Bench`` also fills parameter structs and checks guards:

    b = Bench(["kernel.c"], cpu="cortex-m4")
    params = b.params("ebnn_quantize_params_t", h=1, w=1, c=64, mul=np.ones(64, np.int16), ...)
    out = b.buffer(8)
    r = b.kernel("ebnn_quantize__portable", params, [b.buffer(data)], out)
    print(r.table()); b.read(out, 8)
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgebnn.errors import EdgebnnError, MismatchError, UsageError
from edgebnn.estimate import cost, image
from edgebnn.estimate.layout import Arm32
from edgebnn.estimate.machine import CPUS, Machine, Trace

_GUARD_SIZE = 32
"""Bytes before and after every buffer; 16-byte aligned buffers keep their alignment."""


def _guard(address: int) -> bytes:
    """Guard bytes that differ from buffer to buffer, so that copied guards are noticed too."""
    return np.random.default_rng(address).integers(0, 256, _GUARD_SIZE, dtype=np.uint8).tobytes()


@dataclass(frozen=True)
class Result:
    """One measured call."""

    name: str
    trace: Trace
    profile: dict[str, tuple[int, cost.Cycles]]

    def table(self) -> str:
        """Totals, then instructions, nominal cycles and their share per function."""
        t = self.trace
        lines = [f"{self.name}: status {t.status}, {t.instructions} instructions, {t.stack} bytes of stack"]
        if t.cycles:
            c = t.cycles
            lines.append(f"  cycles {c.low} / {c.nominal} / {c.high} (low/nominal/high; {cost.LABEL})")
        for function, (n, own) in self.profile.items():
            cycles = f"{own.nominal:>12}" if t.cycles else ""
            lines.append(f"  {n:>12}{cycles}  {100 * n / max(t.instructions, 1):5.1f} %  {function}")
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        cycles = self.trace.cycles.as_dict() if self.trace.cycles else None
        functions = {name: {"instructions": n, "cycles": c.nominal} for name, (n, c) in self.profile.items()}
        return {
            "call": self.name,
            "status": self.trace.status,
            "instructions": self.trace.instructions,
            "cycles": cycles,
            "stack": self.trace.stack,
            "functions": functions,
        }


class Bench:
    """Sources linked into an image and a machine that runs it.

    ``watch`` checks every data access. The structs of ``params`` are those of the runtime's headers.
    """

    def __init__(
        self,
        sources: Sequence[Path | str],
        cpu: str = "cortex-m4",
        flags: Sequence[str] = ("-O3",),
        includes: Sequence[Path | str] = (),
        watch: bool = False,
    ) -> None:
        folders = [Path(i) for i in includes]
        self.elf = image.link([Path(s) for s in sources], cpu, folders, flags)
        self.machine = Machine(self.elf, cpu)
        self._guards: dict[int, int] = {}
        self._watch = watch
        self._layout = Arm32()

    def buffer(self, content: int | bytes | np.ndarray) -> int:
        """Address of a guarded buffer of so many zero bytes, or holding ``content``."""
        if isinstance(content, np.ndarray):
            content = np.ascontiguousarray(content).tobytes()
        data = bytes(content)
        at = self.machine.alloc(len(data) + 2 * _GUARD_SIZE) + _GUARD_SIZE
        self.machine.write(at - _GUARD_SIZE, _guard(at) + data + _guard(at))
        self._guards[at] = len(data)
        return at

    def forget(self, level: int) -> None:
        """Gives back all buffers made since ``machine.mark()`` returned ``level``."""
        self.machine.release(level)
        self._guards = {at: size for at, size in self._guards.items() if at < level}

    def read(self, address: int, size: int) -> bytes:
        """Bytes of memory."""
        return self.machine.read(address, size)

    def params(self, struct: str, **values: Any) -> int:
        """Address of a filled params struct; arrays are stored beside it. Fields left out are 0."""
        return self.buffer(self._layout.pack(struct, values, self.buffer))

    def io(self, inputs: Sequence[int], out: int, out2: int = 0, scratch: int = 0) -> int:
        """Address of an ebnn_io_t."""
        values: dict[str, Any] = {
            "in": list(inputs) + [0] * (2 - len(inputs)),
            "out": out,
            "scratch": scratch,
        }
        if out2:
            values["out2"] = out2
        return self.params("ebnn_io_t", **values)

    def call(self, function: str, *args: int) -> Result:
        """Calls a function and checks every guard.

        Raises MismatchError when a guard was overwritten or, with ``watch``, an access left the buffers.
        """
        if self._watch:
            self.machine.watch([(at, size, True) for at, size in self._guards.items()])
        trace = self.machine.call(function, *args)
        for at, size in self._guards.items():
            if self.read(at - _GUARD_SIZE, _GUARD_SIZE) != _guard(at) or self.read(
                at + size, _GUARD_SIZE
            ) != _guard(at):
                raise MismatchError(f"{function}: wrote outside the buffer of {size} bytes at {at:#x}")
        return Result(function, trace, self.machine.profile(trace))

    def kernel(
        self, function: str, params: int, inputs: Sequence[int], out: int, out2: int = 0, scratch: int = 0
    ) -> Result:
        """Calls a kernel ``(params, ebnn_io_t *)``."""
        return self.call(function, params, self.io(inputs, out, out2, scratch))


def _argument(bench: Bench, text: str) -> int:
    kind, _, rest = text.partition(":")
    if kind == "buf":
        return bench.buffer(int(rest, 0))
    if kind == "rand":
        size, _, seed = rest.partition(":")
        generator = np.random.default_rng(int(seed or "1", 0))
        return bench.buffer(generator.integers(0, 256, int(size, 0), dtype=np.uint8))
    if kind == "file":
        return bench.buffer(Path(rest).read_bytes())
    if kind == "sym":
        return bench.machine.address(rest)
    return int(text, 0)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(
        prog="python -m edgebnn.estimate.bench", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("sources", nargs="+", type=Path, help="C files")
    parser.add_argument("--cpu", default="cortex-m4", choices=list(CPUS))
    parser.add_argument("--cflags", default="-O3")
    parser.add_argument("-I", dest="includes", action="append", default=[], type=Path)
    parser.add_argument("--call", action="append", default=[], metavar="CALL", help='"function(arguments)"')
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    try:
        bench = Bench(args.sources, args.cpu, shlex.split(args.cflags), args.includes)
        for text in args.call:
            match = re.fullmatch(r"\s*(\w+)\s*\((.*)\)\s*", text, re.S)
            if not match:
                raise UsageError(f"bench: cannot read the call {text!r}", 'write "function(1, buf:64)"')
            arguments = [a.strip() for a in match[2].split(",") if a.strip()]
            result = bench.call(match[1], *(_argument(bench, a) for a in arguments))
            print(json.dumps(result.as_dict()) if args.json else result.table())
    except (EdgebnnError, ValueError, OSError) as e:
        print(f"error: {e}", file=sys.stderr)
        return e.exit_code if isinstance(e, EdgebnnError) else 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
