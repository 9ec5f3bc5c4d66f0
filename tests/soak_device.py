"""Random sessions between the client and the protocol's host program over lines with faults; run by hand.

    python tests/soak_device.py --sessions 10000

Each session must end in right results or in one of the client's typed errors, within a time limit, and must
leave the device's guard bytes and the sanitizers content.
"""

from __future__ import annotations

import argparse
import collections
import random
import sys
import tempfile
import time
from pathlib import Path

from device_line import Line, Noise
from device_support import INPUT_BYTES, build_host, probe_layers, probe_results, probe_tensors, write_probe

from edgebnn.device.client import Device
from edgebnn.errors import DeviceError

TIMEOUT = 0.15
SESSION_LIMIT = 30.0


def exchange(device: Device, rng: random.Random) -> None:
    """A few random requests; AssertionError where a result is wrong."""
    data = bytes(INPUT_BYTES)
    for _ in range(rng.randint(1, 8)):
        what = rng.randrange(9)
        if what == 0:
            data = bytes([rng.randrange(100)]) + rng.randbytes(INPUT_BYTES - 1)
            device.load(data)
        elif what == 1:
            assert [tensor.data for tensor in device.dump_all()] == probe_tensors(data)
        elif what == 2:
            assert len(device.infer(rng.randint(1, 3), 1).results) == len(probe_results(data))
        elif what == 3:
            assert device.info().model == "probe"
        elif what == 4:
            runs = rng.randint(1, 4)
            assert len(device.layers(runs).totals) == runs
        elif what == 5:
            layer = rng.randrange(2)
            assert device.dump(layer).data == probe_layers(data)[layer]
        elif what == 6:
            stream = device.stream(0)
            for _ in range(rng.randint(1, 3)):
                next(stream)
            stream.close()
        elif what == 7:
            device.reset()
            data = bytes(INPUT_BYTES)
        else:
            device.reconnect()


def session(program: Path, seed: int) -> str:
    """One session; how it ended."""
    rng = random.Random(seed)
    rate = rng.choice([0.0, 0.0005, 0.002, 0.01, 0.1])
    cut = rng.randint(0, 4000) if rng.random() < 0.2 else None
    noise = {"to_host": Noise(rate * rng.random(), seed), "to_device": Noise(rate * rng.random(), seed + 1)}
    outcome = "right"
    with Line(program, pty=rng.random() < 0.2, cut_after=cut, **noise) as line:
        try:
            with Device(line.url, timeout=TIMEOUT, run_timeout=TIMEOUT) as device:
                exchange(device, rng)
        except (DeviceError, StopIteration) as error:  # StopIteration: noise has ended the stream
            outcome = type(error).__name__
    assert line.status == 0, f"the device's program ended with status {line.status}"
    return outcome


def main() -> int:
    """Runs the sessions; exit status 1 when one gave a wrong result, another error, or took too long."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    outcomes: collections.Counter[str] = collections.Counter()
    slowest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        program = build_host(Path(folder), write_probe(Path(folder) / "model"))
        for seed in range(arguments.seed, arguments.seed + arguments.sessions):
            start = time.monotonic()
            try:
                outcomes[session(program, seed)] += 1
            except Exception as error:
                print(f"seed {seed}: {type(error).__name__}: {error}")
                outcomes["FAILED"] += 1
            slowest = max(slowest, time.monotonic() - start)
    print(f"{sum(outcomes.values())} sessions, slowest {slowest:.1f} s: {dict(outcomes)}")
    return 1 if outcomes["FAILED"] or slowest > SESSION_LIMIT else 0


if __name__ == "__main__":
    sys.exit(main())
