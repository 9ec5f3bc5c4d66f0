"""Peers that are measured where they are installed: in this environment, or in that of an interpreter given."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgebnn.bench.process import Contender, Process, ProcessError
from edgebnn.errors import UsageError

#: seconds to start an interpreter and import the peer
PROBE_LIMIT = 60.0


@dataclass(frozen=True)
class Peer:
    """``program``: its name for tflite_peers/worker.py and in the option that gives its interpreter. ``package``: the
    distribution that has it."""

    name: str
    program: str
    package: str

    @property
    def option(self) -> str:
        """The option that names the interpreter."""
        return f"--{self.program}-python"

    @property
    def variable(self) -> str:
        """The environment variable that does."""
        return f"EDGEBNN_{self.program.upper()}_PYTHON"


PEERS = (
    Peer("LiteRT/XNNPACK int8", "litert", "ai-edge-litert"),
    Peer("Larq Compute Engine", "larq", "larq-compute-engine"),
)


def interpreter(peer: Peer, option: str | None) -> str:
    """The interpreter of the option, of the variable or this one, in that order. Raises UsageError for one that is no
    program."""
    given = option or os.environ.get(peer.variable)
    if not given:
        return sys.executable
    found = shutil.which(os.path.expanduser(given))
    if found is None:
        raise UsageError(
            f"{peer.option if option else peer.variable} {given}: no such program",
            hint=f"give the Python interpreter of an environment with {peer.package}",
        )
    return found


@dataclass(frozen=True)
class Found:
    """A peer for the interpreter that ``contender`` names: its versions, or why it cannot be measured (``error``)."""

    peer: Peer
    contender: Contender
    versions: Mapping[str, str]
    error: str | None = None


def probe(peer: Peer, option: str | None = None) -> Found:
    """Imports the peer once to see that it is there. Raises UsageError as ``interpreter``."""
    contender = Contender(peer.name, peer.program, python=interpreter(peer, option))
    process = Process(contender)
    try:
        return Found(peer, contender, process.ask({"hello": True}, PROBE_LIMIT).get("versions", {}))
    except ProcessError as error:
        where = "here" if contender.python == sys.executable else f"for {contender.python}"
        return Found(peer, contender, {}, f"{error} {where}")
    finally:
        process.close()


def get(peer: Peer) -> str:
    """How to have the peer measured."""
    return f"install {peer.package}, or name its interpreter by {peer.option} or {peer.variable}"


def find(
    options: Mapping[str, str | None], peers: Sequence[Peer] = PEERS
) -> tuple[list[Contender], list[str]]:
    """(contenders, missing peers with the reason). ``options``: interpreter by program, None: not given. Raises
    UsageError as ``interpreter``, before any is probed."""
    for peer in peers:
        interpreter(peer, options.get(peer.program))
    probed = [probe(peer, options.get(peer.program)) for peer in peers]
    missing = [f"{f.peer.name}: {f.error}; {get(f.peer)}" for f in probed if f.error]
    return [f.contender for f in probed if not f.error], missing
