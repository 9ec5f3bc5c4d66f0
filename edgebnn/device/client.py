"""The host's side of the serial protocol (docs/protocol.md): one class, ``Device``."""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import TypeVar

from edgebnn.device.errors import DisconnectedError, GarbledError, NoAnswerError, RefusedError
from edgebnn.device.line import LinePort
from edgebnn.errors import DeviceError

WIRE_VERSION = 1
_BYTES_PER_LINE = 31
_RETRIES = 3
_PROGRESS_SECONDS = 0.2

T = TypeVar("T")


@dataclass(frozen=True)
class Info:
    """Answer of ``info``: what runs on the device."""

    wire: int
    board: str
    core: str
    clock_hz: int
    unit: str  # of counts: "cycles", or "instructions" on an emulator
    abi: int
    model: str
    model_crc: int  # CRC-32 of the model's .ebnn file
    layers: int
    input_bytes: int
    output_bytes: int
    outputs: int  # values that results prints; 0: none
    arena_bytes: int
    stack_bytes: int  # deepest use since boot
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Inference:
    """Answer of ``infer``: times since boot in microseconds (None in energy mode), and the outputs."""

    start_us: int | None
    end_us: int | None
    results: tuple[float, ...]


@dataclass(frozen=True)
class Layer:
    """One layer as the device names it."""

    index: int
    name: str
    op: str
    kernel: str
    macs: int


@dataclass(frozen=True)
class LayerCounts:
    """Answer of ``layers``: per run, the whole inference's count and one count a layer, in ``Info.unit``."""

    layers: tuple[Layer, ...]
    totals: tuple[int, ...]
    counts: tuple[tuple[int, ...], ...]  # [run][layer]


@dataclass(frozen=True)
class Tensor:
    """A layer's output as it lies in the device's memory (SPEC.md section 3)."""

    name: str
    dtype: str
    layout: str
    shape: tuple[int, int, int]  # height, width, channels
    data: bytes = field(repr=False)


class _Garbled(Exception):
    """An answer that cannot be right; the command is sent again."""


def _match(pattern: str, line: str) -> re.Match[str]:
    found = re.fullmatch(pattern, line)
    if not found:
        raise _Garbled(line)
    return found


