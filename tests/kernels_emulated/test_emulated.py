"""Every kernel, bit for bit against the NumPy reference, on six emulated Cortex-M cores.

Each core boots an image with all kernels it can run, compiled as for a product, and a table of at least 300
random calls. Outputs are compared on the core, between guards; inputs must keep their checksum, and the kernel's
*_get_buffer_size must be the scratch that the planner gives.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from edgebnn import targets
from edgebnn.estimate.layout import Arm32
from edgebnn.plan.kernels import Kernel, kernels

from . import blob, boards, cases

pytestmark = pytest.mark.skipif(boards.missing_tool() is not None, reason=f"needs {boards.missing_tool()}")

_CALLS = {"bconv2d": 50, "conv2d": 40, "depthwise_conv2d": 30}  # of each kernel; others 20
_LARGEST = 200_000  # bytes of parameters and tensors of a call


def _calls_of(kernel: Kernel) -> int:
    return _CALLS.get(kernel.op, 20)


@pytest.mark.parametrize("board", boards.BOARDS, ids=lambda b: b.target)
def test_kernels_match_the_reference(board: boards.Board, tmp_path: Path) -> None:
    elf = boards.build(board, tmp_path)
    calls, unreached = cases.random_calls(
        targets.load(board.target), _calls_of, board.work_size, min(_LARGEST, board.table_size // 4)
    )
    assert len(calls) >= 300
    arm = Arm32()
    wrong = []
    for part in blob.batches(calls, board.table_size):
        ran, failed = boards.run(board, elf, blob.table(part, board.table, list(kernels()), arm), tmp_path)
        wrong += [f"{reason}: {part[i].label}" for i, reason in failed.items()]
        assert ran == len(part), f"{board.machine} stopped after {ran} of {len(part)} calls: {wrong[-1]}"
    assert not wrong, f"{len(wrong)} of {len(calls)} calls differ:\n" + "\n".join(wrong[:10])
    assert not unreached, f"the planner proposed {unreached} for too few random layers"


def test_the_image_notices_wrong_outputs(tmp_path: Path) -> None:
    """The comparison itself: a flipped bit and a write past the end are found."""
    board = boards.BOARDS[1]
    elf = boards.build(board, tmp_path)
    target = targets.load(board.target)
    good, _ = cases.random_calls(
        target,
        lambda k: 3 if k.op == "quantize" else 0,
        board.work_size,
        min(_LARGEST, board.table_size // 4),
    )
    first = good[0]
    flipped = bytes([first.outputs[0][0] ^ 1]) + first.outputs[0][1:]
    bad = blob.KernelCall("flipped", *_fields(first), outputs=[flipped], scratch=0)
    short = blob.KernelCall("short", *_fields(first), outputs=[first.outputs[0][:-1]], scratch=0)
    greedy = dataclasses.replace(first, scratch=4)
    ran, failed = boards.run(
        board, elf, blob.table([first, bad, short, greedy], board.table, list(kernels()), Arm32()), tmp_path
    )
    assert ran == 4
    assert set(failed) == {1, 2, 3}
    assert "output differs" in failed[1] and "outside" in failed[2]
    assert failed[3] == "scratch size; asks for 0 bytes, the planner gives 4"


def _fields(call: blob.KernelCall) -> tuple[Any, ...]:
    return call.kernel, call.struct, call.params, call.inputs


@pytest.mark.parametrize("board", [boards.BOARDS[0], boards.BOARDS[-1]], ids=lambda b: b.target)
def test_the_image_notices_reading_past_an_input(board: boards.Board, tmp_path: Path) -> None:
    """An input that is 16 bytes shorter than the kernel thinks: the read past it is a bus fault.

    So it is on the M0 and M55 boards; the others answer 0 there, and their kernels are covered by test_bounds.
    """
    elf = boards.build(board, tmp_path)
    calls, _ = cases.random_calls(
        targets.load(board.target), lambda k: 60 if k.op == "quantize" else 0, board.work_size, 4000
    )
    call = next(c for c in calls if len(c.inputs[0]) % 16 == 0 and len(c.inputs[0]) > 16)
    short = dataclasses.replace(call, inputs=[call.inputs[0][:-16]])
    ran, failed = boards.run(board, elf, blob.table([short], board.table, list(kernels()), Arm32()), tmp_path)
    assert ran == 1 and failed[0].startswith("fault")
