"""Links C sources into a bare-metal image for ``machine.Machine``: no startup code, no vectors."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from edgebnn import csrc, targets
from edgebnn.errors import ToolchainError
from edgebnn.estimate.hook import cache_folder

LINKER_SCRIPT = """\
MEMORY {
    CODE (rx)  : ORIGIN = 0x00000000, LENGTH = 16M
    RAM  (rwx) : ORIGIN = 0x20000000, LENGTH = 16M
}
SECTIONS {
    .text : { . = . + 64; *(.text .text.*) } > CODE
    .rodata : { *(.rodata .rodata.*) } > CODE
    .data : { *(.data .data.*) } > RAM
    .bss (NOLOAD) : { *(.bss .bss.* COMMON) } > RAM
    /DISCARD/ : { *(.ARM.exidx* .ARM.extab*) }
}
"""

_KEPT_IMAGES = 50
BASE_FLAGS = ("-mthumb", "-std=c99", "-ffunction-sections", "-fdata-sections", "-g0")


def cpu_flags(cpu: str) -> tuple[str, ...]:
    """Compiler flags that choose ``cpu``."""
    return targets.load(cpu).cflags


def compiler() -> str:
    """Path of arm-none-eabi-gcc. Raises ToolchainError when there is none."""
    found = os.environ.get("EDGEBNN_ARM_GCC") or shutil.which("arm-none-eabi-gcc")
    if not found:
        raise ToolchainError(
            "arm-none-eabi-gcc not found", "install the Arm GNU toolchain (gcc-arm-none-eabi)"
        )
    return found


def _run(command: Sequence[str], what: str) -> None:
    done = subprocess.run(list(command), capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error" in line.lower() or "undefined" in line]
        detail = (lines or done.stderr.splitlines() or ["no message"])[0]
        raise ToolchainError(f"{what}: {detail}", "the full command was: " + " ".join(command))


def _digest(sources: Sequence[Path], includes: Sequence[Path], flags: Sequence[str]) -> str:
    """Key of a build: every source, every header in the include folders, the flags and the compiler."""
    h = hashlib.sha256()
    for flag in (*flags, LINKER_SCRIPT):
        h.update(flag.encode() + b"\0")
    headers: set[Path] = set()
    for folder in {*includes, *(s.parent for s in sources)}:
        headers.update(p for p in folder.glob("*") if p.suffix in (".h", ".def", ".inc"))
    for path in [*sources, *sorted(headers)]:
        h.update(str(path).encode() + b"\0" + path.read_bytes())
    return h.hexdigest()[:24]


def _prune(images: Path) -> None:
    """Removes images beyond the newest ones, but none that may be in use: of the last day."""
    oldest_first = sorted((p for p in images.iterdir() if p.is_dir()), key=lambda p: p.stat().st_mtime)
    for folder in oldest_first[:-_KEPT_IMAGES]:
        if time.time() - folder.stat().st_mtime > 24 * 3600:
            shutil.rmtree(folder, ignore_errors=True)


def link(
    sources: Sequence[Path],
    cpu: str,
    includes: Sequence[Path] = (),
    flags: Sequence[str] = ("-O3",),
    roots: Sequence[str] = (),
    stack_usage: bool = False,
) -> Path:
    """Compiles and links ``sources`` for ``cpu``; returns the ELF, from the cache when nothing changed.

    With ``roots`` only what these symbols need is kept; without, everything is. ``stack_usage`` leaves the
    compiler's ``.su`` files beside the ELF. Raises ToolchainError with the compiler's first error.
    """
    gcc = compiler()
    options = [*cpu_flags(cpu), *BASE_FLAGS, *flags]
    if stack_usage:
        options.append("-fstack-usage")
    sources = [Path(s).resolve() for s in sources]
    includes = [Path(i).resolve() for i in includes]
    folder = cache_folder() / "images" / _digest(sources, includes, [gcc, *options, *roots])
    elf = folder / "image.elf"
    if elf.exists():
        return elf
    folder.parent.mkdir(parents=True, exist_ok=True)
    _prune(folder.parent)
    part = Path(tempfile.mkdtemp(prefix="part-", dir=folder.parent))
    try:
        script = part / "image.ld"
        script.write_text(LINKER_SCRIPT)
        objects = []
        for i, source in enumerate(sources):
            # the linker map tells the parts of the image by these folders
            group = "kernels" if source.is_relative_to(csrc.kernels_dir()) else "model"
            target = part / "obj" / group / f"{i}-{source.stem}.o"
            target.parent.mkdir(parents=True, exist_ok=True)
            objects.append(str(target))
            command = [
                gcc,
                *options,
                *(f"-I{path}" for path in includes),
                "-c",
                str(source),
                "-o",
                str(target),
            ]
            _run(command, source.name)
        keep = (
            ["-Wl,--gc-sections", *(f"-Wl,-u,{r}" for r in roots), f"-Wl,-e,{roots[0]}"]
            if roots
            else ["-Wl,-e,0"]
        )
        _run(
            [
                gcc,
                *options,
                "-nostartfiles",
                f"-Wl,-T,{script}",
                *keep,
                *objects,
                "-o",
                str(part / "image.elf"),
            ]
            + ["-Wl,--no-warn-rwx-segments", f"-Wl,-Map,{part / 'image.map'}"],
            "link",
        )
        try:
            part.replace(folder)
        except OSError:  # another process was first
            if not elf.exists():
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return elf
