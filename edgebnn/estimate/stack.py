"""Worst-case stack: the compiler's frame sizes, summed along the longest chain of calls."""

from __future__ import annotations

import struct
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import capstone
from capstone import arm

from edgebnn.estimate.machine import Machine, Symbol

_CALLS = {arm.ARM_INS_BL, arm.ARM_INS_BLX, arm.ARM_INS_B, arm.ARM_INS_BX}


def frames(folder: Path) -> dict[str, int]:
    """Frame bytes by function, from all ``.su`` files (-fstack-usage) below ``folder``.

    Functions of one name in several files, and variants of one function, give their largest frame.
    """
    out: dict[str, int] = {}
    for file in sorted(folder.rglob("*.su")):
        for line in file.read_text(encoding="utf-8").splitlines():
            place, size, _ = line.split("\t")
            name = place.rsplit(":", 1)[-1].partition(".")[0]  # of name.constprop and the like
            out[name] = max(out.get(name, 0), int(size))
    return out


@dataclass(frozen=True)
class _Calls:
    """What a function calls: functions by name, and whether it also calls through a pointer."""

    direct: frozenset[str]
    indirect: bool


def _calls(machine: Machine, function: Symbol) -> _Calls:
    decoder = capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS)
    decoder.detail = True
    decoder.skipdata = True  # literal pools
    direct: set[str] = set()
    indirect = False
    for ins in decoder.disasm(machine.read(function.address, function.size), function.address):
        if ins.id not in _CALLS or not ins.operands:
            continue
        operand = ins.operands[0]
        if operand.type == arm.ARM_OP_IMM:
            target = machine.function_at(operand.imm)
            if target is not None and target.name != function.name:
                direct.add(target.name)
        elif operand.type == arm.ARM_OP_REG and operand.reg != arm.ARM_REG_LR:
            indirect = True
    return _Calls(frozenset(direct), indirect)


def _address_taken(machine: Machine) -> set[str]:
    """Functions whose address stands in the image's constants or is put together by MOVW and MOVT."""
    functions = {symbol.address | 1: name for name, symbol in machine.symbols.items() if symbol.function}
    found: set[str] = set()
    for start, size, writable in machine.segments:
        if writable:
            continue
        words = struct.unpack(f"<{size // 4}I", machine.read(start, size // 4 * 4))
        found.update(functions[word] for word in words if word in functions)
    decoder = capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS)
    decoder.detail = True
    decoder.skipdata = True
    for symbol in machine.symbols.values():
        if not symbol.function or not symbol.size:
            continue
        low: dict[int, int] = {}
        for ins in decoder.disasm(machine.read(symbol.address, symbol.size), symbol.address):
            if ins.id == arm.ARM_INS_MOVW:
                low[ins.operands[0].reg] = ins.operands[1].imm
            elif ins.id == arm.ARM_INS_MOVT:
                value = ins.operands[1].imm << 16 | low.get(ins.operands[0].reg, 0)
                found.update({functions[value]} if value in functions else ())
    return found


def worst_case(machine: Machine, kernels: Collection[str], sizes: dict[str, int]) -> int:
    """Bytes of stack of ``ebnn_run`` over ``kernels``, which it calls through the descriptors.

    A call through a pointer elsewhere may reach any function whose address is taken, except kernels. A library
    function without a known frame counts 0: the measured high-water mark shows it.
    """
    helpers = _address_taken(machine) - set(kernels)
    known: dict[str, int] = {}

    def depth(name: str, above: frozenset[str]) -> int:
        if name in above:
            return 0  # the runtime has no recursion; a jump back to a caller is a loop
        if name not in known:
            symbol = machine.symbols.get(name)
            calls = _calls(machine, symbol) if symbol and symbol.function else _Calls(frozenset(), False)
            callees = set(calls.direct)
            if calls.indirect:
                callees |= set(kernels) if name in ("ebnn_run", "ebnn_run_op") else helpers
            own = sizes.get(name.partition(".")[0], 0)
            known[name] = own + max((depth(c, above | {name}) for c in callees), default=0)
        return known[name]

    return depth("ebnn_run", frozenset())
