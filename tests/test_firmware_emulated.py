"""The firmware in QEMU: every board boots, answers, computes the right bytes and counts exactly."""

from __future__ import annotations

import json
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from device_support import (
    INPUT_BYTES,
    OUTPUTS,
    needs_emulator,
    probe_layers,
    probe_results,
    probe_tensors,
    write_ladder,
    write_probe,
)

from edgebnn.cli.profile import profile as profile_command
from edgebnn.device import boards
from edgebnn.device.build import build
from edgebnn.device.client import Device
from edgebnn.device.errors import RefusedError
from edgebnn.device.profile import profile
from edgebnn.device.qemu import Qemu
from edgebnn.device.verify import run_on_emulator
from edgebnn.errors import DeviceError, ToolchainError, UsageError

pytestmark = needs_emulator
EMULATED = [name for name in boards.names() if boards.load(name).emulator is not None]
BOARD = "mps2-an386"
# The last two keep SysTick busy for more than one of its periods on every board.
LADDER = [*range(1, 1500, 37), 4_500_000, 4_500_001]


def inputs(n: int) -> list[bytes]:
    rng = random.Random(n)
    return [bytes([i % 100]) + rng.randbytes(INPUT_BYTES - 1) for i in range(n)]


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_probe(tmp_path_factory.mktemp("emulated") / "probe")


@pytest.fixture
def emulator(probe: Path) -> Iterator[Qemu]:
    """One for each test: an emulator keeps a processor core busy as long as it lives."""
    with Qemu(build(probe, BOARD).elf, BOARD) as running:
        yield running


@pytest.fixture
def device(emulator: Qemu) -> Iterator[Device]:
    with emulator.connect() as connected:
        yield connected


@pytest.mark.parametrize("board", EMULATED)
def test_board_boots_and_computes(board: str, probe: Path) -> None:
    data = inputs(4)
    for tensors, sample in zip(run_on_emulator(probe, board, data), data, strict=True):
        wanted = probe_tensors(sample)
        assert [tensor.data for tensor in tensors.values()] == [*wanted, wanted[-1]]
        assert list(tensors) == ["first_layer", "first_layer:2", "mix", "output"]
        assert tensors["first_layer"].shape == (4, 1, 4)


@pytest.mark.parametrize("board", EMULATED)
def test_counts_are_exact_to_one_instruction(board: str, tmp_path: Path) -> None:
    result = profile(write_ladder(tmp_path, LADDER), emulate=board, runs=1)
    assert (result.board, result.unit, result.runs) == (board, "instructions", 1)
    assert result.milliseconds is None
    constant = result.layers[0].count - 2 * LADDER[0]
    # Call, descriptor lookup and return around the loop.
    assert 20 <= constant <= 90
    assert [layer.count - 2 * n for layer, n in zip(result.layers, LADDER, strict=True)] == (
        [constant] * len(LADDER)
    )
    run_loop = result.total - sum(layer.count for layer in result.layers)
    assert 0 <= run_loop <= 12 * len(LADDER)
    assert result.maximum - result.minimum <= 2
    assert 100 <= result.stack_bytes <= 1024


def test_commands_of_the_client(device: Device, probe: Path) -> None:
    assert device.name() == BOARD
    assert device.profile() == ("ULPMark for tinyML Firmware V0.0.1", "probe")
    info = device.info()
    assert (info.board, info.core, info.unit, info.clock_hz) == (
        BOARD,
        "cortex-m4",
        "instructions",
        25_000_000,
    )
    assert (info.model, info.layers, info.input_bytes, info.outputs) == ("probe", 2, INPUT_BYTES, OUTPUTS)
    assert info.labels == ("yes", "no", "left____")
    assert device.caps() >= {"crc", "dump", "info", "layers", "reset", "stream"}
    (data,) = inputs(1)
    device.load(data)
    inference = device.infer(5, 2)
    assert inference.results == device.results() == probe_results(data)
    assert inference.start_us is not None and inference.end_us is not None
    assert inference.end_us >= inference.start_us
    assert device.dump(0).data == probe_layers(data)[0]
    times = [device.timestamp_us() for _ in range(3)]
    assert times == sorted(times)


def test_stream_and_reset(device: Device) -> None:
    (data,) = inputs(1)
    device.load(data)
    best = max(probe_results(data))
    stream = device.stream(1)
    rows = [next(stream) for _ in range(5)]
    stream.close()
    assert {row[1:] for row in rows} == {(probe_results(data).index(best), best)}
    assert all(row[0] > 0 for row in rows)
    assert len(device.infer(1).results) == OUTPUTS
    device.reset()
    with pytest.raises(RefusedError, match="No results yet"):
        device.results()
    assert device.infer(1).results == probe_results(bytes(INPUT_BYTES))


def test_clients_come_and_go_in_the_middle_of_a_command(emulator: Qemu) -> None:
    port = int(emulator.url.rpartition(":")[2])
    for rest in (b"db load 1", b"infer 1 0%inf", b"%%%", b"x" * 200, b"layers 3%"):
        with socket.create_connection(("127.0.0.1", port)) as raw:
            raw.sendall(rest)
        with emulator.connect() as device:
            assert device.name() == BOARD


