"""Runs functions of a bare-metal Cortex-M ELF file on unicorn and counts what they execute."""

from __future__ import annotations

import bisect
import ctypes
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from edgebnn.errors import MismatchError, ToolchainError, UsageError
from edgebnn.estimate import cost
from edgebnn.estimate.hook import AccessState, Block, BlockState, Range, load_hook

CPUS: dict[str, str] = {
    "cortex-m0plus": "UC_CPU_ARM_CORTEX_M0",
    "cortex-m3": "UC_CPU_ARM_CORTEX_M3",
    "cortex-m4": "UC_CPU_ARM_CORTEX_M4",
    "cortex-m7": "UC_CPU_ARM_CORTEX_M7",
    "cortex-m33": "UC_CPU_ARM_CORTEX_M33",
}
"""CPU name -> unicorn's model. The M0+ runs as a Cortex-M0: the same instruction set, so the same counts."""

_PAGE = 0x10000
_TABLE_ENTRIES = 1 << 16
_RAM_BASE = 0x20000000
_RETURN = 0x1FFF0000  # return address: a page of its own, at the end of the executable code region
_READ, _WRITE, _EXECUTE = 1, 2, 4  # unicorn's UC_PROT_*
_STACK_PAINT = 0xC5
_STACK_LIMIT = 32 << 10  # bytes painted below the top; more stack than this is a fault of the code


@dataclass(frozen=True)
class Symbol:
    """A symbol of the ELF: address (without the Thumb bit), size in bytes, and whether it is a function."""

    name: str
    address: int
    size: int
    function: bool


@dataclass(frozen=True)
class BlockRun:
    """A translated block: how often it ran, how often it was left by a taken branch, and its cost."""

    address: int
    size: int
    count: int
    taken: int
    instructions: int
    cycles: cost.Cycles


@dataclass(frozen=True)
class Trace:
    """What one call executed. ``cycles`` is None for a CPU without a published table."""

    status: int
    instructions: int
    cycles: cost.Cycles | None
    stack: int
    blocks: tuple[BlockRun, ...]


