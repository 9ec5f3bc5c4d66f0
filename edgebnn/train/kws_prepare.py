"""Makes the feature files of the 12-class keyword task from a Speech Commands folder (Warden 2018)."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edgebnn.errors import UsageError
from edgebnn.frontend import Mfcc, fit_length, read_wav
from edgebnn.train.kws import LABELS, TRAIN_FILE, VAL_FILE

if TYPE_CHECKING:
    from edgebnn.train.kws import Progress

NOISE_FOLDER = "_background_noise_"
VARIANTS = 6
_SHIFT = 1600  # samples, 100 ms
_SILENCE, _UNKNOWN = LABELS.index("_silence_"), LABELS.index("_unknown_")


def is_speech_commands(folder: Path) -> bool:
    """Whether ``folder`` has a sub-folder of recordings for at least one of the ten words."""
    return any(next((folder / word).glob("*.wav"), None) is not None for word in LABELS[:10])


def split_of(clip: str) -> str:
    """ "train", "val" or "test" by the speaker in the file name, so that no speaker is in two splits.

    Source: the data set's own rule (its README): SHA-1 of the name up to "_nohash_", 10 % each for val
    and test.
    """
    speaker = re.sub(r"_nohash_.*$", "", Path(clip).name)
    percent = int(hashlib.sha1(speaker.encode()).hexdigest(), 16) % (2**27) * (100.0 / (2**27 - 1))
    return "val" if percent < 10 else "test" if percent < 20 else "train"


def prepare(folder: Path, progress: Progress | None = None, seed: int = 0) -> None:
    """Writes ``kws12_train.npz`` and ``kws12_val.npz`` into ``folder``, from its recordings and noise.

    Ten words; ``_unknown_`` is a sample of the other words as large as the average word, ``_silence_`` as
    many stretches of background noise. Each training clip gets ``VARIANTS`` copies, shifted by up to 100
    ms and with noise. Raises UsageError for an unreadable recording, or when a split has no clip of some
    word.
    """
    rng = np.random.default_rng(seed)
    noises = [read_wav(path) for path in sorted((folder / NOISE_FOLDER).glob("*.wav"))]
    noises = [noise for noise in noises if noise.size >= 16000]
    front_end = Mfcc()
    jobs = {split: _clips(folder, split, rng) for split in ("train", "val")}
    total = sum(len(clips) for clips in jobs.values())
    done = 0
    made: dict[str, dict[str, npt.NDArray[np.generic]]] = {}
    for split, clips in jobs.items():
        copies = VARIANTS if split == "train" else 0
        clean = np.empty((len(clips), 49, 10), np.int8)
        augmented = np.empty((len(clips), copies, 49, 10), np.int8)
        for i, (path, _) in enumerate(clips):
            audio = fit_length(read_wav(path)) if path else _silence(noises, rng)
            clean[i] = front_end(audio)[..., 0]
            for j in range(copies):
                augmented[i, j] = front_end(_augment(audio, noises, rng))[..., 0]
            done += 1
            if progress and (done % 50 == 0 or done == total):
                progress("features", done, total)
        label = np.array([label for _, label in clips], np.uint8)
        made[split] = {"features": clean, "label": label}
        if copies:
            made[split] = {"features": augmented, "features_clean": clean, "label": label}
    _store(folder / VAL_FILE, made["val"])
    _store(folder / TRAIN_FILE, made["train"])


def _clips(folder: Path, split: str, rng: np.random.Generator) -> list[tuple[Path | None, int]]:
    """(recording, label) of a split; None stands for silence."""
    words: list[tuple[Path | None, int]] = []
    others: list[Path] = []
    for sub in sorted(path for path in folder.iterdir() if path.is_dir() and path.name != NOISE_FOLDER):
        paths = [path for path in sorted(sub.glob("*.wav")) if split_of(path.name) == split]
        if sub.name in LABELS:
            if not paths:
                raise UsageError(f"{sub}: no recording in the {split} split", hint="fetch the whole data set")
            words += [(path, LABELS.index(sub.name)) for path in paths]
        else:
            others += paths
    missing = [word for word in LABELS[:10] if not (folder / word).is_dir()]
    if missing:
        raise UsageError(f"{folder}: no folder {missing[0]!r}", hint="fetch the whole data set")
    size = max(1, len(words) // 10)
    picked = rng.permutation(len(others))[:size]
    return words + [(others[i], _UNKNOWN) for i in sorted(picked)] + [(None, _SILENCE)] * size


def _stretch(noises: list[npt.NDArray[np.int16]], rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """One second of background noise, or of nothing where there is no noise."""
    if not noises:
        return np.zeros(16000)
    noise = noises[rng.integers(len(noises))]
    start = rng.integers(noise.size - 16000 + 1)
    return noise[start : start + 16000].astype(np.float64)


def _silence(noises: list[npt.NDArray[np.int16]], rng: np.random.Generator) -> npt.NDArray[np.int16]:
    return np.round(_stretch(noises, rng) * rng.uniform(0, 1)).astype(np.int16)


def _augment(
    audio: npt.NDArray[np.int16], noises: list[npt.NDArray[np.int16]], rng: np.random.Generator
) -> npt.NDArray[np.int16]:
    """``audio`` shifted by up to 100 ms, zeros moving in, and in four of five cases with noise at up to
    10 %.
    """
    shift = int(rng.integers(-_SHIFT, _SHIFT + 1))
    moved = np.zeros(16000)
    if shift >= 0:
        moved[shift:] = audio[: 16000 - shift]
    else:
        moved[:shift] = audio[-shift:]
    if rng.random() < 0.8:
        moved += _stretch(noises, rng) * rng.uniform(0, 0.1)
    return np.clip(np.round(moved), -32768, 32767).astype(np.int16)


def _store(path: Path, arrays: dict[str, npt.NDArray[np.generic]]) -> None:
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp.npz")
    try:
        np.savez_compressed(temporary, **arrays)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UsageError(
            f"{path}: cannot be written ({error.strerror})", hint="make the folder writable"
        ) from None