class Device:
    """A board or emulator that runs the firmware, behind a serial port.

    ``url``: a port name or pyserial URL. ``timeout``: seconds to wait for a line of an answer; commands
    that run the model wait ``run_timeout`` instead. Opening sends nothing but ``name``, and restarts
    nothing.

    Every method raises PortError (opening), NoAnswerError (silence), GarbledError (damaged answers, after
    retries), RefusedError (the device's own error line) or DisconnectedError; all are DeviceError.
    """

    def __init__(self, url: str, baud: int = 115200, timeout: float = 5.0, run_timeout: float = 60.0) -> None:
        self.url = url
        self.timeout = timeout
        self.run_timeout = run_timeout
        self._baud = baud
        self._port = LinePort(url, baud)
        try:
            self._synchronise()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Device:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the port."""
        self._port.close()

    def reconnect(self) -> None:
        """Opens the port again, after DisconnectedError."""
        self._port.close()
        self._port = LinePort(self.url, self._baud)
        self._synchronise()

    # The exchange of lines

    def _synchronise(self) -> None:
        """Ends a command left half typed, and reads past everything sent for others, boot lines included.

        A '%' ends the rest of an earlier command; its reply and everything else before our name is skipped.
        """
        deadline = time.monotonic() + self.timeout
        heard = False
        while True:
            self._port.discard_input()
            self._port.write(b"%name%")
            try:
                named = False
                while time.monotonic() < deadline:
                    # time is left for another attempt, where this answer is damaged
                    pause = min(1.0, self.timeout / 3)
                    line = self._port.read_line(min(pause, max(deadline - time.monotonic(), 0.01)))
                    heard = True
                    if re.fullmatch(r"m-name-dut-\[[^\]]*\]", line):
                        named = True
                    elif named and line == "m-ready":
                        return
            except NoAnswerError as error:
                if time.monotonic() >= deadline:
                    raise (self._nonsense() if heard else error) from None
            if time.monotonic() >= deadline:
                raise self._nonsense()

    def _nonsense(self) -> GarbledError:
        return GarbledError(
            f"{self.url}: answers, but not with edgebnn's protocol",
            "check the baud rate, and that the board runs this firmware",
        )

    def _lines(self, command: str, seconds: float) -> Iterator[str]:
        """Sends ``command`` and yields its reply lines up to m-ready, which is not yielded."""
        self._port.write(command.encode("ascii") + b"%")
        while True:
            line = self._port.read_line(seconds)
            if line == "m-ready":
                return
            if line.startswith("e-["):
                self._finish()
                text = line[3:].removesuffix("]")
                if text.startswith("Fault"):
                    raise DeviceError(f"{self.url}: the firmware stopped: {text}", "reset the board")
                raise RefusedError(f"{self.url}: {command.split()[0]}: {text}")
            yield line

    def _finish(self) -> None:
        """Reads the rest of an answer up to m-ready."""
        while self._port.read_line(self.timeout) != "m-ready":
            pass

    def _checked(self, command: str, seconds: float) -> list[str]:
        """The reply of an extension, whose last line holds the CRC-32 of command and lines before."""
        lines = list(self._lines(command, seconds))
        self._check_crc(command, lines)
        return lines[:-1]

    @staticmethod
    def _check_crc(command: str, lines: list[str]) -> None:
        if not lines:
            raise _Garbled("no lines")
        crc = int(_match(r"m-crc-\[([0-9a-f]{8})\]", lines[-1])[1], 16)
        text = command + "".join(line + "\r\n" for line in lines[:-1])
        if zlib.crc32(text.encode("ascii", "replace")) != crc:
            raise _Garbled("CRC")

    def _retry(self, what: str, ask: Callable[[], T]) -> T:
        """Runs ``ask``, again after an answer that is garbled or does not end, or a refusal: the command may
        have been damaged on its way. The same refusal twice is believed."""
        refusal = ""
        for attempt in range(_RETRIES):
            try:
                return ask()
            except (_Garbled, NoAnswerError) as error:
                if attempt == _RETRIES - 1:
                    if isinstance(error, NoAnswerError):
                        raise
                    break
                self._synchronise()
            except RefusedError as error:
                if str(error) == refusal or attempt == _RETRIES - 1:
                    raise
                refusal = str(error)
        raise GarbledError(
            f"{self.url}: {what}: the answer is damaged, also after {_RETRIES - 1} retries",
            "check cable and baud rate",
        )

    # Commands of MLPerf Tiny

    def name(self) -> str:
        """Name of the board."""

        def ask() -> str:
            lines = list(self._lines("name", self.timeout))
            if len(lines) != 1:
                raise _Garbled(str(lines))
            return _match(r"m-name-dut-\[([^\]]*)\]", lines[0])[1]

        return self._retry("name", ask)

    def profile(self) -> tuple[str, str]:
        """Name of the protocol's profile, and of the model."""

        def ask() -> tuple[str, str]:
            lines = list(self._lines("profile", self.timeout))
            if len(lines) != 2:
                raise _Garbled(str(lines))
            name = _match(r"m-profile-\[([^\]]*)\]", lines[0])[1]
            return name, _match(r"m-model-\[([^\]]*)\]", lines[1])[1]

        return self._retry("profile", ask)

    def timestamp_us(self) -> int | None:
        """Microseconds since boot; None in energy mode, which shows an edge to the power meter instead."""

        def ask() -> int | None:
            lines = list(self._lines("timestamp", self.timeout))
            return int(_match(r"m-lap-us-([0-9]+)", lines[0])[1]) if lines else None

        return self._retry("timestamp", ask)

    def load(self, data: bytes) -> None:
        """Loads the model's input, ``Info.input_bytes`` bytes; checked by CRC-32, sent again when damaged."""

        def ask() -> None:
            lines = list(self._lines(f"db load {len(data)}", self.timeout))
            if lines != [f"m-[Expecting {len(data)} bytes]"]:
                raise _Garbled(str(lines))
            done: list[str] = []
            for i in range(0, len(data), _BYTES_PER_LINE):
                try:
                    done += self._lines(f"db {data[i : i + _BYTES_PER_LINE].hex()}", self.timeout)
                except RefusedError as error:
                    raise _Garbled(str(error)) from error
            if done != ["m-load-done"]:
                raise _Garbled(str(done))
            try:
                crc = self._db_crc()
            except RefusedError as error:
                raise _Garbled(str(error)) from error
            if crc != zlib.crc32(data):
                raise _Garbled("CRC of the input")

        self._retry("db load", ask)

    def infer(self, n: int = 1, warmup: int = 0) -> Inference:
        """Runs ``n`` inferences of the loaded input after ``warmup`` unmeasured ones."""

        def ask() -> Inference:
            lines = list(self._lines(f"infer {n} {warmup}", self.run_timeout))
            head = [f"m-warmup-start-{warmup}", "m-warmup-done", f"m-infer-start-{n}"]
            if lines[:3] != head or lines[-2:-1] != ["m-infer-done"]:
                raise _Garbled(str(lines))
            laps = [int(_match(r"m-lap-us-([0-9]+)", line)[1]) for line in lines[3:-2]]
            if len(laps) not in (0, 2) or laps != sorted(laps):
                raise _Garbled(str(lines))
            start, end = laps if laps else (None, None)
            return Inference(start, end, _results(lines[-1]))

        return self._retry("infer", ask)

    def results(self) -> tuple[float, ...]:
        """Outputs of the last inference, three decimals each."""

        def ask() -> tuple[float, ...]:
            lines = list(self._lines("results", self.timeout))
            if len(lines) != 1:
                raise _Garbled(str(lines))
            return _results(lines[0])

        return self._retry("results", ask)

    # Extensions

    def caps(self) -> frozenset[str]:
        """Names of the extensions the firmware has."""

        def ask() -> frozenset[str]:
            (line,) = self._exactly(1, self._checked("caps", self.timeout))
            return frozenset(_match(r"m-caps-\[([^\]]*)\]", line)[1].split(","))

        return self._retry("caps", ask)

    def info(self) -> Info:
        """What runs on the device. DeviceError: firmware of another protocol version."""

        def ask() -> Info:
            values: dict[str, str] = {}
            labels = []
            for line in self._checked("info", self.timeout):
                if line.startswith("m-label-["):
                    labels.append(_match(r"m-label-\[[0-9]+,([^\]]*)\]", line)[1])
                else:
                    found = _match(r"m-info-\[([a-z0-9_]+),([^\]]*)\]", line)
                    values[found[1]] = found[2]
            if values.get("wire") != str(WIRE_VERSION):
                raise DeviceError(
                    f"{self.url}: the firmware speaks protocol {values.get('wire')}, this is {WIRE_VERSION}",
                    "build and flash the firmware again",
                )
            try:
                text = {key: values.pop(key) for key in ("board", "core", "unit", "model")}
                crc = int(values.pop("model_crc"), 16)
                known = Info.__dataclass_fields__
                numbers = {key: int(value) for key, value in values.items() if key in known}
                return Info(**text, **numbers, model_crc=crc, labels=tuple(labels))  # type: ignore[arg-type]
            except (KeyError, TypeError, ValueError) as error:
                raise _Garbled(str(error)) from error

        return self._retry("info", ask)

    def _db_crc(self) -> int:
        (line,) = self._exactly(1, self._checked("db crc", self.timeout))
        return int(_match(r"m-db-crc-\[([0-9a-f]{8})\]", line)[1], 16)

    def crc(self) -> int:
        """CRC-32 of the loaded input."""
        return self._retry("db crc", self._db_crc)

    def layers(self, n: int = 1, progress: Callable[[LayerCounts], None] | None = None) -> LayerCounts:
        """Counts of ``n`` inferences, as a whole and layer by layer.

        ``progress`` is given what has arrived (unchecked: the CRC comes last), a few times a second.
        """

        def ask() -> LayerCounts:
            lines: list[str] = []
            layers: list[Layer] = []
            rows: list[list[int]] = []
            next_progress = 0.0
            for line in self._lines(f"layers {n}", self.run_timeout):
                lines.append(line)
                if line.startswith("m-layer-["):
                    found = _match(r"m-layer-\[([0-9]+),([^,]*),([^,]*),([0-9]+),([^,\]]*)\]", line)
                    layers.append(Layer(int(found[1]), found[5], found[2], found[3], int(found[4])))
                elif line.startswith("m-counts-["):
                    row = _match(r"m-counts-\[([0-9]+(?:,[0-9]+)*)\]", line)[1]
                    rows.append([int(count) for count in row.split(",")])
                    if len(rows[-1]) != len(layers) + 1:
                        raise _Garbled(line)
                    if progress is not None and time.monotonic() >= next_progress:
                        progress(_layer_counts(layers, rows))
                        next_progress = time.monotonic() + _PROGRESS_SECONDS
            self._check_crc(f"layers {n}", lines)
            if len(rows) != n:
                raise _Garbled(str(len(rows)))
            return _layer_counts(layers, rows)

        return self._retry("layers", ask)

    def dump(self, layer: int | str) -> Tensor:
        """First output of layer number ``layer``, or that of the model (``"output"``), for the loaded input."""
        return self.dump_layer(layer)[0]

    def dump_layer(self, layer: int | str) -> list[Tensor]:
        """The outputs of a layer as of dump(): one, or two, the second with ``:2`` behind its name."""

        def ask() -> list[Tensor]:
            tensors = _tensors(self._checked(f"dump {layer}", self.run_timeout))
            return self._exactly(2 if len(tensors) == 2 else 1, tensors)

        return self._retry(f"dump {layer}", ask)

    def dump_all(self) -> list[Tensor]:
        """Outputs of all layers of one inference of the loaded input, in order; of a layer as of dump_layer()."""
        return self._retry("dump all", lambda: _tensors(self._checked("dump all", self.run_timeout)))

    def stream(self, period_ms: int) -> Iterator[tuple[int, int | None, float | None]]:
        """Runs the model again and again, every ``period_ms``, until the iterator is closed.

        Yields count, index of the largest output and its value (None where the output is no vector of
        values).
        """
        lines = self._lines(f"stream {period_ms}", self.run_timeout + period_ms / 1000)
        try:
            for line in lines:
                found = re.fullmatch(r"m-stream-\[([0-9]+)(?:,([0-9]+),(-?[0-9]+\.[0-9]{3}))?\]", line)
                if found is None:
                    continue  # one damaged line of a stream is no loss
                best = (int(found[2]), float(found[3])) if found[2] else (None, None)
                yield int(found[1]), *best
        finally:
            lines.close()  # type: ignore[attr-defined]
            self._port.write(b"%")
            self._synchronise()

    def reset(self) -> None:
        """Restarts the device and waits until it answers again."""

        def ask() -> None:
            self._port.write(b"reset%")
            deadline = time.monotonic() + self.timeout
            while True:
                line = self._port.read_line(max(deadline - time.monotonic(), 0.0))
                if line.startswith("e-["):
                    raise _Garbled(line)
                if line == "m-init-done":
                    self._finish()
                    return

        try:
            self._retry("reset", ask)
        except DisconnectedError:
            # Boards with USB of their own leave the bus for a moment.
            self._reopen()

    def _reopen(self) -> None:
        deadline = time.monotonic() + self.timeout
        while True:
            try:
                self.reconnect()
                return
            except DeviceError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.1)

    @staticmethod
    def _exactly(n: int, items: list[T]) -> list[T]:
        if len(items) != n:
            raise _Garbled(f"{len(items)} instead of {n}")
        return items


