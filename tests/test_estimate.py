"""The instruction counter against QEMU, the cycle tables against hand counts, the command's contract."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("unicorn")
pytest.importorskip("capstone")
pytest.importorskip("elftools")

from click.testing import CliRunner

from edgebnn import ir, targets
from edgebnn.cli.estimate import clock_hz, estimate
from edgebnn.emit import emit
from edgebnn.errors import ToolchainError, UsageError
from edgebnn.estimate import cost, image
from edgebnn.estimate.machine import CPUS, Machine
from edgebnn.estimate.model import ModelMachine
from edgebnn.estimate.model import estimate as estimate_model
from edgebnn.estimate.planned import PlannedMachine, plan_cost
from edgebnn.ir.reference import run as run_reference
from edgebnn.ir.storage import from_bytes, to_bytes
from edgebnn.plan import plan

needs_gcc = pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="needs arm-none-eabi-gcc")
needs_qemu = pytest.mark.skipif(not shutil.which("qemu-system-arm"), reason="needs qemu-system-arm")

# Thumb code by hand, as halfwords
LDR_R0_R1, LDR_R2_R3, LDR_R2_R0 = 0x6808, 0x681A, 0x6802
STR_R0_R1, STR_R0_R1_R2 = 0x6008, 0x5088
ADDS_R0_R0_1, MULS_R0_R1, BX_LR, NOP, IT_EQ = 0x1C40, 0x4348, 0x4770, 0xBF00, 0xBF08
PUSH_R4_R7_LR, POP_R4_R7_PC, LDMIA_R0_R1_R3 = 0xB5F0, 0xBDF0, 0xC80E


def words(*halfwords: int) -> bytes:
    return b"".join(h.to_bytes(2, "little") for h in halfwords)


@pytest.mark.parametrize(
    ("code", "nominal", "high"),
    [
        ((ADDS_R0_R0_1, MULS_R0_R1, NOP), 3, 3),
        ((LDR_R0_R1,), 2, 2),
        ((LDR_R0_R1, LDR_R2_R3), 3, 3),  # pipelined
        ((LDR_R0_R1, LDR_R2_R0), 4, 4),  # the address depends on the load before
        ((LDR_R0_R1, NOP, LDR_R2_R3), 5, 5),
        ((ADDS_R0_R0_1, LDR_R2_R0), 3, 4),  # the address comes from the ALU: a stall in the upper bound
        ((STR_R0_R1,), 1, 1),
        ((STR_R0_R1_R2,), 2, 2),
        ((LDR_R2_R3, STR_R0_R1), 3, 3),
        ((PUSH_R4_R7_LR,), 6, 6),
        ((POP_R4_R7_PC,), 6, 6),
        ((LDMIA_R0_R1_R3,), 4, 4),
        ((0xFB20, 0xF101), 1, 1),  # smuad r1, r0, r1
        ((0xFBE0, 0x2301), 1, 1),  # umlal r2, r3, r0, r1
        ((0xFBB0, 0xF0F1), 7, 12),  # udiv r0, r0, r1
        ((0xE9D0, 0x1200), 3, 3),  # ldrd r1, r2, [r0]
        ((IT_EQ, LDR_R0_R1), 3, 3),
    ],
)
def test_cortex_m4_table(code: tuple[int, ...], nominal: int, high: int) -> None:
    """Costs of the Cortex-M4 manual, written down by hand."""
    cycles = cost.block_cost(words(*code), 0x100, cost.TABLES["cortex-m4"]).cycles
    assert (cycles.nominal, cycles.high) == (nominal, high)
    assert cycles.low <= cycles.nominal


def test_tables_of_other_cores() -> None:
    """Long multiplies on the M3; loads, stores, calls and the slow multiplier on the M0+."""
    umlal = words(0xFBE0, 0x2301)
    assert cost.block_cost(umlal, 0, cost.TABLES["cortex-m3"]).cycles == cost.Cycles(4, 5, 7)
    m0 = cost.TABLES["cortex-m0plus"]
    assert cost.block_cost(words(LDR_R0_R1, LDR_R2_R3, STR_R0_R1), 0, m0).cycles == cost.Cycles(6, 6, 6)
    assert cost.block_cost(words(MULS_R0_R1), 0, m0).cycles == cost.Cycles(1, 1, 32)
    assert cost.block_cost(words(POP_R4_R7_PC), 0, m0).cycles.nominal + m0.taken.nominal == 3 + 5
    assert set(cost.TABLES) == {"cortex-m0plus", "cortex-m3", "cortex-m4"}


def test_instructions_are_counted_by_their_first_halfword() -> None:
    assert cost.count_instructions(words(NOP, 0xFBE0, 0x2301, BX_LR)) == 3


@pytest.fixture(scope="module")
def loop_elf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A loop whose cost is known by hand."""
    source = tmp_path_factory.mktemp("loop") / "loop.c"
    source.write_text(
        '__attribute__((naked)) int loop(int n) { __asm__ volatile("mov r1, #0\\n'
        '1: add r1, r1, r0\\n subs r0, r0, #1\\n bne 1b\\n mov r0, r1\\n bx lr"); }\n'
        "int deep(int n) { volatile char a[100]; a[n] = 1; return a[n]; }\n"
        "int five(int a, int b, int c, int d, int e, int f) { return a + b + c + d - e * f; }\n"
        "int trap(void) { return *(volatile int *)0x70000000; }\n"
    )
    return image.link([source], "cortex-m4", flags=("-O1",))


