"""Lines over a serial port: pyserial, with time limits on every wait and typed errors."""

from __future__ import annotations

import contextlib
import socket
import time

import serial

from edgebnn.device.errors import DisconnectedError, NoAnswerError, PortError
from edgebnn.errors import ToolchainError

_CHUNK = 65536
_LINE_LIMIT = 1 << 20  # bytes; a sender that never ends its line must not fill memory
_WRITE_SECONDS = 5.0
# What operating systems say, to be found in pyserial's longer messages.
_REASONS = (
    "No such file or directory",
    "Permission denied",
    "Connection refused",
    "Name or service not known",
    "Resource temporarily unavailable",
    "Resource busy",
    "socket disconnected",
)


class LinePort:
    """A serial port read line by line.

    ``url`` is a port name (``/dev/ttyACM0``, ``COM3``) or any pyserial URL (``socket://host:port``).

    Raises PortError when it cannot be opened.
    """

    def __init__(self, url: str, baud: int = 115200) -> None:
        self.url = url
        self._buffer = bytearray()
        try:
            self._port = serial.serial_for_url(
                url, baudrate=baud, timeout=0, write_timeout=_WRITE_SECONDS, do_not_open=True
            )
            # Some boards restart when DTR rises; leave both lines alone.
            self._port.dtr = self._port.rts = False
            with contextlib.suppress(ValueError, AttributeError):
                self._port.exclusive = True
            self._port.open()
        except (serial.SerialException, OSError, ValueError) as error:
            raise PortError(f"{url}: cannot open the port: {_reason(error)}", _open_hint(error)) from error
        except ImportError as error:
            raise ToolchainError(f"{url}: pyserial lacks the support for this port: {error}", None) from error
        sock = getattr(self._port, "_socket", None)
        self._is_socket = isinstance(sock, socket.socket)
        if isinstance(sock, socket.socket):
            # Without it the kernel holds back a short command until the last one is acknowledged.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        """Closes the port; harmless when it is closed or gone."""
        with contextlib.suppress(serial.SerialException, OSError):
            sock = getattr(self._port, "_socket", None)
            if isinstance(sock, socket.socket):
                # pyserial's own close waits 0.3 s.
                sock.close()
                self._port._socket = None
            self._port.close()

    def write(self, data: bytes) -> None:
        """Sends ``data``. Raises DisconnectedError, or NoAnswerError when the port takes no bytes."""
        try:
            self._port.write(data)
        except serial.SerialTimeoutException as error:
            raise NoAnswerError(
                f"{self.url}: the port takes no data", "check cable and flow control"
            ) from error
        except (serial.SerialException, OSError, TypeError) as error:
            raise self._gone(error) from error

    def discard_input(self) -> None:
        """Drops what has arrived."""
        self._buffer.clear()
        self._fill(0.0)
        self._buffer.clear()

    def _gone(self, error: Exception) -> DisconnectedError:
        return DisconnectedError(
            f"{self.url}: the device disconnected: {_reason(error)}", "check cable and power"
        )

    def _fill(self, seconds: float) -> bool:
        """Waits up to ``seconds`` for bytes and takes all there are. False when none came."""
        try:
            self._port.timeout = max(seconds, 0.0)
            first = self._port.read(1)
            if not first:
                return False
            self._buffer += first
            # A socket does not tell how much waits, but reads at once what there is.
            self._port.timeout = 0
            rest = _CHUNK if self._is_socket else self._port.in_waiting
            if rest:
                self._buffer += self._port.read(rest)
        except (serial.SerialException, OSError, TypeError) as error:
            if self._buffer.count(b"\n"):  # what came before the end is still good
                return True
            raise self._gone(error) from error
        return True

    def read_line(self, seconds: float) -> str:
        """The next line without its line end; bytes that are no ASCII become '?'.

        Raises NoAnswerError when it has not come within ``seconds``, DisconnectedError.
        """
        deadline = time.monotonic() + seconds
        searched = 0
        while True:
            end = self._buffer.find(b"\n", searched)
            if end >= 0:
                line = bytes(self._buffer[:end])
                del self._buffer[: end + 1]
                return line.rstrip(b"\r").decode("ascii", "replace").replace("\ufffd", "?")
            searched = len(self._buffer)
            if searched > _LINE_LIMIT:
                self._buffer.clear()
                searched = 0
            left = deadline - time.monotonic()
            if left <= 0:
                raise NoAnswerError(
                    f"{self.url}: no answer within {seconds:g} s",
                    "check that the board runs this firmware, and the baud rate",
                )
            self._fill(left)


def _reason(error: Exception) -> str:
    """The operating system's words of a pyserial error, without pyserial's."""
    text = str(error)
    return next((reason for reason in _REASONS if reason.lower() in text.lower()), text)


def _open_hint(error: Exception) -> str:
    text = str(error).lower()
    if "permission" in text:
        return "add yourself to the group that owns the port (often 'dialout')"
    if "busy" in text or "lock" in text or "unavailable" in text:
        return "another program uses the port"
    return "list the ports with 'python -m serial.tools.list_ports', or try '--emulate'"
