"""Profiles a converted model on a board or emulator: one count per layer, in the unit the device states."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgebnn.device import boards, model_folder
from edgebnn.device.build import build
from edgebnn.device.client import Device, Info, LayerCounts
from edgebnn.device.qemu import Qemu
from edgebnn.errors import DeviceError, UsageError


@dataclass(frozen=True)
class LayerProfile:
    """One layer: medians over the runs, in the profile's unit."""

    name: str
    op: str
    kernel: str
    count: int
    macs: int


@dataclass(frozen=True)
class Profile:
    """Counts of a model on a board. ``unit`` is "cycles", or "instructions" for an emulated board."""

    board: str
    core: str
    status: str  # how far the board's port has been tried
    model: str
    unit: str
    clock_hz: int
    runs: int
    total: int  # median of whole inferences, run loop included
    minimum: int
    maximum: int
    stack_bytes: int
    layers: tuple[LayerProfile, ...]

    @property
    def emulated(self) -> bool:
        """True when counts are an emulator's instructions."""
        return self.unit == "instructions"

    @property
    def milliseconds(self) -> float | None:
        """Time of one inference; None for an emulator, whose counts are no time."""
        return None if self.emulated else 1e3 * self.total / self.clock_hz

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as ``edgebnn profile --json`` prints them."""
        document: dict[str, Any] = {
            "board": self.board,
            "unit": self.unit,
            "total": self.total,
            "layers": [
                {
                    "name": layer.name,
                    "op": layer.op,
                    "kernel": layer.kernel,
                    "count": layer.count,
                    "macs": layer.macs,
                }
                for layer in self.layers
            ],
            "core": self.core,
            "status": self.status,
            "model": self.model,
            "runs": self.runs,
            "min": self.minimum,
            "max": self.maximum,
            "stack_bytes": self.stack_bytes,
        }
        if self.milliseconds is not None:
            document["clock_hz"] = self.clock_hz
            document["ms"] = self.milliseconds
        return document


def summarise(info: Info, counts: LayerCounts, status: str) -> Profile:
    """The profile of ``counts`` measured on the device that ``info`` describes."""

    def median(values: tuple[int, ...]) -> int:
        return int(statistics.median_low(values))

    columns = zip(*counts.counts, strict=True) if counts.counts[0] else iter(())
    layers = tuple(
        LayerProfile(layer.name, layer.op, layer.kernel, median(column), layer.macs)
        for layer, column in zip(counts.layers, columns, strict=True)
    )
    return Profile(
        board=info.board,
        core=info.core,
        status=status,
        model=info.model,
        unit=info.unit,
        clock_hz=info.clock_hz,
        runs=len(counts.totals),
        total=median(counts.totals),
        minimum=min(counts.totals),
        maximum=max(counts.totals),
        stack_bytes=info.stack_bytes,
        layers=layers,
    )


def check_model(model: model_folder.ModelFolder, info: Info, url: str) -> None:
    """Raises DeviceError when the device runs another model than the folder holds."""
    crc = model.crc()
    if info.model != model.name or (crc is not None and info.model_crc != crc):
        detail = f"{info.model} (CRC {info.model_crc:08x})"
        raise DeviceError(
            f"{url}: the device runs another model than {model.path}: {detail}",
            "flash the firmware that 'edgebnn build' makes of this folder",
        )


def sample_input(size: int) -> bytes:
    """``size`` bytes of noise, the same every time: an input for models whose time does not depend on it."""
    return random.Random(0).randbytes(size)


def profile(
    folder: Path,
    *,
    emulate: str | None = None,
    port: str | None = None,
    baud: int | None = None,
    runs: int = 1,
    data: bytes | None = None,
    progress: Callable[[Profile], None] | None = None,
    message: Callable[[str], None] | None = None,
) -> Profile:
    """Profiles the model in ``folder`` on the emulated board ``emulate`` (built first) or the device at
    ``port``.

    ``data``: the input, as it lies in memory (default: sample_input). ``progress`` is given the profile so
    far, a few times a second, ``message`` a line about what begins.

    Raises UsageError, ModelError, ToolchainError, DeviceError.
    """
    if (emulate is None) == (port is None):
        raise UsageError("give either a board to emulate or a port", "for example '--emulate mps2-an386'")
    if runs < 1:
        raise UsageError(f"{runs} runs: must be at least 1", None)
    model = model_folder.read(folder)
    tell = message or (lambda _: None)
    with ExitStack() as stack:
        if emulate is not None:
            tell(f"building {model.name} for {emulate}")
            image = build(folder, emulate)
            tell(f"starting {emulate} in QEMU")
            emulator = stack.enter_context(Qemu(image.elf, emulate))
            device = stack.enter_context(emulator.connect())
        else:
            assert port is not None
            tell(f"connecting to {port}")
            device = stack.enter_context(Device(port, baud or 115200))
        info = device.info()
        check_model(model, info, device.url)
        status = boards.load(info.board).status if info.board in boards.names() else "unknown board"
        data = data if data is not None else sample_input(info.input_bytes)
        if len(data) != info.input_bytes:
            raise UsageError(f"the input has {len(data)} bytes, the model takes {info.input_bytes}", None)
        device.load(data)

        def show(counts: LayerCounts) -> None:
            if progress is not None:
                progress(summarise(info, counts, status))

        counts = device.layers(runs, show)
        return summarise(device.info(), counts, status)
