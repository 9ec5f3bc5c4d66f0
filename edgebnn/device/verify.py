"""Runs a converted model on an emulated board or over a port, for comparison with other executions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgebnn.device.build import build
from edgebnn.device.client import Device, Tensor
from edgebnn.device.qemu import Qemu

OUTPUT = "output"


def run_on_device(
    device: Device, inputs: list[bytes], *, layers: bool = True, progress: Callable[[int], None] | None = None
) -> list[dict[str, Tensor]]:
    """Runs each input (``Info.input_bytes`` bytes as they lie in memory) and reads tensors back.

    Returns, per input, the tensors by layer name in execution order (a layer's second output has ``:2`` behind
    the name), and the model's output under ``"output"``; with ``layers`` False the output alone, which is
    quicker. ``progress`` is given the number
    of inputs done.
    """
    results: list[dict[str, Tensor]] = []
    for i, data in enumerate(inputs):
        device.load(data)
        dumped = device.dump_all() if layers else [device.dump(OUTPUT)]
        tensors = {tensor.name: tensor for tensor in dumped}
        # the last layer's output is the model's
        tensors[OUTPUT] = [tensor for tensor in dumped if not tensor.name.endswith(":2")][-1]
        results.append(tensors)
        if progress is not None:
            progress(i + 1)
    return results


def run_on_emulator(
    folder: Path,
    board: str,
    inputs: list[bytes],
    *,
    layers: bool = True,
    progress: Callable[[int], None] | None = None,
) -> list[dict[str, Tensor]]:
    """Builds the model in ``folder`` for ``board``, boots it once in the emulator and runs all ``inputs``.

    Result as of run_on_device(). Raises UsageError, ModelError, ToolchainError, DeviceError.
    """
    image = build(folder, board)
    with Qemu(image.elf, board) as emulator, emulator.connect() as device:
        return run_on_device(device, inputs, layers=layers, progress=progress)
