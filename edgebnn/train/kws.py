"""Keyword-spotting data: prepared feature files, or a Speech Commands folder turned into them.

Twelve classes, in the order of ``LABELS``. Features are int8 [H, W, C] = [49, 10, 1] of ``edgebnn.frontend``.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgebnn.errors import UsageError

LABELS = ["down", "go", "left", "no", "off", "on", "right", "stop", "up", "yes", "_silence_", "_unknown_"]
TRAIN_FILE, VAL_FILE = "kws12_train.npz", "kws12_val.npz"
_WHERE = f"give a folder with {TRAIN_FILE} and {VAL_FILE}, or one made by edgebnn data speech-commands"

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class LabelledFeatures:
    """Training clips: ``variants`` int8 [clips, variants, H, W, C], each variant one augmented copy of
    the clip; and validation clips ``val`` int8 [clips, H, W, C]; labels int64, indices into ``names``.
    """

    variants: npt.NDArray[np.int8]
    label: npt.NDArray[np.int64]
    val: npt.NDArray[np.int8]
    val_label: npt.NDArray[np.int64]
    names: list[str]


def load_kws(folder: Path, progress: Progress | None = None) -> LabelledFeatures:
    """Training and validation data of a folder.

    The folder holds ``kws12_train.npz`` (features int8 [n, v, 49, 10], optionally features_clean [n, 49,
    10], label) and ``kws12_val.npz`` (features, label); or it is a Speech Commands tree, whose features
    are made first and stored there under those names (``progress(what, done, total)`` is called
    meanwhile). Raises UsageError when the folder is missing, empty, unlabelled or damaged.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder", hint=_WHERE)
    train, val = folder / TRAIN_FILE, folder / VAL_FILE
    if not train.is_file() and not val.is_file():
        from edgebnn.train.kws_prepare import is_speech_commands, prepare

        if not any(folder.iterdir()):
            raise UsageError(f"{folder}: the folder is empty", hint=_WHERE)
        if not is_speech_commands(folder):
            raise UsageError(f"{folder}: holds neither feature files nor labelled speech", hint=_WHERE)
        prepare(folder, progress)
    for path in (train, val):
        if not path.is_file():
            raise UsageError(f"{path}: no such file", hint=_WHERE)
    arrays = _read(train, ("features", "label"), ("features_clean",))
    variants = arrays["features"]
    if variants.ndim == 3:
        variants = variants[:, None]
    if "features_clean" in arrays:
        clean = arrays["features_clean"]
        if clean.shape != (variants.shape[0], *variants.shape[2:]):
            raise UsageError(f"{train}: features_clean has shape {clean.shape}, features {variants.shape}")
        variants = np.concatenate([clean[:, None], variants], axis=1)
    checked = _read(val, ("features", "label"), ())
    _check(train, variants, arrays["label"], 4)
    _check(val, checked["features"], checked["label"], 3)
    if variants.shape[2:] != checked["features"].shape[1:]:
        raise UsageError(
            f"{val}: features of shape {checked['features'].shape[1:]}, expected {variants.shape[2:]}"
        )
    return LabelledFeatures(
        variants[..., None].astype(np.int8),
        arrays["label"].astype(np.int64),
        checked["features"][..., None].astype(np.int8),
        checked["label"].astype(np.int64),
        list(LABELS),
    )


def _read(
    path: Path, needed: tuple[str, ...], optional: tuple[str, ...]
) -> dict[str, npt.NDArray[np.generic]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [name for name in needed if name not in file.files]
            if missing:
                raise UsageError(
                    f"{path}: no array {missing[0]!r}", hint=f"it holds: {', '.join(file.files)}"
                )
            return {name: file[name] for name in needed + optional if name in file.files}
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path}: not a readable .npz file ({error})", hint="copy it again") from None


def _check(path: Path, x: npt.NDArray[np.generic], label: npt.NDArray[np.generic], ndim: int) -> None:
    if x.ndim != ndim or x.dtype != np.int8 or 0 in x.shape:
        raise UsageError(f"{path}: features are {x.dtype} {x.shape}", hint="expected int8, clips x 49 x 10")
    if label.shape != x.shape[:1] or label.dtype.kind not in "iu":
        raise UsageError(f"{path}: {label.shape} labels of type {label.dtype} for {x.shape[0]} clips")
    values = label.astype(np.int64)
    if values.min() < 0 or values.max() >= len(LABELS):
        raise UsageError(
            f"{path}: a label is outside 0..{len(LABELS) - 1}", hint=f"classes: {' '.join(LABELS)}"
        )