@needs_gcc
def test_machine_counts_a_known_loop(loop_elf: Path) -> None:
    machine = Machine(loop_elf, "cortex-m4")
    trace = machine.call("loop", 10)
    assert trace.status == 55
    assert trace.instructions == 1 + 10 * 3 + 2
    assert trace.cycles is not None
    straight, taken = 1 + 10 * 3 + 2, 9 + 1  # nine times back, once back to the caller
    assert trace.cycles == cost.Cycles(straight + taken, straight + 2 * taken, straight + 3 * taken)
    assert machine.profile(trace) == {"loop": (trace.instructions, trace.cycles)}
    again = machine.call("loop", 10)
    assert (again.instructions, again.cycles) == (trace.instructions, trace.cycles)


@needs_gcc
def test_machine_arguments_stack_and_faults(loop_elf: Path) -> None:
    machine = Machine(loop_elf, "cortex-m4")
    assert machine.call("five", 1, 2, 3, 4, 5, 6).status == -20
    deep = machine.call("deep", 3)
    assert deep.status == 1
    assert 97 <= deep.stack <= 128
    with pytest.raises(ToolchainError, match=r"faults at trap\+"):
        machine.call("trap")
    assert machine.call("loop", 10).status == 55  # still usable
    with pytest.raises(UsageError, match="no symbol nowhere"):
        machine.call("nowhere")
    with pytest.raises(UsageError, match="no CPU z80"):
        Machine(loop_elf, "z80")


@pytest.fixture
def tiny_folder(tiny_graph: ir.Graph, tmp_path: Path) -> Path:
    """The small model converted for the Cortex-M0+, so that every core runs it."""
    folder = tmp_path / "converted"
    folder.mkdir()
    emit(plan(tiny_graph, targets.load("cortex-m0plus")), folder)
    return folder


@needs_gcc
@pytest.mark.parametrize("cpu", sorted(CPUS))
def test_the_counted_run_is_an_inference(cpu: str, tiny_graph: ir.Graph, tiny_folder: Path) -> None:
    """The counted run leaves the reference's output in the arena."""
    import numpy as np

    from edgebnn.estimate.model import link

    source = tiny_graph.tensors[tiny_graph.input]
    x = np.random.default_rng(3).integers(-128, 128, source.shape)
    runner = ModelMachine(link(tiny_folder, cpu), "tiny", cpu)
    runner.load(to_bytes(x, source))
    runner.run()
    wanted = run_reference(tiny_graph, x)[tiny_graph.output]
    assert (from_bytes(runner.result(), tiny_graph.tensors[tiny_graph.output]) == wanted).all()


@needs_gcc
@needs_qemu
@pytest.mark.parametrize(
    ("cpu", "board"),
    [
        ("cortex-m0plus", "microbit"),
        ("cortex-m3", "mps2-an385"),
        ("cortex-m4", "mps2-an386"),
        ("cortex-m7", "mps2-an500"),
        ("cortex-m33", "mps2-an505"),
    ],
)
def test_instructions_agree_with_qemu(cpu: str, board: str, tiny_folder: Path) -> None:
    """Another emulator, the product's firmware and a timer register give the same counts.

    The firmware's figures include the few instructions of reading the timer: at most 8 a measurement, under
    0.01 % of the whole.
    """
    pytest.importorskip("serial")
    pytest.importorskip("SCons")
    from edgebnn.device.profile import profile

    ours = estimate_model(tiny_folder, cpu)
    theirs = profile(tiny_folder, emulate=board)
    assert theirs.unit == "instructions"
    assert abs(theirs.total - ours.instructions) <= 1e-4 * theirs.total
    for a, b in zip(ours.layers, theirs.layers, strict=True):
        assert a.name == b.name and 0 <= b.count - a.instructions <= 8


