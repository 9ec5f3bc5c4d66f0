"""What a student learns from its teachers, computed once where a folder keeps it.

The batches of an epoch depend on the data, the augmentation and the seed alone, not on the student. So
students of the same seed and augmentation share their teachers' answers: ``TargetCache`` keeps them in
one file an epoch, named after everything that they depend on.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from edgebnn.errors import UsageError
from edgebnn.train import distributed
from edgebnn.train.network import Network

if TYPE_CHECKING:
    from edgebnn.train.loop import TrainConfig

# What a batch's inputs depend on, beside the data and the random state.
_AUGMENTATION = ("batch_size", "max_shift", "balance", "mixup", "mask", "noise")


@torch.no_grad()
def target(teachers: Sequence[Network], x: Tensor) -> Tensor:
    """Mean of the teachers' log-probabilities for real inputs ``x`` [N, C, H, W]: [N, classes]."""
    return torch.stack([F.log_softmax(teacher(x), 1) for teacher in teachers]).mean(0)


def _feed(digest: hashlib._Hash, network: Network) -> None:
    digest.update(repr(network.arch).encode())
    for name, value in network.state_dict().items():
        digest.update(name.encode() + value.cpu().numpy().tobytes())


def fingerprint(network: Network) -> str:
    """Eight hexadecimal digits of a network's architecture and weights."""
    digest = hashlib.sha256()
    _feed(digest, network)
    return digest.hexdigest()[:8]


class TargetCache:
    """Targets of ``teachers`` for the batches of a run, kept in ``folder`` as float32 [steps, N, classes]
    an epoch. ``x``, ``y``: the training data. Raises UsageError when the folder cannot be written.
    """

    def __init__(
        self, folder: Path, teachers: Sequence[Network], config: TrainConfig, x: Tensor, y: Tensor
    ) -> None:
        self.folder, self.teachers = folder, teachers
        digest = hashlib.sha256()
        settings = asdict(config)
        digest.update(repr([(name, settings[name]) for name in _AUGMENTATION]).encode())
        # Each of several processes sees a part of every batch.
        digest.update(repr((distributed.rank(), distributed.processes())).encode())
        for teacher in teachers:
            _feed(digest, teacher)
        digest.update(x.numpy().tobytes() + y.numpy().tobytes())
        self.key = digest
        self.path: Path | None = None
        self.known: npt.NDArray[np.float32] | None = None
        self.fresh: list[npt.NDArray[np.float32]] = []

    def start_epoch(self, generator: torch.Generator, steps: int, batch: int) -> None:
        """Before the first batch of an epoch is drawn from ``generator``."""
        key = self.key.copy()
        key.update(generator.get_state().numpy().tobytes())
        self.path, self.known, self.fresh = self.folder / f"{key.hexdigest()[:32]}.npy", None, []
        with contextlib.suppress(OSError, ValueError, EOFError):
            stored = np.load(self.path, allow_pickle=False)
            if stored.dtype == np.float32 and stored.ndim == 3 and stored.shape[:2] == (steps, batch):
                self.known = stored

    def target(self, step: int, x: Tensor) -> Tensor:
        """The target of batch ``step`` of the epoch, whose real inputs are ``x``; on the CPU where it was kept."""
        if self.known is not None:
            return torch.from_numpy(self.known[step])
        result = target(self.teachers, x)
        self.fresh.append(result.cpu().numpy())
        return result

    def end_epoch(self) -> None:
        """Stores what was computed since ``start_epoch``."""
        if self.known is not None or self.path is None:
            return
        temporary = self.path.with_name(f".{self.path.stem}.{os.getpid()}.tmp.npy")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            np.save(temporary, np.stack(self.fresh))
            os.replace(temporary, self.path)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise UsageError(f"{self.folder}: cannot be written ({error.strerror})") from None
