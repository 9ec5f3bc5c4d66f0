"""``edgebnn doctor``: what this machine has for edgebnn, what it lacks, and how to get it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgebnn import __version__
from edgebnn.cli.common import console, emit_json, json_option

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class Tool:
    """A program that some command starts. ``package``: what to install on Debian and Ubuntu."""

    name: str
    purpose: str
    package: str


COMPILERS = (
    Tool("gcc", "the host runtime, verify --on c", "gcc"),
    Tool("clang", "make sanitize", "clang"),
    Tool("make", "projects emitted for a target with an operating system", "make"),
    Tool("arm-none-eabi-gcc", "firmware, estimate", "gcc-arm-none-eabi libnewlib-arm-none-eabi"),
    Tool("aarch64-linux-gnu-gcc", "--target aarch64", "gcc-aarch64-linux-gnu libc6-dev-arm64-cross"),
    Tool("arm-linux-gnueabihf-gcc", "--target armv7-neon", "gcc-arm-linux-gnueabihf libc6-dev-armhf-cross"),
)
EMULATORS = (
    Tool("qemu-system-arm", "boards without hardware: --emulate", "qemu-system-arm"),
    Tool("qemu-aarch64", "AArch64 programs on this machine", "qemu-user"),
    Tool("qemu-arm", "Armv7 programs on this machine", "qemu-user"),
)
#: distribution: (what needs it, extra of edgebnn that installs it)
PACKAGES = {
    "torch": ("train, convert of checkpoints, bench", "train"),
    "scikit-learn": ("train digits", "train"),
    "pyserial": ("boards", "device"),
    "unicorn": ("estimate", "emulate"),
    "capstone": ("estimate", "emulate"),
    "pyelftools": ("build, estimate", "firmware"),
    "scons": ("build", "firmware"),
    "tflite-runtime": ("comparison with TFLite's kernels", "tflite"),
    "ai-edge-litert": ("comparison with TFLite's kernels, from Python 3.12 on", "tflite"),
}
#: any of a group is enough
ALTERNATIVES = (("tflite-runtime", "ai-edge-litert"),)


def _first_line(path: str) -> str | None:
    """What the program says of its version; None where it does not run."""
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = done.stdout.splitlines()
    return lines[0].strip() if lines and done.returncode == 0 else None


def _tool(tool: Tool) -> dict[str, Any]:
    path = shutil.which(tool.name)
    version = _first_line(path) if path else None
    missing = {"get": f"sudo apt-get install {tool.package}"} if path is None else {}
    return {"name": tool.name, "path": path, "version": version, "for": tool.purpose, **missing}


def _package(name: str) -> dict[str, Any]:
    purpose, extra = PACKAGES[name]
    try:
        return {"name": name, "version": metadata.version(name), "for": purpose}
    except metadata.PackageNotFoundError:
        return {"name": name, "version": None, "for": purpose, "get": f"pip install 'edgebnn[{extra}]'"}


def _peer(program: str, python: str | None) -> dict[str, Any]:
    """A peer of bench, in this environment or for the interpreter that is given."""
    from edgebnn.bench import optional
    from edgebnn.errors import UsageError

    peer = next(p for p in optional.PEERS if p.program == program)
    entry: dict[str, Any] = {"name": peer.name, "for": "bench", "python": None, "version": None}
    try:
        found = optional.probe(peer, python)
    except UsageError as error:
        return {**entry, "error": str(error), "get": error.hint}
    entry["python"] = found.contender.python
    if found.error:
        return {**entry, "error": found.error, "get": optional.get(peer)}
    return {**entry, "version": " ".join(found.versions.values())}


def _isa() -> dict[str, Any]:
    """The instruction sets of kernels.def that this processor has, and the one that is used first."""
    from edgebnn import targets
    from edgebnn.errors import UsageError
    from edgebnn.targets import cpu

    wanted = os.environ.get(cpu.VARIABLE) or None
    try:
        used: str | None = targets.load("host").isa[0]
        error = {}
    except UsageError as failure:
        used, error = None, {"error": str(failure)}
    every = targets.native()
    return {
        "used": used,
        "available": [isa for isa in every if cpu.supports(isa)],
        "lacking": [isa for isa in every if not cpu.supports(isa)],
        "variable": {"name": cpu.VARIABLE, "value": wanted},
        **error,
    }


def _runtime() -> dict[str, Any]:
    from edgebnn.errors import ToolchainError
    from edgebnn.host.runtime import kernel_table

    try:
        return {"built": True, "kernels": len(kernel_table())}
    except ToolchainError as error:
        return {"built": False, "kernels": 0, "error": str(error), "get": error.hint}


def _ports() -> list[dict[str, Any]]:
    """Serial ports, empty without pyserial (which the packages then name as missing)."""
    try:
        from serial.tools import list_ports
    except ModuleNotFoundError:
        return []
    return [{"name": port.device, "description": port.description} for port in sorted(list_ports.comports())]


def _data() -> dict[str, Any]:
    folder = os.environ.get("EDGEBNN_DATA") or None
    there = folder is not None and Path(folder).is_dir()
    get = {} if there else {"get": "set EDGEBNN_DATA to a folder of data sets, see 'edgebnn data --help'"}
    return {"name": "EDGEBNN_DATA", "folder": folder, "exists": there, **get}


def examine(pythons: dict[str, str | None] | None = None) -> dict[str, Any]:
    """The whole report as JSON values. "missing" lists what has a "get". ``pythons``: interpreters of bench's peers by
    the peer's name in options."""
    from edgebnn.bench.optional import PEERS
    from edgebnn.bench.report import cpu_name
    from edgebnn.targets import cpu

    packages = [_package(name) for name in PACKAGES]
    present = {p["name"] for p in packages if p["version"]}
    for group in ALTERNATIVES:
        if present & set(group):
            packages = [p for p in packages if p["name"] not in group or p["version"]]
    report: dict[str, Any] = {
        "edgebnn": __version__,
        "python": platform.python_version(),
        "system": platform.platform(terse=True),
        "cpu": {
            "name": cpu_name(),
            "machine": platform.machine(),
            "threads": os.cpu_count(),
            "features": sorted(cpu.features()),
        },
        "isa": _isa(),
        "runtime": _runtime(),
        "compilers": [_tool(tool) for tool in COMPILERS],
        "emulators": [_tool(tool) for tool in EMULATORS],
        "packages": packages,
        "peers": [_peer(peer.program, (pythons or {}).get(peer.program)) for peer in PEERS],
        "ports": _ports(),
        "data": _data(),
    }
    entries = [
        {"name": "host runtime", "for": "run, eval, verify", **report["runtime"]},
        *report["compilers"],
        *report["emulators"],
        *packages,
        *report["peers"],
        {"for": "data sets", **report["data"]},
    ]
    report["missing"] = [{key: e[key] for key in ("name", "for", "get")} for e in entries if "get" in e]
    return report


