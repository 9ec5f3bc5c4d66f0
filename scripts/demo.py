"""``make demo``: the shipped keyword spotter, from its checkpoint to an emulated Cortex-M4."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import wave
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
# Relative to the checkout, where every step runs, so that the commands read as a user would type them.
MODEL = Path("examples/kws/kws.pt")
BUILD = Path("build/kws")
WAV = Path("build/demo.wav")
BOARD = "mps2-an386"


def edgebnn(*args: str | Path) -> dict[str, Any]:
    """Runs ``edgebnn ARGS --json`` and returns its document; ends the demo with its exit code if it fails."""
    words = ["edgebnn", *map(str, args)]
    print("\n$ " + " ".join(words), flush=True)
    command = [sys.executable, "-m", *words, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    return dict(json.loads(done.stdout))


def write_wav() -> str:
    """Writes one second of audio to WAV and says what it is."""
    folder = os.environ.get("EDGEBNN_DATA")
    data = Path(folder) / "kws12_val.npz" if folder else None
    if data is not None and data.is_file():
        with np.load(data) as archive:
            labels = archive["label"]
            index = int(np.flatnonzero(labels == 9)[0])
            audio = archive["audio"][index]
        what = "a recording of 'yes' from the validation set"
    else:
        # Two voiced syllables: a sawtooth through moving formants. It only shows that the path works.
        t = np.arange(16000) / 16000.0
        voice = sum(np.sin(2 * np.pi * 120.0 * k * t) / k for k in range(1, 30))
        envelope = np.exp(-(((t - 0.35) / 0.08) ** 2)) + np.exp(-(((t - 0.6) / 0.1) ** 2))
        audio = (6000.0 * voice * envelope).astype(np.int16)
        what = "a synthesised sound, no real word (set EDGEBNN_DATA for a recording)"
    WAV.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(WAV), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(audio.astype("<i2").tobytes())
    return what


def main() -> None:
    os.chdir(ROOT)
    report = edgebnn("convert", MODEL, "--target", "cortex-m4", "-o", BUILD)
    clip = write_wav()
    began = time.perf_counter()
    answer = edgebnn("run", BUILD / f"{report['name']}.ebnn", WAV)
    seconds = time.perf_counter() - began

    missing = [tool for tool in ("arm-none-eabi-gcc", "qemu-system-arm") if shutil.which(tool) is None]
    profile = checked = None
    if not missing:
        edgebnn("build", BUILD, "--board", BOARD)
        profile = edgebnn("profile", BUILD, "--emulate", BOARD)
        checked = edgebnn("verify", BUILD, "--on", "reference,host,c,emulator", "-n", "4")

    flash = report["flash"]
    macs = sum(layer["macs"] for layer in report["layers"])
    rows = [
        ("model", f"{report['name']}, {len(report['layers'])} steps, {macs:,} multiply-accumulates"),
        (
            "flash",
            f"{flash['total']:,} bytes ({flash['weights']:,} weights, {flash['constants']:,} constants)",
        ),
        ("arena", f"{report['arena']:,} bytes of RAM"),
        ("clip", clip),
        ("heard", f"{answer['label']} (score {answer['scores'][answer['index']]:.3f}), in {seconds:.2f} s"),
    ]
    if profile is not None and checked is not None:
        rows.append(("board", f"{profile['board']} in QEMU, profile over its serial port"))
        rows.append(("inference", f"{profile['total']:,} {profile['unit']}"))
        for layer in sorted(profile["layers"], key=lambda layer: -layer["count"])[:3]:
            share = 100.0 * layer["count"] / profile["total"]
            rows.append(("", f"{share:4.1f} %  {layer['name']}  ({layer['kernel']})"))
        rows.append(("same bytes", " = ".join(checked["executions"]) + f" in all {checked['layers']} layers"))
    else:
        rows.append(("left out", f"the emulated board; not installed: {' and '.join(missing)} (see above)"))
    print("\n" + "-" * 78)
    for key, text in rows:
        print(f"  {key:10} {text}")
    print("-" * 78)


if __name__ == "__main__":
    main()
