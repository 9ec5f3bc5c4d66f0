"""Checkpoints: a plain dict of tensors and values that ``torch.load(weights_only=True)`` reads.

{"format": "edgebnn-checkpoint", "version": 1, "arch": {"name", ...}, "state_dict": {name: tensor},
 "labels": [str], "frontend": {"name", ...} or None, "input": {"shape", "scale", "zero_point"},
 "metrics": {...}, "training": {...} (only while training: optimiser, schedule, random states)}
"""

from __future__ import annotations

import contextlib
import os
import pickle
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from edgebnn.errors import ModelError, UsageError
from edgebnn.train.layers import Conv2d, Linear
from edgebnn.train.network import Network

FORMAT, VERSION = "edgebnn-checkpoint", 1


@dataclass
class Checkpoint:
    """A network with what is needed to deploy it (labels, front end) and, while training, to go on with
    it.
    """

    network: Network
    labels: list[str]
    frontend: dict[str, Any] | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] | None = None


def compact_state(network: Network) -> dict[str, torch.Tensor]:
    """The network's state with latent weights in the smallest form that gives the same codes and scales."""
    state = {key: value.detach().cpu().clone() for key, value in network.state_dict().items()}
    for path, module in network.named_modules():
        if isinstance(module, (Conv2d, Linear)):
            key = f"{path}.weight"
            state[key] = module.weight_quantizer.compact(state[key]).clone()
    return state


def save(path: Path, checkpoint: Checkpoint, compact: bool = False) -> None:
    """Writes a checkpoint; the file appears complete or not at all.

    ``compact`` stores what inference needs, exactly, and leaves out the latent weights. Raises UsageError
    when the file cannot be written.
    """
    path = Path(path)
    network = checkpoint.network
    data: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "arch": network.arch,
        "state_dict": compact_state(network) if compact else network.state_dict(),
        "labels": list(checkpoint.labels),
        "frontend": checkpoint.frontend,
        "input": network.input.to_dict(),
        "metrics": checkpoint.metrics,
    }
    if checkpoint.training is not None and not compact:
        data["training"] = checkpoint.training
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(data, temporary)
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise UsageError(f"{path}: cannot be written ({error})") from None


def read(path: Path) -> dict[str, Any]:
    """The dict in a checkpoint file, checked for format and version; nothing pickled is executed.

    Raises UsageError for a missing file, ModelError for one that is damaged or not a checkpoint.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"{path}: no such file", hint="give the path of a checkpoint made by edgebnn train")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch comments on foreign files before it refuses them
            data = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise ModelError(
            f"{path}: not a plain checkpoint: it holds pickled objects or is damaged",
            hint="save a dict of tensors and plain values (edgebnn train does)",
        ) from None
    except (RuntimeError, EOFError, ValueError, KeyError, OSError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(
            f"{path}: damaged or truncated checkpoint ({reason})", hint="copy it again"
        ) from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ModelError(f"{path}: not an edgebnn checkpoint", hint="edgebnn train makes them")
    if data.get("version") != VERSION:
        raise ModelError(
            f"{path}: checkpoint version {data.get('version')!r}, this edgebnn reads {VERSION}",
            hint="train it again, or use the edgebnn that made it",
        )
    for key in ("arch", "state_dict"):
        if not isinstance(data.get(key), dict):
            raise ModelError(f"{path}: checkpoint without {key!r}", hint="copy it again")
    labels, frontend = data.get("labels"), data.get("frontend")
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise ModelError(f"{path}: checkpoint without a list of labels")
    if frontend is not None and not isinstance(frontend, dict):
        raise ModelError(f"{path}: front-end parameters are not a dict")
    return data