@click.command(epilog="Example: edgebnn doctor --json")
@click.option("--litert-python", metavar="PROGRAM", help="Python that has LiteRT [as for bench].")
@click.option("--larq-python", metavar="PROGRAM", help="Python that has Larq Compute Engine [as for bench].")
@json_option
def doctor(litert_python: str | None, larq_python: str | None, as_json: bool) -> None:
    """Show what this machine has for edgebnn: instruction sets, compilers, emulators, ports, packages.

    Peers of bench are looked for in this environment, or in those of the interpreters given. Says what is missing,
    what it would be for and how to get it. Nothing listed is needed by every command.
    """
    report = examine({"litert": litert_python, "larq": larq_python})
    if as_json:
        emit_json(report)
        return
    out = console()
    cpu, isa = report["cpu"], report["isa"]
    out.print(f"edgebnn {report['edgebnn']}, Python {report['python']}, {report['system']}", soft_wrap=True)
    out.print(f"processor: {cpu['name']} ({cpu['machine']}), {cpu['threads']} threads", soft_wrap=True)
    used = isa["used"] or isa["error"]
    out.print(f"instruction set: {used}; available: {', '.join(isa['available'])}", soft_wrap=True)
    ports = ", ".join(port["name"] for port in report["ports"]) or "none"
    out.print(f"serial ports: {ports}; EDGEBNN_DATA: {report['data']['folder'] or 'not set'}", soft_wrap=True)
    out.print(_found(report))
    for entry in report["missing"]:
        out.print(f"missing: {entry['name']}, for {entry['for']}", soft_wrap=True, markup=False)
        out.print(f"    {entry['get']}", soft_wrap=True, markup=False)


def _found(report: dict[str, Any]) -> Table:
    """The tools and packages that are there."""
    from rich.table import Table

    table = Table("found", "version", "for", box=None, pad_edge=False)
    for entry in (*report["compilers"], *report["emulators"], *report["packages"], *report["peers"]):
        if "get" not in entry:
            version = re.search(r"\d+(\.\d+)+[\w.-]*", entry["version"] or "")
            table.add_row(entry["name"], version[0] if version else "-", entry["for"])
    return table
