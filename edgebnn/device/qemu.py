"""Starts an emulated board: QEMU, with the board's serial port on a local TCP port."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

from edgebnn.device import boards
from edgebnn.device.client import Device
from edgebnn.errors import DeviceError, ToolchainError, UsageError

QEMU = "qemu-system-arm"
APT_HINT = "apt-get install qemu-system-arm"
_START_SECONDS = 20.0
# An emulator keeps a processor core busy, so it must not outlive this process, however that ends: a shell
# between the two kills it as soon as the pipe to us closes, and passes its exit status on.
_GUARD = """
exec 3<&0
"$@" <&- 3<&- &
emulator=$!
(read -r _ <&3; kill -9 $emulator) 2>/dev/null &
wait $emulator
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Qemu:
    """An emulated board running ``elf``; a context manager, at whose end the emulator is gone.

    ``url`` is the pyserial URL of its serial port. Time in the emulator is counted in instructions
    (``-icount``), so counts do not depend on this machine.

    Raises UsageError (a board without an emulator), ToolchainError (no QEMU, or one that knows no such
    machine).
    """

    def __init__(self, elf: Path, board: str, qemu: str = QEMU) -> None:
        description = boards.load(board)
        if description.emulator is None:
            raise UsageError(
                f"{board} has no emulator", "use '--port' with the real board, or see 'edgebnn boards'"
            )
        if shutil.which(qemu) is None:
            raise ToolchainError(f"the emulator {qemu} is not installed", APT_HINT)
        if not elf.is_file():
            raise UsageError(f"{elf}: no such file", "build the firmware first, see 'edgebnn build'")
        self.board = board
        self.url = ""
        self._command = [
            *(qemu, "-M", description.emulator.machine, "-kernel", str(elf)),
            *("-display", "none", "-monitor", "none"),
            *("-icount", f"shift={description.emulator.icount_shift},sleep=off"),
            *("-semihosting-config", "enable=on,target=native"),
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - close() closes it

    def _start(self) -> str | None:
        """Starts QEMU on a free port. None when it listens, else why not."""
        port = _free_port()
        serial = f"tcp:127.0.0.1:{port},server=on,wait=off,nodelay=on"
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, "sh", *self._command, "-serial", serial],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
        )
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                return self.message() or f"it ended with status {self._process.returncode}"
            if _listens(port):
                self.url = f"socket://127.0.0.1:{port}"
                return None
            time.sleep(0.01)
        return f"its serial port did not open within {_START_SECONDS:.0f} s"

    def start(self) -> None:
        """Starts the emulator and waits until its port accepts connections."""
        reason: str | None = None
        for _ in range(3):  # another program may take the free port first
            reason = self._start()
            if reason is None:
                return
            self.stop()
            if "in use" not in reason:
                break
        raise ToolchainError(f"{self._command[0]} does not start {self.board}: {reason}", APT_HINT)

    def message(self) -> str:
        """The last line the emulator itself has printed."""
        self._log.seek(0)
        lines = self._log.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else ""

    def check(self) -> None:
        """Raises DeviceError when the emulator has ended: the firmware stopped with a fault."""
        if self._process is not None and self._process.poll() is not None:
            status = self._process.returncode
            raise DeviceError(
                f"{self.board}: the emulated firmware ended with status {status}", self.message() or None
            )

    def connect(self, timeout: float = 20.0, run_timeout: float = 300.0) -> Device:
        """A client of the running firmware. The limits are long, because emulators share a busy machine."""
        try:
            return Device(self.url, timeout=timeout, run_timeout=run_timeout)
        except DeviceError:
            self.check()  # a firmware that has stopped is the better explanation
            raise

    def stop(self) -> None:
        """Ends the emulator."""
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=10)
            self._process = None

    def __enter__(self) -> Qemu:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the emulator and frees what it used."""
        self.stop()
        self._log.close()


def _listens(port: int) -> bool:
    """True when something listens on the local TCP port. Read from the system's table where there is one:
    QEMU serves
    one connection at a time, and a trial connection would be that one."""
    try:
        rows = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0
    address = f"0100007F:{port:04X}"
    return any(row.split()[1] == address and row.split()[3] == "0A" for row in rows)