def _results(line: str) -> tuple[float, ...]:
    text = _match(r"m-results-\[(-?[0-9]+\.[0-9]{3}(?:,-?[0-9]+\.[0-9]{3})*)\]", line)[1]
    return tuple(float(value) for value in text.split(","))


def _layer_counts(layers: list[Layer], rows: list[list[int]]) -> LayerCounts:
    return LayerCounts(tuple(layers), tuple(row[0] for row in rows), tuple(tuple(row[1:]) for row in rows))


def _tensors(lines: list[str]) -> list[Tensor]:
    """The tensors of the lines of a dump."""
    heads: list[re.Match[str]] = []
    data: list[bytearray] = []
    for line in lines:
        if line.startswith("m-tensor-["):
            heads.append(_match(r"m-tensor-\[([^,]*),(\w+),(\w+),(\d+),(\d+),(\d+),(\d+)\]", line))
            data.append(bytearray())
        else:
            found = _match(r"m-data-\[((?:[0-9a-f]{2})+)\]", line)
            if not data:
                raise _Garbled(line)
            data[-1] += bytes.fromhex(found[1])
    tensors = []
    for head, content in zip(heads, data, strict=True):
        if len(content) != int(head[7]):
            raise _Garbled(f"{len(content)} bytes instead of {head[7]}")
        shape = (int(head[4]), int(head[5]), int(head[6]))
        tensors.append(Tensor(head[1], head[2], head[3], shape, bytes(content)))
    return tensors
