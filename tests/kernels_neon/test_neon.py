"""Every kernel of the NEON targets, bit for bit against the NumPy reference, under user-mode emulation; processors
with and without SDOT. Inputs end at a page that cannot be read, outputs and scratch lie between guards."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import test_wide
from kernels_emulated import blob, boards, cases

from edgebnn import csrc, targets
from edgebnn.estimate.layout import Arm32, Arm64
from edgebnn.plan.kernels import Kernel, kernels
from edgebnn.plan.sources import sources

ADDRESS = 0x20000000
HERE = Path(__file__).resolve().parent
#: calls of each kernel; others 12
CALLS = {"bconv2d": 120, "conv2d": 80, "depthwise_conv2d": 60}
LARGEST = 1 << 20  # bytes of parameters and tensors of a call
_64 = ("qemu-aarch64", Arm64)
EMULATORS = {"aarch64": _64, "cortex-a53": _64, "cortex-a76": _64, "armv7-neon": ("qemu-arm", Arm32)}
TARGETS = [
    pytest.param(
        name,
        cpu,
        marks=pytest.mark.skipif(
            not (shutil.which(EMULATORS[name][0]) and shutil.which(targets.load(name).compiler)),
            reason=f"needs {EMULATORS[name][0]} and {targets.load(name).compiler}",
        ),
    )
    for name, cpu in (
        ("aarch64", "max"),
        ("aarch64", "cortex-a53"),
        ("cortex-a53", "cortex-a53"),
        ("cortex-a76", "max"),
        ("armv7-neon", "cortex-a7"),
    )
]


def build(target: targets.Target, folder: Path) -> Path:
    """The test program with every kernel of the target."""
    root = csrc.kernels_dir()
    wanted = [k.symbol for k in kernels().values() if k.isa in target.isa]
    table = (f"{k.symbol if k.symbol in wanted else '0'},\n" for k in kernels().values())
    (folder / "kernel_table.h").write_text("".join(table))
    parts = (f"{int(k.isa == 'neon' and k.op != 'layout')},\n" for k in kernels().values())
    (folder / "kernel_parts.h").write_text("".join(parts))
    headers = "".join(p.read_text() for p in (root / "include").glob("*.h"))
    sized = (
        k.symbol in wanted and k.isa == "neon" and f"{k.symbol}_get_buffer_size(" in headers
        for k in kernels().values()
    )
    sizes = (f"{s}_get_buffer_size,\n" if yes else "0,\n" for s, yes in zip(kernels(), sized, strict=True))
    (folder / "kernel_sizes.h").write_text("".join(sizes))
    command = [
        target.compiler,
        *target.cflags,
        "-std=gnu99",
        "-O1",
        "-static",
        f"-DTABLE_ADDRESS={ADDRESS:#x}",
    ]
    command += [
        f"-I{folder}",
        f"-I{root}",
        *(f"-I{root / p}" for p in ("include", "src", "src/core", "src/portable")),
    ]
    objects = []
    for source in [HERE / "runner.c", *(root / s for s in sources(wanted))]:
        objects.append(folder / f"{source.parent.name}_{source.stem}.o")
        subprocess.run([*command, "-c", source, "-o", objects[-1]], check=True)
    subprocess.run([*command, *objects, "-o", folder / "program"], check=True)
    return folder / "program"


def run(name: str, cpu: str, program: Path, calls: list[blob.KernelCall]) -> tuple[int, dict[int, str]]:
    """How many calls ran, and the failed ones."""
    emulator, arm = EMULATORS[name]
    table = program.parent / "table"
    table.write_bytes(blob.table(calls, ADDRESS, list(kernels()), arm()))
    command = [emulator, "-cpu", cpu, program, table]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    return boards.outcome(name, done.stdout)


def large_calls(target: targets.Target) -> list[blob.KernelCall]:
    """Low-bit layers of more products than a byte can count, and of several blocks of pixels."""
    rng = np.random.default_rng(3)
    one = {"stride": (1, 1), "pads": (0, 0, 0, 0)}
    shapes = (
        ((1, 1, 4500, 9), {"kernel": (1, 1), **one}),
        ((1, 2, 4100, 5), {"kernel": (1, 1), **one}),
        ((2, 3, 700, 6), {"kernel": (2, 3), **one}),
        ((23, 29, 5, 7), {"kernel": (3, 3), "stride": (1, 1), "pads": (1, 1, 1, 1)}),
    )
    calls = []
    for shape, window in shapes * 4:
        graph = test_wide.layer(rng, shape, **window)
        for kernel in (k for k in kernels().values() if k.isa == "neon" and k.op == "bconv2d"):
            for choice in cases.choices(graph, target, kernel, "speed")[:1]:
                calls.append(cases.call(graph, choice, kernel.struct, rng, cases.describe(graph, choice)))
    return calls


@pytest.mark.emulator
@pytest.mark.slow
@pytest.mark.parametrize(("name", "cpu"), TARGETS)
def test_kernels_match_the_reference(name: str, cpu: str, tmp_path: Path) -> None:
    target = dataclasses.replace(targets.load(name), isa=("neon",))

    def calls_of(kernel: Kernel) -> int:
        return CALLS.get(kernel.op, 12)

    calls, unreached = cases.random_calls(target, calls_of, LARGEST, LARGEST, seed=len(name + cpu))
    assert not unreached, f"the planner proposed {unreached} for no random layer"
    calls += large_calls(target)
    ran, failed = run(name, cpu, build(target, tmp_path), calls)
    wrong = [f"{reason}: {calls[i].label}" for i, reason in failed.items()]
    assert not wrong, f"{len(wrong)} of {len(calls)} calls differ:\n" + "\n".join(wrong[:10])
    assert ran == len(calls) >= 400


@pytest.mark.emulator
@pytest.mark.parametrize(("name", "cpu"), [TARGETS[0], TARGETS[-1]])
def test_the_program_notices_mistakes(name: str, cpu: str, tmp_path: Path) -> None:
    """A flipped bit, a write past the end, and an input that is shorter than the kernel thinks."""
    target = dataclasses.replace(targets.load(name), isa=("portable",))
    found, _ = cases.random_calls(target, lambda k: 60 if k.op == "quantize" else 0, LARGEST, LARGEST)
    first = next(
        c for c in found if len(c.inputs[0]) > 16 and len(c.inputs[0]) % 16 == 0 and len(c.outputs[0]) > 1
    )
    out = first.outputs[0]
    calls = [
        first,
        dataclasses.replace(first, outputs=[bytes([out[0] ^ 1]) + out[1:]]),
        dataclasses.replace(first, outputs=[out[:-1]]),
        dataclasses.replace(first, inputs=[first.inputs[0][:-16]]),
    ]
    ran, failed = run(name, cpu, build(target, tmp_path), calls)
    assert ran == 4 and set(failed) == {1, 2, 3}
    assert "output differs" in failed[1] and "outside" in failed[2] and failed[3].startswith("fault")
