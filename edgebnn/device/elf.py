"""Sizes of a firmware image, from its ELF file and its linker map."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

# One input section of a GNU ld map: name, address, size, object file. Long names have a line of their own.
_MAP_SECTION = re.compile(r"^ (\.\S+)\s+0x([0-9a-f]+)\s+0x([0-9a-f]+)\s+(\S+)$", re.MULTILINE)
_CODE = (".text", ".rodata", ".vectors", ".ARM.ex")


@dataclass(frozen=True)
class Sizes:
    """Bytes of an image. Flash holds text, rodata and data; RAM holds data, bss and stack."""

    text: int
    rodata: int
    data: int
    bss: int
    stack: int
    symbols: dict[str, int] = field(default_factory=dict)  # functions ebnn_*: the runtime and its kernels
    groups: dict[str, int] = field(default_factory=dict)  # flash by part: runtime, model, firmware, library

    @property
    def flash(self) -> int:
        """Bytes of flash."""
        return self.text + self.rodata + self.data

    @property
    def ram(self) -> int:
        """Bytes of RAM, with the reserved stack."""
        return self.data + self.bss + self.stack


def _group(file: str) -> str:
    for folder, group in (("kernels", "runtime"), ("model", "model"), ("firmware", "firmware")):
        if f"/obj/{folder}/" in file:
            return group
    return "library"


def flash_by_part(map_text: str) -> dict[str, int]:
    """Bytes of code and constants of each part of the image, from the text of its linker map."""
    # What the linker dropped stands above this heading, with the addresses of nothing.
    kept = map_text.partition("Linker script and memory map")[2]
    joined = re.sub(r"^( \.\S+)\n\s+", r"\1 ", kept, flags=re.MULTILINE)
    parts: dict[str, int] = {}
    for section, _, size, file in _MAP_SECTION.findall(joined):
        if section.startswith(_CODE) and int(size, 16):
            group = _group(file)
            parts[group] = parts.get(group, 0) + int(size, 16)
    return parts


def sizes(elf: Path) -> Sizes:
    """Sizes of the image ``elf``, beside which its linker map lies as ``<stem>.map``."""
    from elftools.elf.elffile import ELFFile
    from elftools.elf.sections import SymbolTableSection

    total = dict.fromkeys(("text", "rodata", "data", "bss", "stack"), 0)
    symbols: dict[str, int] = {}
    with elf.open("rb") as file:
        image = ELFFile(file)
        for section in image.iter_sections():
            kind = {".vectors": "text", ".ARM.exidx": "rodata"}.get(section.name, section.name.lstrip("."))
            if kind in total:
                total[kind] += section["sh_size"]
        table = image.get_section_by_name(".symtab")
        if isinstance(table, SymbolTableSection):
            for symbol in table.iter_symbols():
                if symbol["st_info"]["type"] == "STT_FUNC" and symbol.name.startswith("ebnn_"):
                    symbols[symbol.name] = symbols.get(symbol.name, 0) + symbol["st_size"]
    linker_map = elf.with_suffix(".map")
    groups = flash_by_part(linker_map.read_text(encoding="utf-8")) if linker_map.is_file() else {}
    return Sizes(**total, symbols=dict(sorted(symbols.items())), groups=dict(sorted(groups.items())))