class Runner:
    """Sends bytes in random pieces and reads replies, as strictly as MLPerf Tiny's runner does."""

    def __init__(self, url: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")
        self.rng = random.Random(1)

    def command(self, text: str) -> list[str]:
        data = text.encode() + b"%"
        while data:
            n = self.rng.randint(1, len(data))
            self.socket.sendall(data[:n])
            data = data[n:]
        lines = []
        while not lines or lines[-1] != "m-ready":
            line = self.file.readline()
            assert line.endswith(b"\r\n")
            lines.append(line[:-2].decode("ascii"))
        return lines[:-1]

    def close(self) -> None:
        self.file.close()
        self.socket.close()


def test_mlperf_tiny_sequence(probe: Path, tmp_path: Path) -> None:
    """The accuracy script of MLPerf Tiny's runner: the port is opened again after name and profile, then
    for each
    input load, infer, results."""
    image = build(probe, BOARD, out=tmp_path / "out", mlperf_model="kws01")
    with Qemu(image.elf, BOARD) as emulator:
        emulator.connect().close()
        runner = Runner(emulator.url)
        assert runner.command("name") == [f"m-name-dut-[{BOARD}]"]
        runner.close()
        runner = Runner(emulator.url)
        assert runner.command("profile")[1] == "m-model-[kws01]"
        runner.close()
        runner = Runner(emulator.url)
        assert runner.command("timestamp")[0].startswith("m-lap-us-")
        for data in inputs(100):
            assert runner.command(f"db load {len(data)}") == [f"m-[Expecting {len(data)} bytes]"]
            for i in range(0, len(data), 5):
                last = i + 5 >= len(data)
                assert runner.command("db " + data[i : i + 5].hex()) == (["m-load-done"] if last else [])
            lines = runner.command("infer 1 0")
            assert lines[:3] == ["m-warmup-start-0", "m-warmup-done", "m-infer-start-1"]
            assert lines[5] == "m-infer-done"
            wanted = ",".join(f"{value:.3f}" for value in probe_results(data))
            assert lines[6] == f"m-results-[{wanted}]"
            assert runner.command("results") == [lines[6]]
        runner.close()


def test_profile_command(probe: Path) -> None:
    result = CliRunner().invoke(profile_command, [str(probe), "--emulate", BOARD, "-n", "2", "--json"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert (document["board"], document["unit"]) == (BOARD, "instructions")
    assert "ms" not in document and "clock_hz" not in document
    assert [layer["name"] for layer in document["layers"]] == ["first_layer", "mix"]
    assert document["total"] >= sum(layer["count"] for layer in document["layers"]) > 0
    assert set(document["layers"][0]) == {"name", "op", "kernel", "count", "macs"}
    table = CliRunner().invoke(profile_command, [str(probe), "--emulate", BOARD]).stdout
    assert "instructions" in table and "cycles" not in table and " ms" not in table


def test_profile_over_a_port_checks_the_model(emulator: Qemu, probe: Path, tmp_path: Path) -> None:
    assert profile(probe, port=emulator.url).model == "probe"
    other = write_probe(tmp_path / "other")
    (other / "probe.ebnn").write_bytes(b"another model")
    with pytest.raises(DeviceError, match="runs another model"):
        profile(other, port=emulator.url)


def test_profile_arguments(probe: Path) -> None:
    with pytest.raises(UsageError, match="either a board to emulate or a port"):
        profile(probe)
    with pytest.raises(UsageError, match="the input has 3 bytes, the model takes 16"):
        profile(probe, emulate=BOARD, data=b"abc")


def test_a_fault_of_the_firmware_is_reported(tmp_path: Path) -> None:
    folder = write_probe(tmp_path)
    source = folder / "probe.c"
    crash = "return EBNN_ERR_ARGUMENT;"
    assert crash in source.read_text()
    source.write_text(source.read_text().replace(crash, "((void (*)(void))0xF0000000u)();"))
    with Qemu(build(folder, BOARD).elf, BOARD) as emulator, emulator.connect() as device:
        device.load(b"\x6f" + bytes(INPUT_BYTES - 1))
        with pytest.raises(DeviceError, match=r"Fault: hard fault|disconnected"):
            device.infer(1)
        for _ in range(100):
            try:
                emulator.check()
            except DeviceError as error:
                assert "ended with status 70" in str(error)
                break
            time.sleep(0.05)
        else:
            pytest.fail("the emulator goes on after a fault")


def test_the_emulator_is_always_ended(probe: Path) -> None:
    image = build(probe, BOARD).elf
    with pytest.raises(RuntimeError), Qemu(image, BOARD) as emulator:
        process = emulator._process
        raise RuntimeError
    assert process is not None and process.returncode is not None


def test_the_emulator_does_not_outlive_a_killed_process(probe: Path) -> None:
    image = build(probe, BOARD).elf
    program = f"""
import time
from pathlib import Path
from edgebnn.device.qemu import Qemu
with Qemu(Path({str(image)!r}), {BOARD!r}) as emulator:
    print(emulator.url, flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    port = int(process.stdout.readline().rpartition(":")[2])
    process.kill()
    process.wait()
    process.stdout.close()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with socket.socket() as probe_socket:
            if probe_socket.connect_ex(("127.0.0.1", port)) != 0:
                return
        time.sleep(0.05)
    pytest.fail("the emulator goes on")


def test_no_emulator(probe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = build(probe, BOARD).elf
    with pytest.raises(UsageError, match="no such file"):
        Qemu(tmp_path / "none.elf", BOARD)
    with pytest.raises(ToolchainError, match="does not start") as caught, Qemu(image, BOARD, qemu="false"):
        pass
    assert caught.value.hint
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolchainError, match="qemu-system-arm is not installed") as caught:
        Qemu(image, BOARD)
    assert caught.value.hint is not None and "qemu-system-arm" in caught.value.hint
