"""Model inputs from files: WAV recordings (through the model's front end), NumPy arrays, labelled data sets.

Every loader gives int8 [N, H, W, C] in the model's own quantisation; its UsageErrors name the file.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebnn.errors import ModelError, UsageError
from edgebnn.ir import Graph

Int8 = npt.NDArray[np.int8]


def load(path: Path, graph: Graph) -> Int8:
    """The inputs in ``path``: one clip of a ``.wav``, one feature array or a batch of a ``.npy``."""
    suffix = path.suffix.lower()
    if suffix == ".wav":
        return _wav(path, graph)
    if suffix == ".npy":
        return _features(path, _numpy(path), graph)
    raise UsageError(f"{path}: not a .wav or .npy file", "give a mono WAV, or int8 features in .npy")


def load_dataset(path: Path, graph: Graph) -> tuple[Int8, npt.NDArray[np.int64] | None]:
    """Inputs and labels of an ``.npz`` file: ``features`` or ``x``; ``label`` or ``y`` [N], or None."""
    archive = _numpy(path)
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise UsageError(f"{path}: not an .npz file", "save it with numpy.savez(file, x=..., y=...)")
    with archive:
        x = _features(path, _member(path, archive, ("features", "x")), graph)
        if not {"label", "y"} & set(archive.files):
            return x, None
        y = _member(path, archive, ("label", "y"))
    if y.ndim != 1 or not np.issubdtype(y.dtype, np.integer):
        raise UsageError(f"{path}: labels have shape {y.shape}, type {y.dtype}, not integers [N]")
    if len(y) != len(x):
        raise UsageError(f"{path}: {len(x)} inputs but {len(y)} labels")
    classes = graph.tensors[graph.output].elements
    if y.min() < 0 or y.max() >= classes:
        raise UsageError(f"{path}: labels {y.min()}..{y.max()}, but the model has classes 0..{classes - 1}")
    return x, y.astype(np.int64)


def _wav(path: Path, graph: Graph) -> Int8:
    from edgebnn import frontend
    from edgebnn.frontend import read_wav

    parameters = graph.meta.get("frontend")
    if not parameters:
        raise UsageError(
            f"{path}: the model has no audio front end",
            f"give int8 features {list(graph.tensors[graph.input].shape)} in a .npy file",
        )
    front = frontend.from_dict(parameters)
    features = np.asarray(front(read_wav(path, front.config.sample_rate)))
    shape = graph.tensors[graph.input].shape
    if features.size != np.prod(shape):
        raise ModelError(f"{path}: the model's front end gives {features.shape}, its input is {shape}")
    return features.astype(np.int8).reshape(1, *shape)


def _numpy(path: Path) -> Any:
    """What numpy.load gives; no pickle is ever executed."""
    if not path.exists():
        raise UsageError(f"{path}: no such file")
    if path.is_dir():
        raise UsageError(f"{path}: is a folder, not a file")
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path}: not a NumPy file, truncated, or with pickled objects") from error


def _member(path: Path, archive: Any, names: tuple[str, ...]) -> npt.NDArray[Any]:
    for name in names:
        if name in archive.files:
            try:
                return np.asarray(archive[name])
            except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
                raise UsageError(f"{path}: array '{name}' is damaged or holds pickled objects") from error
    have = ", ".join(archive.files) or "none"
    raise UsageError(f"{path}: no array named '{names[0]}' or '{names[1]}'", f"arrays in the file: {have}")


def _features(path: Path, array: Any, graph: Graph) -> Int8:
    shape = graph.tensors[graph.input].shape
    if not isinstance(array, np.ndarray):
        raise UsageError(f"{path}: not a .npy file", "save one array with numpy.save")
    if array.dtype != np.int8:
        raise UsageError(
            f"{path}: features have type {array.dtype}, not int8",
            "quantise them: q = round(x / scale) + zero_point with the input's scale and zero point",
        )
    # A leading batch axis and a trailing channel axis of 1 may be left out.
    short = shape[:2] if shape[2] == 1 else shape
    for one in {shape, short}:
        if array.shape == one:
            return array.reshape(1, *shape)
        if array.ndim == len(one) + 1 and array.shape[1:] == one:
            if not len(array):
                raise UsageError(f"{path}: holds no inputs")
            return array.reshape(-1, *shape)
    raise UsageError(f"{path}: features have shape {array.shape}, the model takes {shape} or a batch of it")
