"""Cycle cost of straight-line Thumb code: the documented tables, applied to one translated block at a time.

Sources: Arm Cortex-M4 Technical Reference Manual r0p1, table 3-1 and section 3.3.3 (load/store timings);
Cortex-M3 TRM r2p1, table 3-1; Cortex-M0+ TRM r0p1, table 3-1. All assume memory without wait states.
What the manuals leave open becomes three figures:

=========================  =====  =======  ====
Cortex-M3, M4                low  nominal  high
=========================  =====  =======  ====
refill of a taken branch       1        2     3
divide                         2        7    12
UMULL, SMULL (M3)              3        4     5
UMLAL, SMLAL (M3)              4        5     7
address from previous ALU      0        0     1
load relative to the PC        0        0     1
store, register offset         1     1, 2  1, 2
skipped in an IT block         1    as if executed
=========================  =====  =======  ====

Not modelled: unaligned accesses (a cycle more each on the M3 and M4), waiting for the bus, folded IT instructions.
On the M0+ only the multiplier differs: 1 cycle, or 32 in ``high``. The choice is the chip maker's; parts with
the fast one are the common case.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import capstone
from capstone import arm

LABEL = "estimate, 0 wait states, a model, not silicon"

_M4_SOURCE = "Arm Cortex-M4 Technical Reference Manual r0p1, table 3-1 and section 3.3.3"
_M3_SOURCE = "Arm Cortex-M3 Technical Reference Manual r2p1, table 3-1"
_M0_SOURCE = "Arm Cortex-M0+ Technical Reference Manual r0p1, table 3-1"


@dataclass(frozen=True)
class Cycles:
    """A cycle figure with its bounds."""

    low: int = 0
    nominal: int = 0
    high: int = 0

    def __add__(self, other: Cycles) -> Cycles:
        return Cycles(self.low + other.low, self.nominal + other.nominal, self.high + other.high)

    def times(self, n: int) -> Cycles:
        """This cost, n times."""
        return Cycles(self.low * n, self.nominal * n, self.high * n)

    def as_dict(self) -> dict[str, int]:
        """{"low", "nominal", "high"}."""
        return {"low": self.low, "nominal": self.nominal, "high": self.high}


@dataclass(frozen=True)
class BlockCost:
    """Cost of one execution of a block that leaves it by falling through."""

    instructions: int
    cycles: Cycles


@dataclass(frozen=True)
class Table:
    """A CPU's cost table: cost of a block and of leaving it by a taken branch."""

    cpu: str
    source: str
    taken: Cycles
    block: Callable[[bytes, int], Cycles]


def count_instructions(code: bytes) -> int:
    """Number of Thumb instructions in ``code``: a halfword from 0xE800 on starts a 32-bit one."""
    n = at = 0
    while at < len(code):
        at += 4 if code[at + 1] >= 0xE8 else 2
        n += 1
    return n


_CAPSTONE = capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS)
_CAPSTONE.detail = True

_LOADS = {arm.ARM_INS_LDR, arm.ARM_INS_LDRB, arm.ARM_INS_LDRH, arm.ARM_INS_LDRSB, arm.ARM_INS_LDRSH}
_STORES = {arm.ARM_INS_STR, arm.ARM_INS_STRB, arm.ARM_INS_STRH}
_DIVIDES = {arm.ARM_INS_SDIV, arm.ARM_INS_UDIV}
_LONG_MULTIPLY = {arm.ARM_INS_UMULL, arm.ARM_INS_SMULL}
_LONG_ACCUMULATE = {arm.ARM_INS_UMLAL, arm.ARM_INS_SMLAL}
_MULTIPLY_ADD = {arm.ARM_INS_MLA, arm.ARM_INS_MLS}
_BRANCHES = {
    arm.ARM_INS_B,
    arm.ARM_INS_BL,
    arm.ARM_INS_BX,
    arm.ARM_INS_BLX,
    arm.ARM_INS_CBZ,
    arm.ARM_INS_CBNZ,
}
_FLOAT_COST = {"vmla": 3, "vmls": 3, "vfma": 3, "vfms": 3, "vfnma": 3, "vfnms": 3, "vdiv": 14, "vsqrt": 14}


def _many(ins: capstone.CsInsn) -> int:
    """Registers moved by an LDM/STM/PUSH/POP/VLDM/VSTM (doubles count twice)."""
    regs = [op.reg for op in ins.operands if op.type == arm.ARM_OP_REG]
    if ins.mnemonic.startswith(("ldm", "stm", "vldm", "vstm")):
        regs = regs[1:]
    doubles = sum(1 for reg in regs if arm.ARM_REG_D0 <= reg <= arm.ARM_REG_D31)
    return len(regs) + doubles


def _is_multiple(ins: capstone.CsInsn) -> bool:
    return ins.mnemonic.startswith(("ldm", "stm", "push", "pop", "vldm", "vstm", "vpush", "vpop"))


def _written(ins: capstone.CsInsn) -> set[int]:
    return set(ins.regs_access()[1])


