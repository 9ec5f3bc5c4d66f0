"""The client against the real protocol over a good, a bad and a broken line, and against things that are no
device."""

from __future__ import annotations

import random
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from click.testing import CliRunner
from device_line import Line, Noise
from device_support import INPUT_BYTES, build_host, probe_layers, probe_results, probe_tensors, write_probe

from edgebnn.cli.profile import profile as profile_command
from edgebnn.device.client import Device
from edgebnn.device.errors import (
    DisconnectedError,
    GarbledError,
    NoAnswerError,
    PortError,
    RefusedError,
)
from edgebnn.device.verify import run_on_device
from edgebnn.errors import DeviceError

DATA = bytes(range(40, 40 + INPUT_BYTES))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_probe(tmp_path_factory.mktemp("client") / "model")


@pytest.fixture(scope="module")
def program(model: Path) -> Path:
    return build_host(model.parent, model)


@pytest.mark.parametrize("pty", [False, True])
def test_a_good_line(program: Path, pty: bool) -> None:
    with Line(program, pty=pty) as line, Device(line.url) as device:
        assert device.name() == "host"
        assert device.info().model == "probe"
        assert "layers" in device.caps()
        device.load(DATA)
        assert device.infer(2, 1).results == probe_results(DATA)
        assert device.results() == probe_results(DATA)
        assert [tensor.data for tensor in device.dump_all()] == probe_tensors(DATA)
        assert [tensor.name for tensor in device.dump_layer(0)] == ["first_layer", "first_layer:2"]
        assert device.dump(0).data == probe_layers(DATA)[0]
        seen: list[int] = []
        counts = device.layers(3, lambda part: seen.append(len(part.totals)))
        assert seen[0] == 1
        assert [layer.name for layer in counts.layers] == ["first_layer", "mix"]
        assert counts.counts == ((0, 0),) * 3
        stream = device.stream(0)
        assert next(stream)[1] is not None
        stream.close()
        assert device.name() == "host"
        device.reset()
        with pytest.raises(RefusedError, match="No results yet"):
            device.results()
        (tensors,) = run_on_device(device, [DATA], layers=False)
        assert tensors["output"].data == probe_layers(DATA)[-1]


def test_energy_mode(program: Path) -> None:
    with Line(program, "energy") as line, Device(line.url) as device:
        assert device.timestamp_us() is None
        inference = device.infer(1)
        assert (inference.start_us, inference.end_us) == (None, None)


def test_the_device_refuses(program: Path) -> None:
    with Line(program) as line, Device(line.url) as device:
        with pytest.raises(RefusedError, match="dump: No such layer, layers: 2"):
            device.dump(7)
        with pytest.raises(RefusedError, match="Input size must be 16"):
            device.load(b"abc")
        assert device.name() == "host"
    refusal = pytest.raises(RefusedError, match="Model does not fit this firmware: status -2")
    with Line(program, "small-arena") as line, Device(line.url) as device, refusal:
        device.infer(1)


@pytest.mark.parametrize("direction", ["to_device", "to_host"])
def test_a_little_noise_is_repaired(program: Path, direction: str) -> None:
    """Two damaged bytes, wherever they fall: every answer is right in the end."""
    for seed in range(6):
        # The exchange has about 1500 bytes in each direction.
        noise = Noise(0.002, seed, left=2)
        with (
            Line(program, **{direction: noise}) as line,
            Device(line.url, timeout=0.5, run_timeout=0.5) as device,
        ):
            device.load(DATA)
            assert [tensor.data for tensor in device.dump_all()] == probe_tensors(DATA)
            assert device.info().outputs == 12
            assert len(device.layers(4).totals) == 4
            assert device.crc() == device.crc()


def test_a_noisy_line_gives_a_right_answer_or_a_typed_error(program: Path) -> None:
    outcomes = []
    for seed in range(8):
        with Line(program, to_host=Noise(0.01, seed), to_device=Noise(0.01, seed + 50)) as line:
            try:
                with Device(line.url, timeout=0.3, run_timeout=0.3) as device:
                    device.load(DATA)
                    assert device.dump("output").data == probe_layers(DATA)[-1]
                outcomes.append("right")
            except DeviceError as error:
                assert "\n" not in str(error)
                outcomes.append(type(error).__name__)
        assert line.status == 0
    assert set(outcomes) <= {"right", "GarbledError", "NoAnswerError", "RefusedError"}


