"""Contenders in processes of their own, asked over a pipe: a JSON value a line each way (contender.py and
tflite_peers/worker.py answer)."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: seconds that loading a contender, building its layer and first running it may take, and those of one timing
LOAD_LIMIT = 300.0
TIMING_LIMIT = 60.0

#: starts the worker of tflite_peers from the folder that holds it; at the end of the path, so that this package's
#: modules hide nothing of the other environment
_BOOT = "import sys; sys.path.append(sys.argv.pop(1)); from tflite_peers.worker import main; main()"


class ProcessError(Exception):
    """A contender that cannot do what it was asked, died, fell silent or answered nonsense: why, in one line."""


@dataclass(frozen=True)
class Contender:
    """``program``: name for contender.py, or for tflite_peers/worker.py where ``python``, the interpreter that has the
    peer, is given. ``env``: variables that cap its instruction set. ``needs``: it is asked only for layers whose name
    and precision contain this text. ``variant``: fields of the layer that it is given with other values."""

    name: str
    program: str
    env: Mapping[str, str] = field(default_factory=dict)
    needs: str = ""
    variant: Mapping[str, str] = field(default_factory=dict)
    python: str | None = None

    def command(self) -> list[str]:
        """The command line of its process."""
        if self.python is None:
            return [sys.executable, "-m", "edgebnn.bench.contender", self.program]
        # PYTHONPATH is meant for this interpreter, not for another one
        ignore = [] if self.python == sys.executable else ["-E"]
        return [self.python, *ignore, "-c", _BOOT, str(Path(__file__).parent), self.program]


class Process:
    """A contender's process, its libraries limited to ``threads``. ``ask`` and ``seconds`` raise ProcessError; after a
    death, a time-out or nonsense the process is ended and every later question fails with the same reason."""

    def __init__(self, contender: Contender, threads: int = 1) -> None:
        self.contender = contender
        self._dead: str | None = None
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._messages = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        self._process: subprocess.Popen[str] | None = None
        try:
            self._process = subprocess.Popen(
                contender.command(),
                env={
                    **os.environ,
                    **contender.env,
                    "OMP_NUM_THREADS": str(threads),
                    "MKL_NUM_THREADS": str(threads),
                },
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._messages,
                text=True,
                errors="replace",
            )
        except OSError as error:
            self._dead = f"cannot start {contender.command()[0]}: {error.strerror}"
            return
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def _end(self, reason: str) -> ProcessError:
        """Ends the process and remembers why."""
        self._dead = reason
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        return ProcessError(reason)

    def _died(self) -> str:
        """How the process ended, with the last thing it said."""
        assert self._process is not None
        try:
            code = self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            return "the process closed its output"
        if code < 0:
            return f"the process was ended by {signal.Signals(-code).name}"
        self._messages.seek(0)
        said = [line.strip() for line in self._messages if line.strip()]
        return f"the process ended with status {code}" + (f": {said[-1]}" if said else "")

    def ask(self, request: Any, limit: float = LOAD_LIMIT) -> Any:
        """The answer to one request within ``limit`` seconds. Raises ProcessError."""
        if self._dead is not None:
            raise ProcessError(self._dead)
        assert self._process is not None and self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it ended: the missing answer says so
        try:
            line = self._lines.get(timeout=limit)
        except queue.Empty:
            raise self._end(f"no answer within {limit:g} s") from None
        if not line:
            raise self._end(self._died())
        try:
            answer = json.loads(line)
        except ValueError:
            raise self._end(f"answered {line.strip()[:60]!r}, which is not JSON") from None
        if isinstance(answer, dict) and "error" in answer:
            raise ProcessError(str(answer["error"]))
        wanted: tuple[type, ...] = (int, float) if isinstance(request, int) else (dict,)
        if not isinstance(answer, wanted) or isinstance(answer, bool):
            raise self._end(f"answered {line.strip()[:60]!r} to {json.dumps(request)[:60]}")
        return answer

    def seconds(self, runs: int) -> float:
        """Time of that many runs. Raises ProcessError."""
        answer = float(self.ask(runs, TIMING_LIMIT))
        if not 0 <= answer < float("inf"):
            raise self._end(f"answered {answer} seconds")
        return answer

    def close(self) -> None:
        """Ends the process: by the end of its input, or by force where that takes long."""
        if self._process is not None:
            assert self._process.stdin is not None and self._process.stdout is not None
            try:
                self._process.stdin.close()
                self._process.wait(timeout=10)
            except (BrokenPipeError, subprocess.TimeoutExpired):
                self._process.kill()
                self._process.wait()
            self._reader.join(timeout=10)
            if not self._reader.is_alive():
                self._process.stdout.close()
        self._dead = self._dead or "the process was closed"
        self._messages.close()