def _armv7m_block(code: bytes, address: int, dsp: bool) -> Cycles:
    """Cortex-M3 and M4. State between instructions: what the previous one loaded or computed."""
    low = nominal = high = 0
    loaded: int | None = None  # destination of the single load just before: the next access pipelines with it
    computed: set[int] = set()  # registers written by the data processing instruction just before
    predicated = 0  # instructions left in an IT block
    seen = 0
    for ins in _CAPSTONE.disasm(code, address):
        seen += ins.size
        name = ins.id
        lo = no = hi = 1
        next_loaded: int | None = None
        next_computed: set[int] = set()
        memory = [op.mem for op in ins.operands if op.type == arm.ARM_OP_MEM]
        stall = int(bool(memory) and bool({memory[0].base, memory[0].index} & computed)) if memory else 0
        independent = loaded is not None and bool(memory) and loaded not in (memory[0].base, memory[0].index)
        if name in _LOADS:
            lo = no = hi = 1 if independent else 2
            hi += stall + int(memory[0].base == arm.ARM_REG_PC)
            next_loaded = ins.operands[0].reg
            if next_loaded == arm.ARM_REG_PC:
                lo = no = hi = 2
        elif name in _STORES:
            lo = no = hi = 1 if memory[0].index == 0 or independent else 2
            hi += stall
        elif name in (arm.ARM_INS_LDRD, arm.ARM_INS_STRD):
            lo = no = hi = 3
            hi += stall
        elif _is_multiple(ins):
            lo = no = hi = 1 + _many(ins)
        elif name in _DIVIDES:
            lo, no, hi = 2, 7, 12
        elif name in (arm.ARM_INS_TBB, arm.ARM_INS_TBH):
            lo = no = hi = 2
        elif name in _BRANCHES or ins.mnemonic.startswith("it"):
            pass
        elif ins.mnemonic.startswith(("vldr", "vstr")):
            lo = no = hi = 2 + int(ins.mnemonic.endswith("64"))
        elif ins.mnemonic.startswith("v"):
            lo = no = hi = _FLOAT_COST.get(ins.mnemonic.split(".")[0], 1)
        else:
            if not dsp and name in _LONG_MULTIPLY:
                lo, no, hi = 3, 4, 5
            elif not dsp and name in _LONG_ACCUMULATE:
                lo, no, hi = 4, 5, 7
            elif not dsp and name in _MULTIPLY_ADD:
                lo = no = hi = 2
            next_computed = _written(ins)
        if ins.mnemonic.startswith("it"):
            predicated = len(ins.mnemonic) - 1
        elif predicated:
            predicated -= 1
            lo = 1  # may be skipped
        low, nominal, high = low + lo, nominal + no, high + hi
        loaded, computed = next_loaded, next_computed
    if seen != len(code):
        raise ValueError(f"cannot decode the instruction at {address + seen:#x}")
    return Cycles(low, nominal, high)


def _armv6m_block(code: bytes, address: int) -> Cycles:
    """Cortex-M0+."""
    nominal = high = seen = 0
    for ins in _CAPSTONE.disasm(code, address):
        seen += ins.size
        name = ins.id
        cost = 1
        if name in _LOADS or name in _STORES:
            cost = 2
        elif _is_multiple(ins):
            to_pc = any(op.type == arm.ARM_OP_REG and op.reg == arm.ARM_REG_PC for op in ins.operands)
            cost = 1 + _many(ins) + (1 if to_pc else 0)  # POP with the PC: 3 + N, 1 of it the taken branch
        elif name == arm.ARM_INS_BL:
            cost = 2  # 3 with the taken branch
        elif name in (arm.ARM_INS_MRS, arm.ARM_INS_MSR, arm.ARM_INS_DMB, arm.ARM_INS_DSB, arm.ARM_INS_ISB):
            cost = 3
        nominal += cost
        high += 32 if name == arm.ARM_INS_MUL else cost
    if seen != len(code):
        raise ValueError(f"cannot decode the instruction at {address + seen:#x}")
    return Cycles(nominal, nominal, high)


TABLES: dict[str, Table] = {
    "cortex-m4": Table("cortex-m4", _M4_SOURCE, Cycles(1, 2, 3), lambda c, a: _armv7m_block(c, a, dsp=True)),
    "cortex-m3": Table("cortex-m3", _M3_SOURCE, Cycles(1, 2, 3), lambda c, a: _armv7m_block(c, a, dsp=False)),
    "cortex-m0plus": Table("cortex-m0plus", _M0_SOURCE, Cycles(1, 1, 1), _armv6m_block),
}
"""CPUs with a published table. The M7 is superscalar, the M33 has no table: instructions only."""


def block_cost(code: bytes, address: int, table: Table | None) -> BlockCost:
    """Cost of the block ``code`` (Thumb, at ``address``); without a table the cycles are zero."""
    return BlockCost(count_instructions(code), table.block(code, address) if table else Cycles())
