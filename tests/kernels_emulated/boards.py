"""Emulated boards: builds the test image for a core and runs it in QEMU on a table of cases."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from edgebnn import csrc, targets
from edgebnn.host import cdefs
from edgebnn.plan.kernels import kernels
from edgebnn.plan.sources import sources

HERE = Path(__file__).resolve().parent
_FLAGS = ("-O2", "-std=c99", "-Wall", "-Wextra", "-ffunction-sections", "-fdata-sections")


@dataclass(frozen=True)
class Board:
    """A QEMU machine with the memory that the test image uses."""

    target: str
    machine: str
    code: int
    code_size: int
    ram: int
    ram_size: int
    table: int  #: where the case table goes
    table_size: int
    coprocessors: bool = False

    @property
    def work_size(self) -> int:
        """RAM for a case's inputs, outputs, scratch and guards."""
        return self.ram_size - 0x1100


BOARDS = (
    Board("cortex-m0", "microbit", 0, 0x10000, 0x20000000, 16 << 10, 0x10000, 192 << 10),
    Board("cortex-m3", "mps2-an385", 0, 1 << 20, 0x20000000, 4 << 20, 0x21000000, 16 << 20),
    Board("cortex-m4", "mps2-an386", 0, 1 << 20, 0x20000000, 4 << 20, 0x21000000, 16 << 20),
    Board("cortex-m7", "mps2-an500", 0, 1 << 20, 0x20000000, 4 << 20, 0x60000000, 16 << 20),
    Board("cortex-m33", "mps2-an505", 0x10000000, 1 << 20, 0x38000000, 2 << 20, 0x10200000, 2 << 20),
    Board("cortex-m55", "mps3-an547", 0, 0x80000, 0x30000000, 512 << 10, 0x01000000, 2 << 20, True),
)


def missing_tool() -> str | None:
    """The first program that the emulated tests need and that is not installed."""
    return next((t for t in ("arm-none-eabi-gcc", "qemu-system-arm") if not shutil.which(t)), None)


def build(board: Board, folder: Path) -> Path:
    """Compiles the test image with every kernel the core can run; returns the ELF."""
    root = csrc.kernels_dir()
    target = targets.load(board.target)
    folder.mkdir(parents=True, exist_ok=True)
    entries = [k.symbol if k.isa in target.isa else "0" for k in kernels().values()]
    (folder / "kernel_table.h").write_text("".join(f"{entry},\n" for entry in entries))
    declared = "".join((root / "include" / name).read_text() for name in cdefs.headers(root))
    functions = set(re.findall(r"\b(\w+_get_buffer_size)\(", declared))
    sized = [name if name in functions else "0" for name in (f"{e}_get_buffer_size" for e in entries)]
    (folder / "size_table.h").write_text("".join(f"{name},\n" for name in sized))
    (folder / "size_functions.h").write_text(
        "".join(f"uint32_t {name}(const void *params);\n" for name in sized if name != "0")
    )
    files = [
        HERE / "runner.c",
        *(root / s for s in sources(k.symbol for k in kernels().values() if k.isa in target.isa)),
    ]
    defines = [f"-DTABLE_ADDRESS={board.table:#x}u", *(["-DHAS_COPROCESSORS"] if board.coprocessors else [])]
    layout = (("CODE_START", board.code), ("CODE_SIZE", board.code_size)) + (
        ("RAM_START", board.ram),
        ("RAM_SIZE", board.ram_size),
    )
    elf = folder / "image.elf"
    subprocess.run(
        [
            target.compiler,
            *target.cflags,
            *_FLAGS,
            *defines,
            f"-I{folder}",
            f"-I{root}",
            f"-I{root / 'include'}",
        ]
        + [f"-I{root / 'src'}", "-nostartfiles", f"-T{HERE / 'runner.ld'}", "-Wl,--gc-sections"]
        + ["-Wl,--no-warn-rwx-segments", *(f"-Wl,--defsym={name}={value:#x}" for name, value in layout)]
        + [str(s) for s in files]
        + ["-o", str(elf)],
        check=True,
        env={**os.environ, "LC_ALL": "C"},
    )
    return elf


def run(
    board: Board, elf: Path, table: bytes, folder: Path, timeout: float = 120
) -> tuple[int, dict[int, str]]:
    """Boots the image on ``table``; returns how many cases ran and the failed ones (number -> reason)."""
    assert len(table) <= board.table_size, (
        f"{board.machine}: the case table of {len(table)} bytes does not fit"
    )
    blob = folder / "table.bin"
    blob.write_bytes(table)
    command = [
        "qemu-system-arm",
        "-M",
        board.machine,
        "-kernel",
        str(elf),
        "-display",
        "none",
        "-monitor",
        "none",
    ]
    command += ["-serial", "none", "-semihosting-config", "enable=on,target=native"]
    command += ["-device", f"loader,file={blob},addr={board.table:#x},force-raw=on"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        output, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        output = process.communicate()[0] + "\n# hangs"
    return outcome(board.machine, output)


def outcome(machine: str, output: str) -> tuple[int, dict[int, str]]:
    """How many cases ran and the failed ones, from what the test image printed."""
    failed: dict[int, str] = {}
    notes: list[str] = []
    ran = None
    begun = 0
    for line in output.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "F":
            case, _, reason = rest.partition(" ")
            failed[int(case)] = "; ".join([reason, *notes])
            notes = []
        elif kind == "#":
            notes.append(rest)
        elif kind == "B":
            begun = int(rest) + 1
        elif kind == "D":
            ran = int(rest)
    if ran is None:  # a fault or the time limit ended the run
        assert begun, f"{machine}: the image did not run: {output.strip()}"
        ran = begun
        failed.setdefault(ran - 1, "; ".join(["did not end", *notes]))
    return ran, failed