class Machine:
    """A Cortex-M with the ELF's segments loaded, RAM at 0x20000000 and no peripherals.

    Arguments are 32-bit integers or addresses, results the signed 32-bit r0. No interrupt ever happens and no
    startup code runs: .data must be at its run address in the ELF (``image.link`` makes it so).
    """

    def __init__(self, elf: Path | str, cpu: str = "cortex-m4", ram_size: int = 16 << 20) -> None:
        if cpu not in CPUS:
            raise UsageError(f"estimate: no CPU {cpu}", "choose one of " + ", ".join(CPUS))
        try:
            import unicorn
            from unicorn import arm_const
            from unicorn.unicorn_py3.unicorn import uclib
        except ImportError as e:
            raise ToolchainError(f"estimate: {e}", "pip install unicorn capstone pyelftools") from None
        self.cpu = cpu
        self.time_limit = 600.0  # seconds of one call
        self.table = cost.TABLES.get(cpu)
        self._const = arm_const
        self._uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        self._uc.ctl_set_cpu_model(getattr(arm_const, CPUS[cpu]))
        self._error = unicorn.UcError
        self.symbols: dict[str, Symbol] = {}
        self._mapped: set[int] = set()
        self.segments: list[tuple[int, int, bool]] = []
        ram_end = _RAM_BASE
        self._map(_RAM_BASE, ram_size)
        self._map(_RETURN, _PAGE)
        with open(elf, "rb") as f:
            image = ELFFile(f)
            for segment in image.iter_segments():
                if segment["p_type"] != "PT_LOAD" or not segment["p_memsz"]:
                    continue
                start, size = segment["p_vaddr"], segment["p_memsz"]
                self._map(start, size)
                self._uc.mem_write(start, segment.data())
                self.segments.append((start, size, start >= _RAM_BASE))
                if _RAM_BASE <= start < _RAM_BASE + ram_size:
                    ram_end = max(ram_end, start + size)
            table = image.get_section_by_name(".symtab")
            for symbol in table.iter_symbols() if isinstance(table, SymbolTableSection) else ():
                kind = symbol["st_info"]["type"]
                if symbol.name and not symbol.name.startswith("$") and symbol["st_shndx"] != "SHN_UNDEF":
                    address = symbol["st_value"] & ~1 if kind == "STT_FUNC" else symbol["st_value"]
                    found = Symbol(symbol.name, address, symbol["st_size"], kind == "STT_FUNC")
                    self.symbols.setdefault(symbol.name, found)
        self._stack_top = _RAM_BASE + ram_size - 64
        self._next = (ram_end + 15) & ~15
        self._costs: dict[tuple[int, int], cost.BlockCost] = {}
        self._library = uclib
        self._hooks = load_hook()
        self._blocks = (Block * _TABLE_ENTRIES)()
        self._state = BlockState(ctypes.addressof(self._blocks), None, 0, 0, _TABLE_ENTRIES - 1, 0)
        self._access: AccessState | None = None
        self._ranges: ctypes.Array[Range] | None = None
        self._install(unicorn.UC_HOOK_BLOCK, self._hooks.block_hook, self._state)
        functions = (s for s in self.symbols.values() if s.function and s.size)
        self._functions = sorted(functions, key=lambda s: (s.address, s.name))
        self._starts = [symbol.address for symbol in self._functions]

    def _map(self, start: int, size: int) -> None:
        for page in range(start // _PAGE, (start + size - 1) // _PAGE + 1):
            if page not in self._mapped:
                # code is read-only, so that a stray write faults instead of changing the program
                code = page * _PAGE < _RAM_BASE
                self._uc.mem_map(page * _PAGE, _PAGE, _READ | _EXECUTE | (0 if code else _WRITE))
                self._mapped.add(page)

    def _install(self, kind: int, hook: Any, state: ctypes.Structure) -> None:
        handle = ctypes.c_size_t()
        error = self._library.uc_hook_add(
            self._uc._uch,
            ctypes.byref(handle),
            kind,
            ctypes.cast(hook, ctypes.c_void_p),
            ctypes.c_void_p(ctypes.addressof(state)),
            ctypes.c_uint64(1),
            ctypes.c_uint64(0),
        )
        if error:
            raise ToolchainError(f"estimate: unicorn refuses a hook (error {error})", "use unicorn 2")

    def watch(self, ranges: Sequence[tuple[int, int, bool]]) -> None:
        """From now on ``call`` raises MismatchError at accesses outside ``ranges`` (address, size, writable).

        The image's own segments (code read-only) and the stack are always allowed. A watched run is several
        times slower; its counts are the same.
        """
        import unicorn

        stack = (self._stack_top - _STACK_LIMIT, _STACK_LIMIT + 64, True)
        every = sorted([*self.segments, stack, *((a, n, w) for a, n, w in ranges if n)])
        self._ranges = (Range * len(every))(*(Range(a, a + n, int(w)) for a, n, w in every))
        if self._access is None:
            self._access = AccessState(
                read_register=ctypes.cast(self._library.uc_reg_read, ctypes.c_void_p),
                write_register=ctypes.cast(self._library.uc_reg_write, ctypes.c_void_p),
                xpsr=self._const.UC_ARM_REG_XPSR,
            )
            self._install(
                unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE, self._hooks.access_hook, self._access
            )
        self._access.ranges = ctypes.addressof(self._ranges)
        self._access.blocks = ctypes.addressof(self._state)
        self._access.n_ranges, self._access.last = len(every), 0

    # Memory

    def alloc(self, size: int, align: int = 16) -> int:
        """Address of ``size`` fresh bytes of RAM (never freed), zero at first."""
        at = (self._next + align - 1) // align * align
        if at + size > self._stack_top - (64 << 10):
            raise UsageError(
                f"estimate: {size} bytes more do not fit the emulated RAM", "give the machine more RAM"
            )
        self._next = at + size
        return at

    def mark(self) -> int:
        """The allocation level, for ``release``."""
        return self._next

    def release(self, level: int) -> None:
        """Forgets all allocations made since ``mark`` returned ``level``."""
        self._next = level

    def put(self, data: bytes, align: int = 16) -> int:
        """Allocates and writes ``data``; returns its address."""
        at = self.alloc(len(data), align)
        self.write(at, data)
        return at

    def write(self, address: int, data: bytes) -> None:
        """Writes bytes to memory."""
        if data:
            self._uc.mem_write(address, bytes(data))

    def read(self, address: int, size: int) -> bytes:
        """Reads ``size`` bytes of memory."""
        return bytes(self._uc.mem_read(address, size)) if size else b""

    def address(self, symbol: str) -> int:
        """Address of a symbol, as C sees it (functions with the Thumb bit)."""
        found = self.symbols.get(symbol)
        if found is None:
            raise UsageError(
                f"estimate: the image has no symbol {symbol}", "is the source linked and the function global?"
            )
        return found.address | int(found.function)

    def function_at(self, address: int) -> Symbol | None:
        """The function that holds an address."""
        i = bisect.bisect_right(self._starts, address) - 1
        if i >= 0 and address < self._functions[i].address + self._functions[i].size:
            return self._functions[i]
        return None

    # Running

    def call(self, function: str | int, *args: int) -> Trace:
        """Calls a function (symbol or address) with 32-bit arguments and returns what it executed.

        The trace's ``status`` is the signed r0; ``stack`` the bytes of stack used (down to the lowest of
        the painted bytes that changed), without arguments. Raises ToolchainError when the code faults.
        """
        c = self._const
        target = self.address(function) if isinstance(function, str) else function
        stacked: Sequence[int] = args[4:]
        top = self._stack_top - 4 * ((len(stacked) + 1) // 2 * 2)
        for i, value in enumerate(stacked):
            self.write(top + 4 * i, struct.pack("<I", value & 0xFFFFFFFF))
        self.write(top - _STACK_LIMIT, bytes([_STACK_PAINT]) * _STACK_LIMIT)
        registers = (c.UC_ARM_REG_R0, c.UC_ARM_REG_R1, c.UC_ARM_REG_R2, c.UC_ARM_REG_R3)
        for register, value in zip(registers, args, strict=False):
            self._uc.reg_write(register, value & 0xFFFFFFFF)
        self._uc.reg_write(c.UC_ARM_REG_SP, top)
        self._uc.reg_write(c.UC_ARM_REG_LR, _RETURN | 1)
        ctypes.memset(self._blocks, 0, ctypes.sizeof(self._blocks))
        self._state.previous, self._state.dropped, self._state.executed = None, 0, 0
        if self._access is not None:
            self._access.violations = 0
        try:
            self._uc.emu_start(target | 1, _RETURN, timeout=int(self.time_limit * 1e6))
        except self._error as e:
            pc = self._uc.reg_read(c.UC_ARM_REG_PC)
            where = self.function_at(pc)
            place = f"{where.name}+{pc - where.address:#x}" if where else f"{pc:#x}"
            raise ToolchainError(
                f"estimate: the code faults at {place}: {e}", "the emulated code is wrong"
            ) from None
        pc = self._uc.reg_read(c.UC_ARM_REG_PC)
        if pc & ~1 != _RETURN:
            where = self.function_at(pc)
            raise ToolchainError(
                f"estimate: {where.name if where else hex(pc)} did not end within {self.time_limit:g} s",
                "the emulated code hangs, or the model is very large",
            )
        if self._state.dropped:
            raise ToolchainError(
                "estimate: more distinct code blocks than the counter holds", "report this as a bug"
            )
        if self._access is not None and self._access.violations:
            raise MismatchError(self._violation(self._access))
        painted = self.read(top - _STACK_LIMIT, _STACK_LIMIT)
        untouched = len(painted) - len(painted.lstrip(bytes([_STACK_PAINT])))
        status = self._uc.reg_read(c.UC_ARM_REG_R0)
        return self._trace(status - (1 << 32) if status >> 31 else status, _STACK_LIMIT - untouched)

    def _violation(self, access: AccessState) -> str:
        culprit = self.function_at(access.block)
        name = culprit.name if culprit else f"{access.block:#x}"
        verb = "writes" if access.write else "reads"
        near = [r for r in self._ranges or () if r.start <= access.address]
        where = (
            f"{access.address - near[-1].start} bytes into a buffer of {near[-1].end - near[-1].start}"
            if near
            else ""
        )
        return (
            f"{name}: {verb} {access.size} bytes at {access.address:#x}, outside its buffers {where}".rstrip()
        )

    def _trace(self, status: int, stack: int) -> Trace:
        runs = []
        total, cycles = 0, cost.Cycles()
        last = self._state.previous
        base = ctypes.addressof(self._blocks)
        for i in range(_TABLE_ENTRIES):
            block = self._blocks[i]
            if not block.count:
                continue
            # The return to the caller is a taken branch that no later block shows.
            taken = block.taken + int(last == base + i * ctypes.sizeof(Block))
            each = self._cost(block.address, block.size)
            of_run = each.cycles.times(block.count)
            if self.table:
                of_run += self.table.taken.times(taken)
            runs.append(
                BlockRun(
                    block.address, block.size, block.count, taken, each.instructions * block.count, of_run
                )
            )
            total += each.instructions * block.count
            cycles += of_run
        return Trace(status, total, cycles if self.table else None, stack, tuple(runs))

    def _cost(self, address: int, size: int) -> cost.BlockCost:
        key = (address, size)
        if key not in self._costs:
            self._costs[key] = cost.block_cost(self.read(address, size), address, self.table)
        return self._costs[key]

    def profile(self, trace: Trace) -> dict[str, tuple[int, cost.Cycles]]:
        """Instructions and cycles of each function itself, without its callees, most first."""
        out: dict[str, tuple[int, cost.Cycles]] = {}
        for run in trace.blocks:
            symbol = self.function_at(run.address)
            name = symbol.name if symbol else f"{run.address:#x}"
            n, c = out.get(name, (0, cost.Cycles()))
            out[name] = (n + run.instructions, c + run.cycles)
        return dict(sorted(out.items(), key=lambda item: -item[1][0]))