@pytest.mark.parametrize("pty", [False, True])
def test_unplugged_in_the_middle(program: Path, pty: bool) -> None:
    with Line(program, pty=pty, cut_after=2000) as line, Device(line.url, timeout=2) as device:
        start = time.monotonic()
        with pytest.raises(DisconnectedError) as caught:
            for _ in range(100):
                device.layers(5)
        assert line.url in str(caught.value) and caught.value.exit_code == 5
        assert time.monotonic() - start < 10


def test_reconnect(program: Path) -> None:
    with Line(program) as line, Device(line.url) as device:
        device.load(DATA)
        device.close()
        device.reconnect()
        assert device.infer(1).results == probe_results(DATA)


@contextmanager
def server(behave: Callable[[socket.socket], None]) -> Iterator[str]:
    """A TCP port behind which ``behave`` serves one connection at a time."""
    listener = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def run() -> None:
        while not done.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                behave(connection)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield f"socket://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        done.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(timeout=10)


def ignore(connection: socket.socket) -> None:
    while connection.recv(4096):
        pass


def test_a_port_that_never_answers() -> None:
    with server(ignore) as url:
        start = time.monotonic()
        with pytest.raises(NoAnswerError, match="no answer within") as caught:
            Device(url, timeout=0.5)
        assert time.monotonic() - start < 3
        assert caught.value.hint is not None


def test_a_port_that_answers_something_else() -> None:
    def chatter(connection: socket.socket) -> None:
        rng = random.Random(3)
        while True:
            connection.sendall(b"OK\r\nERROR\r\n" + rng.randbytes(50))
            time.sleep(0.01)

    with server(chatter) as url, pytest.raises(GarbledError, match="not with edgebnn's protocol"):
        Device(url, timeout=0.5)


def test_a_line_without_end_takes_no_memory() -> None:
    def flood(connection: socket.socket) -> None:
        while True:
            connection.sendall(b"x" * 65536)

    with server(flood) as url, pytest.raises((NoAnswerError, GarbledError)):
        Device(url, timeout=0.5)


def test_a_port_that_hangs_up() -> None:
    with server(lambda connection: None) as url, pytest.raises(DisconnectedError, match="disconnected"):
        Device(url, timeout=2)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("/dev/no-such-port", "No such file or directory"),
        ("socket://127.0.0.1:1", "Connection refused"),
        ("socket://127.0.0.1", "port"),
        ("nonsense://x", "invalid URL"),
    ],
)
def test_ports_that_cannot_be_opened(url: str, reason: str) -> None:
    with pytest.raises(PortError) as caught:
        Device(url, timeout=0.5)
    assert url in str(caught.value) and reason in str(caught.value)
    assert "\n" not in str(caught.value) and caught.value.hint and caught.value.exit_code == 5


def test_firmware_of_another_protocol_version() -> None:
    def newer(connection: socket.socket) -> None:
        commands = connection.makefile("rb")
        text = b""
        while byte := commands.read(1):
            text += byte
            if text.endswith(b"name%"):
                connection.sendall(b"m-name-dut-[new]\r\nm-ready\r\n")
                text = b""
            elif text.endswith(b"info%"):
                line = b"m-info-[wire,2]\r\n"
                crc = b"m-crc-[%08x]\r\n" % zlib.crc32(b"info" + line)
                connection.sendall(line + crc + b"m-ready\r\n")
                text = b""

    refusal = pytest.raises(DeviceError, match="speaks protocol 2, this is 1")
    with server(newer) as url, Device(url, timeout=2) as device, refusal:
        device.info()


def test_what_was_measured_before_a_disconnect_is_shown(program: Path, model: Path) -> None:
    with Line(program, cut_after=20000) as line:
        result = CliRunner().invoke(profile_command, [str(model), "--port", line.url, "-n", "1000000"])
    assert isinstance(result.exception, DisconnectedError)
    assert "measured before the device was lost" in result.stderr and "first_layer" in result.stderr
    assert result.stdout == ""
