"""A serial line between a client and the protocol's host program, over which tests can do damage."""

from __future__ import annotations

import contextlib
import os
import random
import select
import socket
import subprocess
import threading
import tty
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

Damage = Callable[[bytes], bytes]


@dataclass
class Noise:
    """Damages a share of the bytes of one direction: flips a bit, drops, doubles, or inserts noise."""

    rate: float
    seed: int = 0
    left: int = 1 << 30  # bytes to damage at most
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def __call__(self, data: bytes) -> bytes:
        out = bytearray()
        rng = self._random
        for byte in data:
            if rng.random() >= self.rate or self.left == 0:
                out.append(byte)
                continue
            self.left -= 1
            kind = rng.randrange(4)
            if kind == 0:
                out.append(byte ^ 1 << rng.randrange(8))
            elif kind == 1:
                out += bytes([byte, byte])
            elif kind == 2:
                out += rng.randbytes(rng.randint(1, 5)) + bytes([byte])
        return bytes(out)


class Line:
    """Runs ``program`` behind a TCP port (``url``) or, with ``pty``, behind a pseudo terminal.

    ``to_device`` and ``to_host`` damage what passes; ``cut_after`` bytes to the host the line is cut. At
    the end, ``status`` is the exit status of the program: 0 when sanitizers and guard bytes are content.
    """

    def __init__(
        self,
        program: Path,
        *options: str,
        pty: bool = False,
        to_device: Damage = bytes,
        to_host: Damage = bytes,
        cut_after: int | None = None,
    ) -> None:
        self.to_device, self.to_host, self.cut_after = to_device, to_host, cut_after
        self._process = subprocess.Popen([program, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.status: int | None = None
        self._stop, self._wake = os.pipe()
        self._server: socket.socket | None = None
        if pty:
            master, slave = os.openpty()
            tty.setraw(slave)
            self.url = os.ttyname(slave)
            self._slave = slave
            self._ends = [master]
        else:
            self._server = socket.create_server(("127.0.0.1", 0))
            self.url = f"socket://127.0.0.1:{self._server.getsockname()[1]}"
            self._ends = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Line:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.write(self._wake, b"x")
        self._thread.join(timeout=10)
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            while os.read(self._process.stdout.fileno(), 4096):
                pass
            self.status = self._process.wait(timeout=10)
        finally:
            self._process.kill()
            self._process.stdout.close()
        if self._server is not None:
            self._server.close()
        os.close(self._stop)
        os.close(self._wake)

    def _run(self) -> None:
        assert self._process.stdout is not None
        device = self._process.stdout.fileno()
        connection: socket.socket | None = None
        while True:
            watched: list[int] = [self._stop, device, *self._ends]
            if self._server is not None:
                watched.append(self._server.fileno())
            ready, _, _ = select.select(watched, [], [])
            if self._stop in ready:
                break
            if self._server is not None and self._server.fileno() in ready:
                if connection is not None:
                    connection.close()
                connection, _ = self._server.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._ends = [connection.fileno()]
                continue
            if device in ready:
                received = os.read(device, 4096)
                if not received:
                    break  # the program has ended, which its status explains
                data = self.to_host(received)
                if self.cut_after is not None:
                    data = data[: self.cut_after]
                    self.cut_after -= len(data)
                self._send(data)
                if self.cut_after == 0:
                    break
            for end in self._ends:
                if end in ready:
                    self._receive(end)
        if connection is not None:
            connection.close()
        if self._server is None:
            os.close(self._ends[0])
            os.close(self._slave)

    def _send(self, data: bytes) -> None:
        for end in self._ends:
            with contextlib.suppress(OSError):
                while data:
                    data = data[os.write(end, data) :]

    def _receive(self, end: int) -> None:
        assert self._process.stdin is not None
        try:
            data = os.read(end, 4096)
        except OSError:
            data = b""
        if not data and self._server is not None:
            self._ends = []
            return
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(self.to_device(data))
            self._process.stdin.flush()
