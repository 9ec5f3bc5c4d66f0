"""Builds firmware: runs the firmware's own SCons build and reports the sizes of the image."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from edgebnn.csrc import firmware_dir
from edgebnn.device import boards, model_folder
from edgebnn.device.elf import Sizes, sizes
from edgebnn.errors import ModelError, ToolchainError, UsageError

COMPILER = "arm-none-eabi-gcc"
APT_HINT = "apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi"
_OVERFLOW = re.compile(r"region `(\w+)' overflowed by (\d+) bytes")
_SECONDS = 600


@dataclass(frozen=True)
class BuildResult:
    """A firmware image."""

    board: str
    elf: Path
    sizes: Sizes


def _check_tools(compiler: str) -> None:
    if importlib.util.find_spec("SCons") is None:
        raise ToolchainError("SCons is not installed", "pip install 'edgebnn[firmware]'")
    if shutil.which(compiler) is None:
        raise ToolchainError(f"the C compiler {compiler} is not installed", APT_HINT)


def _failure(output: str, folder: Path, board: boards.Board) -> Exception:
    """The error that a failed build's output means."""
    overflow = _OVERFLOW.search(output)
    if overflow:
        region = {"FLASH": ("flash", board.flash_size), "RAM": ("RAM", board.ram_size)}
        what, size = region.get(overflow[1], (overflow[1], 0))
        return ModelError(
            f"{folder}: does not fit {board.name}: {what} of {size} bytes exceeded by {overflow[2]} bytes",
            "use a smaller model or a board with more memory, see 'edgebnn boards'",
        )
    if re.search(r"fatal error: (string|stdint|stddef)\.h|cannot find -lc", output):
        return ToolchainError("the C library of the cross compiler is not installed", APT_HINT)
    lines = output.splitlines()
    cause = next((line for line in lines if re.search(r"\berror:|undefined reference", line)), "")
    cause = (cause or (lines[-1] if lines else "no output")).strip().removeprefix("error: ")
    by_hand = f"scons -C {firmware_dir()} board={board.name} model={folder.resolve()}"
    return ToolchainError(
        f"{folder}: the firmware does not build: {cause}",
        f"run 'edgebnn convert' again; to see everything: {by_hand}",
    )


def build(
    folder: Path,
    board: str,
    out: Path | None = None,
    *,
    opt: str = "2",
    kernel_opt: str | None = None,
    mode: str = "performance",
    mlperf_model: str = "",
    compiler: str = COMPILER,
) -> BuildResult:
    """Builds the firmware of the converted model in ``folder`` for ``board``.

    ``out`` (default ``folder/build/<board>``) receives ``firmware.elf`` and ``firmware.map``; a second
    build compiles only what changed. ``opt`` and ``kernel_opt`` (default: ``opt``) are gcc levels
    ("0".."3", "s") of the runtime with the model, and of the kernels. ``mode`` is "performance" or "energy"
    (sync edges for a power meter instead of time stamps). ``mlperf_model``: the model name to tell the
    MLPerf Tiny runner.

    Raises UsageError (no such folder or board, model of another target), ModelError (a damaged folder, an
    image that does not fit the board), ToolchainError (no compiler, no SCons, C code that does not
    compile).
    """
    model = model_folder.read(folder)
    description = boards.load(board)
    if model.target is not None and not _runs_on(model.target, description.target):
        raise UsageError(
            f"{folder}: converted for {model.target}, but {board} is a {description.target}",
            f"convert with '--target {description.target}' or choose another board, see 'edgebnn boards'",
        )
    _check_tools(compiler)
    out = out if out is not None else folder / "build" / board
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file", "give a folder for the build")
    command = [
        *(sys.executable, "-m", "SCons", "-Q", "-f", str(firmware_dir() / "SConstruct")),
        *("-C", str(firmware_dir()), f"board={board}", f"model={folder.resolve()}", f"out={out.resolve()}"),
        *(f"opt={opt}", f"kernel_opt={kernel_opt or opt}", f"mode={mode}", f"mlperf={mlperf_model}"),
        f"cc={compiler}",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise ToolchainError(f"{folder}: the build took more than {_SECONDS} s", None) from error
    elf = out / "firmware.elf"
    if done.returncode != 0:
        raise _failure(done.stderr + done.stdout, folder, description)
    return BuildResult(board, elf, sizes(elf))


# A processor runs what was planned for these others, too.
_ALSO_RUNS = {
    "cortex-m0": ("cortex-m0plus",),
    "cortex-m0plus": ("cortex-m0",),
    "cortex-m3": ("cortex-m0", "cortex-m0plus"),
    "cortex-m4": ("cortex-m0", "cortex-m0plus", "cortex-m3"),
    "cortex-m7": ("cortex-m0", "cortex-m0plus", "cortex-m3", "cortex-m4"),
    "cortex-m33": ("cortex-m0", "cortex-m0plus", "cortex-m3", "cortex-m4"),
    "cortex-m55": ("cortex-m0", "cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m33"),
}


def _runs_on(model_target: str, board_target: str) -> bool:
    return model_target == board_target or model_target in _ALSO_RUNS.get(board_target, ())