@needs_gcc
def test_estimate_reports_everything(tiny_folder: Path) -> None:
    result = CliRunner().invoke(
        estimate, [str(tiny_folder), "--target", "cortex-m4", "--json", "--clock", "120M"]
    )
    assert result.exit_code == 0, result.output
    document = json.loads(result.output)
    assert document["cycles"]["low"] < document["cycles"]["nominal"] < document["cycles"]["high"]
    assert "estimate, 0 wait states" in document["note"] and "Cortex-M4" in document["source"]
    layers = document["layers"]
    assert layers[0]["name"] == "stem"
    loop = document["instructions"] - sum(layer["instructions"] for layer in layers)
    assert 0 < loop + 30 * len(layers) < 60 * len(layers)  # the run loop itself
    assert document["estimated_ms"]["nominal"] == pytest.approx(1e3 * document["cycles"]["nominal"] / 120e6)
    functions = document["code"]["functions"]
    assert all(functions[layer["kernel"]] >= 12 for layer in layers)  # that of lanes kernels only passes on
    assert sum(functions.values()) <= document["code"]["total"] < 16384
    assert 0 < max(layer["stack"] for layer in layers) <= document["stack"]["measured"]
    assert (
        document["stack"]["measured"] <= document["stack"]["bound"] + 64
    )  # library functions have no known frame


@needs_gcc
def test_a_plan_is_counted_without_a_build(tiny_graph: ir.Graph, tiny_folder: Path) -> None:
    """The counts of a plan alone are those of the emitted model; only branch alignment may move cycles."""
    planned = plan(tiny_graph, targets.load("cortex-m0plus"))
    counted, estimated = plan_cost(planned), estimate_model(tiny_folder)
    assert counted.instructions == estimated.instructions
    assert [n for n, _ in counted.layers] == [layer.instructions for layer in estimated.layers]
    assert counted.cycles is not None and estimated.cycles is not None
    assert counted.cycles.nominal == pytest.approx(estimated.cycles.nominal, rel=0.01)
    x = np.random.default_rng(3).integers(-128, 128, (6, 5, 3))
    expected = run_reference(tiny_graph, x)[tiny_graph.output]
    np.testing.assert_array_equal(PlannedMachine(planned).run(x), expected)
    with pytest.raises(UsageError, match="cortex-m55 cannot be counted"):
        PlannedMachine(plan(tiny_graph, targets.load("cortex-m55")))


@needs_gcc
def test_cores_without_a_table_get_instructions_only(tiny_folder: Path) -> None:
    result = CliRunner().invoke(estimate, [str(tiny_folder), "--target", "cortex-m7", "--json"])
    document = json.loads(result.output)
    assert document["instructions"] > 1000
    assert document["cycles"] is None and all(layer["cycles"] is None for layer in document["layers"])
    text = CliRunner().invoke(estimate, [str(tiny_folder), "--target", "cortex-m7"]).output
    assert "cycles" not in text.replace("cycle table", "") and "Instructions only" in text


@needs_gcc
def test_bad_requests_are_refused(tiny_graph: ir.Graph, tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        estimate_model(tmp_path / "none")
    with pytest.raises(UsageError, match="cortex-m55 cannot be counted here"):
        estimate_model(tiny_folder, "cortex-m55")
    with pytest.raises(UsageError, match="unknown target"):
        estimate_model(tiny_folder, "cortex-m9")
    with pytest.raises(UsageError, match="no optimisation level"):
        estimate_model(tiny_folder, "cortex-m4", "9")
    host = tmp_path / "host"
    host.mkdir()
    report = json.loads((tiny_folder / "report.json").read_text())
    for name in ("tiny.c", "tiny.h", "ebnn_model.h", "tiny.ebnn"):
        shutil.copy(tiny_folder / name, host)
    (host / "report.json").write_text(json.dumps({**report, "target": "host", "kernels": ["ebnn_x__avx2"]}))
    with pytest.raises(UsageError, match="cortex-m4 cannot run ebnn_x__avx2"):
        estimate_model(host, "cortex-m4")


@pytest.mark.parametrize(
    ("text", "hertz"), [("120000000", 120e6), ("120M", 120e6), ("64 MHz", 64e6), ("1.5g", 1.5e9)]
)
def test_clock(text: str, hertz: float) -> None:
    assert clock_hz(text) == pytest.approx(hertz)


@pytest.mark.parametrize("text", ["", "fast", "-1", "0", "12X"])
def test_wrong_clock(text: str) -> None:
    with pytest.raises(UsageError):
        clock_hz(text)
