"""Features from a small Speech Commands tree: splits by speaker, classes, noise, errors."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from edgebnn.errors import UsageError
from edgebnn.frontend import Mfcc
from edgebnn.train.kws import LABELS, load_kws
from edgebnn.train.kws_prepare import VARIANTS, prepare, split_of

SPEAKERS = [f"{i:08x}" for i in range(40)]


def write(path: Path, samples: np.ndarray, rate: int = 16000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())


def tree(folder: Path) -> Path:
    """Ten words and one other, one speaker a split, some clips shorter than a second."""
    by_split = {
        split: next(s for s in SPEAKERS if split_of(s) == split) for split in ("train", "val", "test")
    }
    rng = np.random.default_rng(0)
    for word in [*LABELS[:10], "marvin"]:
        for speaker in by_split.values():
            samples = rng.normal(0, 3000, 16000 if word < "o" else 12000)
            write(folder / word / f"{speaker}_nohash_0.wav", samples)
    write(folder / "_background_noise_" / "hum.wav", rng.normal(0, 500, 40000))
    (folder / "README.md").write_text("x")
    return folder


def test_split_depends_on_the_speaker_alone() -> None:
    assert split_of("yes/0a7c2a8d_nohash_0.wav") == split_of("no/0a7c2a8d_nohash_3.wav")
    shares = np.unique([split_of(f"{i:08x}_nohash_0.wav") for i in range(2000)], return_counts=True)
    assert shares[0].tolist() == ["test", "train", "val"]
    assert shares[1] / 2000 == pytest.approx([0.1, 0.8, 0.1], abs=0.03)


def test_a_tree_becomes_features(tmp_path: Path) -> None:
    folder = tree(tmp_path / "speech")
    steps: list[tuple[int, int]] = []
    data = load_kws(folder, lambda what, done, total: steps.append((done, total)))
    assert steps[-1][0] == steps[-1][1] == 24
    assert data.variants.shape == (12, 1 + VARIANTS, 49, 10, 1) and data.val.shape == (12, 49, 10, 1)
    assert sorted(data.label) == sorted(data.val_label) == list(range(12))
    speaker = next(s for s in SPEAKERS if split_of(s) == "train")
    with wave.open(str(folder / "yes" / f"{speaker}_nohash_0.wav"), "rb") as file:
        samples = np.frombuffer(file.readframes(16000), "<i2")
    clip = int(np.flatnonzero(data.label == LABELS.index("yes"))[0])
    np.testing.assert_array_equal(data.variants[clip, 0], Mfcc()(samples))
    assert any((data.variants[clip, i] != data.variants[clip, 0]).any() for i in range(1, 1 + VARIANTS))
    again = load_kws(folder, lambda what, done, total: pytest.fail("features are stored, not made again"))
    np.testing.assert_array_equal(again.variants, data.variants)


def test_bad_trees_are_refused(tmp_path: Path) -> None:
    folder = tree(tmp_path / "speech")
    (folder / "yes" / "broken_nohash_0.wav").write_bytes(b"RIFF")
    with pytest.raises(UsageError, match="broken_nohash_0"):
        prepare(folder)
    assert not list(folder.glob("*.npz")) and not list(folder.glob(".*"))
    (folder / "yes" / "broken_nohash_0.wav").unlink()
    for path in (folder / "up").iterdir():
        path.unlink()
    with pytest.raises(UsageError, match="no recording"):
        prepare(folder)
    (folder / "up").rmdir()
    with pytest.raises(UsageError, match="no folder 'up'"):
        prepare(folder)
