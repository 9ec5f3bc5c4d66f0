"""The C hooks: compiled with the host compiler on first use, kept in a cache folder.

A Python hook would be called for every block and make a run some tens of times slower.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from edgebnn.errors import ToolchainError

_SOURCE = Path(__file__).with_name("block_hook.c")
_FLAGS = ("-O2", "-std=c99", "-shared", "-fPIC")


class Block(ctypes.Structure):
    """``block_t`` of block_hook.c: executions and taken exits of one translated block."""

    _fields_ = [
        ("count", ctypes.c_uint64),
        ("taken", ctypes.c_uint64),
        ("address", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
    ]


class BlockState(ctypes.Structure):
    """``block_state_t`` of block_hook.c."""

    _fields_ = [
        ("blocks", ctypes.c_void_p),
        ("previous", ctypes.c_void_p),
        ("dropped", ctypes.c_uint64),
        ("executed", ctypes.c_uint64),
        ("mask", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
    ]


class Range(ctypes.Structure):
    """``range_t``: bytes start .. end - 1 that may be read, and written if ``writable``."""

    _fields_ = [("start", ctypes.c_uint32), ("end", ctypes.c_uint32), ("writable", ctypes.c_uint32)]


class AccessState(ctypes.Structure):
    """``access_state_t``."""

    _fields_ = [
        ("ranges", ctypes.c_void_p),
        ("blocks", ctypes.c_void_p),
        ("read_register", ctypes.c_void_p),
        ("write_register", ctypes.c_void_p),
        ("xpsr", ctypes.c_int),
        ("n_ranges", ctypes.c_uint32),
        ("last", ctypes.c_uint32),
        ("violations", ctypes.c_uint32),
        ("address", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        ("write", ctypes.c_uint32),
        ("block", ctypes.c_uint32),
    ]


def cache_folder() -> Path:
    """Folder for compiled hooks and linked images; EDGEBNN_CACHE overrides the user's cache folder."""
    chosen = os.environ.get("EDGEBNN_CACHE")
    base = (
        Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "edgebnn"
    )
    try:
        base.mkdir(parents=True, exist_ok=True)
        if os.access(base, os.W_OK):
            return base
    except OSError:
        pass
    fallback = Path(tempfile.gettempdir()) / f"edgebnn-{os.getuid() if hasattr(os, 'getuid') else 0}"
    fallback.mkdir(parents=True, exist_ok=True)
    return fallback


def load_hook() -> ctypes.CDLL:
    """The hooks as a library. Raises ToolchainError without a C compiler for the host."""
    text = _SOURCE.read_bytes()
    key = hashlib.sha256(text + sys.platform.encode() + " ".join(_FLAGS).encode()).hexdigest()[:16]
    library = cache_folder() / f"block_hook-{key}.so"
    if not library.exists():
        compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        if not compiler:
            raise ToolchainError("estimate: no C compiler for the host", "install gcc or clang, or set CC")
        part = library.with_suffix(f".{os.getpid()}.part")
        command = [compiler, *_FLAGS, "-o", str(part), str(_SOURCE)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            part.unlink(missing_ok=True)
            line = (done.stderr.strip() or "no message").splitlines()[0]
            raise ToolchainError(
                f"estimate: the instruction counter does not compile: {line}", "check the host's C compiler"
            )
        part.replace(library)
    return ctypes.CDLL(str(library))
