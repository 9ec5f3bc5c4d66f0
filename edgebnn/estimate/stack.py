"""Worst-case stack: the compiler's frame sizes, summed along the longest chain of direct calls."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import capstone
from capstone import arm

from edgebnn.estimate.machine import Machine, Symbol

_CALLS = {arm.ARM_INS_BL, arm.ARM_INS_BLX, arm.ARM_INS_B}


def frames(folder: Path) -> dict[str, int]:
    """Frame bytes by function, from all ``.su`` files (-fstack-usage) below ``folder``.

    Functions of one name in several files give their largest frame.
    """
    out: dict[str, int] = {}
    for file in sorted(folder.rglob("*.su")):
        for line in file.read_text(encoding="utf-8").splitlines():
            place, size, _ = line.split("\t")
            name = place.rsplit(":", 1)[-1]
            out[name] = max(out.get(name, 0), int(size))
    return out


def _callees(machine: Machine, function: Symbol) -> set[str]:
    """Functions that ``function`` calls or jumps to directly."""
    decoder = capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS)
    decoder.detail = True
    decoder.skipdata = True  # literal pools
    found = set()
    for ins in decoder.disasm(machine.read(function.address, function.size), function.address):
        if ins.id in _CALLS and ins.operands and ins.operands[0].type == arm.ARM_OP_IMM:
            target = machine.function_at(ins.operands[0].imm)
            if target is not None and target.name != function.name:
                found.add(target.name)
    return found


def worst_case(machine: Machine, roots: Iterable[str], sizes: dict[str, int]) -> dict[str, int]:
    """Bytes of stack of each root with everything it calls directly. A library function without a known frame
    counts 0: the measured high-water mark shows it."""
    known: dict[str, int] = {}

    def depth(name: str, above: frozenset[str]) -> int:
        if name in above:
            return 0  # the runtime has no recursion; a jump back to a caller is a loop
        if name not in known:
            symbol = machine.symbols.get(name)
            callees = _callees(machine, symbol) if symbol and symbol.function else set()
            below = max((depth(callee, above | {name}) for callee in callees), default=0)
            known[name] = sizes.get(name, 0) + below
        return known[name]

    return {root: depth(root, frozenset()) for root in roots}
