"""Finds the C trees: inside this package when installed from a wheel, beside ``edgebnn/`` in a checkout."""

from __future__ import annotations

import re
from pathlib import Path


def _find(tree: str, marker: str) -> Path:
    here = Path(__file__).resolve().parent
    for base in (here, here.parent.parent):
        if (base / tree / marker).exists():
            return base / tree
    raise FileNotFoundError(f"{tree}/{marker}: the installation of edgebnn is incomplete")


def kernels_dir() -> Path:
    """Folder of the C kernels and the run loop: ``include/``, ``src/`` and ``kernels.def``."""
    return _find("cmsis_kernels", "include/ebnn.h")


def firmware_dir() -> Path:
    """Folder of the firmware: ``SConstruct``, the application, startup code and ``boards/``."""
    return _find("firmware", "SConstruct")


def abi() -> int:
    """EBNN_ABI of the C sources."""
    found = re.search(r"^#define EBNN_ABI (\d+)$", (kernels_dir() / "include" / "ebnn.h").read_text(), re.M)
    assert found is not None
    return int(found[1])
