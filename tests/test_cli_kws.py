"""The shipped keyword spotter through the command line, on recordings of the validation set where they are at hand."""

from __future__ import annotations

import json
import shutil
import wave
from pathlib import Path

import numpy as np
import pytest

from edgebnn.cli import main

MODEL = Path(__file__).resolve().parent.parent / "examples" / "kws" / "kws.pt"


def call(capsys: pytest.CaptureFixture[str], *args: str | Path) -> dict:
    """Runs a command that must succeed and returns its JSON document."""
    with pytest.raises(SystemExit) as stop:
        main([*map(str, args), "--json"])
    out, err = capsys.readouterr()
    assert not stop.value.code, err
    return dict(json.loads(out))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """kws.pt converted for the Cortex-M4."""
    out = tmp_path_factory.mktemp("kws") / "kws"
    with pytest.raises(SystemExit) as stop:
        main(["convert", str(MODEL), "--target", "cortex-m4", "-o", str(out)])
    assert not stop.value.code
    return out


def test_accuracy_is_that_of_the_trained_model(
    folder: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch = pytest.importorskip("torch")
    result = call(capsys, "eval", folder / "kws.ebnn", "--data", data_dir / "kws12_val.npz")
    metrics = torch.load(MODEL, weights_only=True)["metrics"]
    trained = next(value for key, value in metrics.items() if "val" in key and "acc" in key)
    assert result["n"] == 675
    assert result["accuracy"] >= 0.86
    assert result["accuracy"] == pytest.approx(trained if trained <= 1 else trained / 100, abs=0.005)


def test_recordings_are_recognised(
    folder: Path, data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with np.load(data_dir / "kws12_val.npz") as archive:
        audio, features, label = archive["audio"][:40], archive["features"][:40], archive["label"][:40]
    files = []
    for i, clip in enumerate(audio):
        files.append(tmp_path / f"{i}.wav")
        with wave.open(str(files[-1]), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16000)
            file.writeframes(clip.astype("<i2").tobytes())
    heard = call(capsys, "run", folder / "kws.ebnn", *files)["results"]
    assert np.mean([row["index"] == y for row, y in zip(heard, label, strict=True)]) >= 0.8
    # The features of the data set are those the front end computes from the recordings.
    np.save(tmp_path / "features.npy", features)
    stored = call(capsys, "run", folder / "kws.ebnn", tmp_path / "features.npy")["results"]
    assert [row["scores"] for row in heard] == [row["scores"] for row in stored]


@pytest.mark.emulator
@pytest.mark.slow
def test_every_execution_gives_the_same_bytes(
    folder: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = "reference,host,c,emulator"
    for tool in ("arm-none-eabi-gcc", "qemu-system-arm"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    args = ("verify", folder, "--on", names, "--data", data_dir / "kws12_val.npz", "-n", "64")
    assert call(capsys, *args) == {
        "identical": True,
        "executions": names.split(","),
        "inputs": 64,
        "layers": len(json.loads((folder / "report.json").read_text())["layers"]),
        "difference": None,
    }
